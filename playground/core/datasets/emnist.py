"""EMNIST."""

from playground.core.datasets.base import DIGITS, Dataset, DatasetOrigin, TorchvisionSource

_LETTERS = tuple("ABCDEFGHIJKLMNOPQRSTUVWXYZ")


def _make_dataset(
    split: str,
    title: str,
    class_names: tuple[str, ...],
    train_size: int,
    test_size: int,
    *,
    labels_code: str = "data.targets",
    labels_remark: str = "",
    menu_order: int,
) -> Dataset:
    source = TorchvisionSource(
        "EMNIST",
        f'split="{split}", train=train',
        "data.data.transpose(1, 2).unsqueeze(1)",
        labels_code,
        f"EMNIST images are stored transposed{labels_remark}.",
    )
    return Dataset(
        f"emnist-{split}",
        title,
        (1, 28, 28),
        class_names,
        train_size,
        test_size,
        "Handwritten characters by Cohen, Afshar, Tapson and van Schaik (2017), from NIST Special Database 19.",
        subject="letters",
        has_strokes=True,
        is_flip_invariant=False,
        download_mb=562,
        origin=DatasetOrigin("emnist", source, split=split),
        menu_order=menu_order,
    )


EMNIST_LETTERS = _make_dataset(
    "letters",
    "EMNIST, letters",
    _LETTERS,
    124_800,
    20_800,
    labels_code="data.targets - 1",
    labels_remark=", and its letters are counted from 1",
    menu_order=50,
)

EMNIST_BALANCED = _make_dataset(
    "balanced",
    "EMNIST, digits and letters",
    (*DIGITS, *_LETTERS, *"abdefghnqrt"),
    112_800,
    18_800,
    menu_order=60,
)
