"""EMNIST."""

from playground.core.datasets.base import DIGITS, Dataset, DatasetOrigin, TorchvisionSource

_LETTERS = tuple("ABCDEFGHIJKLMNOPQRSTUVWXYZ")
_CREDIT = "Handwritten characters by Cohen, Afshar, Tapson and van Schaik (2017), from NIST Special Database 19."

EMNIST_LETTERS = Dataset(
    "emnist-letters",
    "EMNIST, letters",
    (1, 28, 28),
    _LETTERS,
    124_800,
    20_800,
    _CREDIT,
    subject="letters",
    has_strokes=True,
    is_flip_invariant=False,
    download_mb=562,
    origin=DatasetOrigin(
        "emnist",
        TorchvisionSource(
            "EMNIST",
            'split="letters", train=train',
            "data.data.transpose(1, 2).unsqueeze(1)",
            "data.targets - 1",
            "EMNIST images are stored transposed, and its letters are counted from 1.",
        ),
        split="letters",
    ),
    menu_order=50,
)

EMNIST_BALANCED = Dataset(
    "emnist-balanced",
    "EMNIST, digits and letters",
    (1, 28, 28),
    (*DIGITS, *_LETTERS, *"abdefghnqrt"),
    112_800,
    18_800,
    _CREDIT,
    subject="letters",
    has_strokes=True,
    is_flip_invariant=False,
    download_mb=562,
    origin=DatasetOrigin(
        "emnist",
        TorchvisionSource(
            "EMNIST",
            'split="balanced", train=train',
            "data.data.transpose(1, 2).unsqueeze(1)",
            remark="EMNIST images are stored transposed.",
        ),
        split="balanced",
    ),
    menu_order=60,
)
