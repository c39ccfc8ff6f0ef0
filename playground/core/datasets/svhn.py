"""SVHN."""

from playground.core.datasets.base import DIGITS, Dataset, DatasetOrigin, TorchvisionSource

SVHN = Dataset(
    "svhn",
    "SVHN",
    (3, 32, 32),
    DIGITS,
    73_257,
    26_032,
    "House numbers from street views by Netzer et al. (2011), for non-commercial use.",
    subject="digits",
    is_flip_invariant=False,
    download_mb=246,
    origin=DatasetOrigin(
        "svhn",
        TorchvisionSource(
            "SVHN",
            'split="train" if train else "test"',
            "torch.from_numpy(data.data)",
            "torch.from_numpy(data.labels)",
        ),
    ),
    menu_order=90,
)
