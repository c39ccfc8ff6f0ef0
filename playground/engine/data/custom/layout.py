"""Class and split of uploaded files, inferred from their folders."""

import re
from dataclasses import dataclass

from playground.engine.data.custom.archive import FoundFile

_TRAIN_FOLDERS = {"train", "training", "training_set"}
_VALIDATION_FOLDERS = {"val", "valid", "validation"}
_TEST_FOLDERS = {"test", "testing", "test_set"}

LabeledFile = tuple[FoundFile, int]
_PathedFiles = list[tuple[tuple[str, ...], FoundFile]]  # with the remaining part of the path


@dataclass(frozen=True)
class FolderLayout:
    """Files with their labels (indices of ``class_names``), in natural sort order."""

    class_names: tuple[str, ...]
    train: tuple[LabeledFile, ...]
    test: tuple[LabeledFile, ...]


def infer_layout(files: list[FoundFile]) -> FolderLayout:
    """Infer classes and splits; files outside class folders are left out.

    Common parent folders are ignored. ``train`` and ``test`` folders (or ``training_set``, ``valid``, …) define the
    split. A validation folder beside a test folder is added to the training files, since a recipe draws its own
    validation images from them.
    """
    train, test = _split_files(files)
    names = tuple(sorted({path[0] for path, _ in train}, key=natural_sort_key))
    return FolderLayout(names, _label_files(train, names), _label_files(test, names))


def natural_sort_key(name: str) -> tuple[list[tuple[int, str]], str]:
    """Make a key for natural sort order: 2 before 10, ignoring case."""
    pieces = re.split("([0-9]+)", name.casefold())  # words and numbers in turn
    # Numbers are compared by length, then by digits, since Python limits the digits of an int.
    pieces[1::2] = [digits.lstrip("0") for digits in pieces[1::2]]
    return [(len(piece) if index % 2 else 0, piece) for index, piece in enumerate(pieces)], name


def _split_files(files: list[FoundFile]) -> tuple[_PathedFiles, _PathedFiles]:
    pathed_files = _strip_common_folders([(file.path, file) for file in files])
    tops = {path[0].casefold() for path, _ in pathed_files}
    if not (tops & _TRAIN_FOLDERS and tops & (_VALIDATION_FOLDERS | _TEST_FOLDERS)):
        return pathed_files, []
    train = _find_files_under(pathed_files, _TRAIN_FOLDERS)
    class_names = {path[0] for path, _ in train}
    validation, test = (
        [(path, file) for path, file in _find_files_under(pathed_files, names) if path[0] in class_names]
        for names in (_VALIDATION_FOLDERS, _TEST_FOLDERS)
    )
    return (train + validation, test) if test else (train, validation)


def _find_files_under(files: _PathedFiles, names: set[str]) -> _PathedFiles:
    """Find the files in folders of these names, with paths relative to them."""
    tops = {path[0] for path, _ in files if path[0].casefold() in names}
    return [
        relative
        for top in tops
        for relative in _strip_common_folders([(path[1:], file) for path, file in files if path[0] == top])
    ]


def _strip_common_folders(files: _PathedFiles) -> _PathedFiles:
    """Strip common parent folders, and leave out files beside folders."""
    while True:
        files = [(path, file) for path, file in files if len(path) > 1]
        if len({path[0] for path, _ in files}) != 1 or all(len(path) == 2 for path, _ in files):
            return files
        files = [(path[1:], file) for path, file in files]


def _label_files(files: _PathedFiles, names: tuple[str, ...]) -> tuple[LabeledFile, ...]:
    labels = {name: label for label, name in enumerate(names)}
    labeled = [(file, labels[path[0]]) for path, file in files]
    return tuple(sorted(labeled, key=lambda item: (item[1], natural_sort_key(item[0].name))))
