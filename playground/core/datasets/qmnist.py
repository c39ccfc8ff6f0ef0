"""QMNIST."""

from playground.core.datasets.base import DIGITS, Dataset, DatasetOrigin, TorchvisionSource

QMNIST = Dataset(
    "qmnist",
    "QMNIST",
    (1, 28, 28),
    DIGITS,
    60_000,
    60_000,
    "MNIST reconstructed with all 60,000 test digits by Yadav and Bottou (2019), BSD license.",
    subject="digits",
    has_strokes=True,
    is_flip_invariant=False,
    download_mb=20,
    origin=DatasetOrigin(
        "qmnist",
        TorchvisionSource(
            "QMNIST",
            labels_code="data.targets[:, 0]",
            remark="The other columns hold the writer and the date.",
        ),
    ),
    menu_order=70,
)
