"""USPS."""

from playground.core.datasets.base import DIGITS, Dataset, DatasetOrigin, TorchvisionSource

USPS = Dataset(
    "usps",
    "USPS",
    (1, 16, 16),
    DIGITS,
    7_291,
    2_007,
    "Digits from envelopes, scanned by the U.S. Postal Service (Hull, 1994).",
    subject="digits",
    has_strokes=True,
    is_flip_invariant=False,
    download_mb=8,
    origin=DatasetOrigin(
        "usps",
        TorchvisionSource(
            "USPS",
            images_code="torch.from_numpy(data.data).unsqueeze(1)",
            labels_code="torch.tensor(data.targets)",
        ),
    ),
    menu_order=80,
)
