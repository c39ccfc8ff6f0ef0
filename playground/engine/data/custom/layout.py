"""Which class a file belongs to, by the folders it lies in; and whether it is to train on or to test with."""

import re
from dataclasses import dataclass

from playground.engine.data.custom.archive import FoundFile

_TRAIN_FOLDERS = {"train", "training", "training_set"}
_VALIDATION_FOLDERS = {"val", "valid", "validation"}
_TEST_FOLDERS = {"test", "testing", "test_set"}

LabeledFile = tuple[FoundFile, int]
_PathedFiles = list[tuple[tuple[str, ...], FoundFile]]  # with what is left of its path


@dataclass(frozen=True)
class FolderLayout:
    """Files with their labels, which are places in ``class_names``; sorted by both as people sort names."""

    class_names: tuple[str, ...]
    train: tuple[LabeledFile, ...]
    test: tuple[LabeledFile, ...]


def infer_layout(files: list[FoundFile]) -> FolderLayout:
    """The files that lie in class folders; all others are in no layout.

    Folders around everything do not count. ``train`` and ``test`` folders (or ``training_set``, ``valid``, …) part the
    files; a validation folder beside a test folder is to train on, since a recipe draws its own from there.
    """
    train, test = _split_files(files)
    names = tuple(sorted({path[0] for path, _ in train}, key=natural_sort_key))
    return FolderLayout(names, _label_files(train, names), _label_files(test, names))


def natural_sort_key(name: str) -> tuple[list[tuple[int, str]], str]:
    """Sorts as people do: 2 before 10, capitals beside small letters."""
    pieces = re.split("([0-9]+)", name.casefold())  # words and numbers in turn
    # Numbers by length, then digits: a name may hold more of them than Python makes a number of.
    pieces[1::2] = [digits.lstrip("0") for digits in pieces[1::2]]
    return [(len(piece) if place % 2 else 0, piece) for place, piece in enumerate(pieces)], name


def _split_files(files: list[FoundFile]) -> tuple[_PathedFiles, _PathedFiles]:
    placed = _strip_common_folders([(file.path, file) for file in files])
    tops = {path[0].casefold() for path, _ in placed}
    if not (tops & _TRAIN_FOLDERS and tops & (_VALIDATION_FOLDERS | _TEST_FOLDERS)):
        return placed, []
    train = _find_files_under(placed, _TRAIN_FOLDERS)
    known = {path[0] for path, _ in train}
    validation, test = (
        [(path, file) for path, file in _find_files_under(placed, names) if path[0] in known]
        for names in (_VALIDATION_FOLDERS, _TEST_FOLDERS)
    )
    return (train + validation, test) if test else (train, validation)


def _find_files_under(files: _PathedFiles, names: set[str]) -> _PathedFiles:
    """What lies in folders of these names, seen from there."""
    tops = {path[0] for path, _ in files if path[0].casefold() in names}
    return [
        one
        for top in tops
        for one in _strip_common_folders([(path[1:], file) for path, file in files if path[0] == top])
    ]


def _strip_common_folders(files: _PathedFiles) -> _PathedFiles:
    """Without the folders around all other folders, and without the files beside folders."""
    while True:
        files = [(path, file) for path, file in files if len(path) > 1]
        if len({path[0] for path, _ in files}) != 1 or all(len(path) == 2 for path, _ in files):
            return files
        files = [(path[1:], file) for path, file in files]


def _label_files(files: _PathedFiles, names: tuple[str, ...]) -> tuple[LabeledFile, ...]:
    labels = {name: label for label, name in enumerate(names)}
    labelled = [(file, labels[path[0]]) for path, file in files]
    return tuple(sorted(labelled, key=lambda one: (one[1], natural_sort_key(one[0].name))))
