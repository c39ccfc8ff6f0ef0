"""Which class a file belongs to, by the folders it lies in; and whether it is to train on or to test with."""

import re
from dataclasses import dataclass

from playground.engine.data.custom.archive import FoundFile

_TRAIN = {"train", "training", "training_set"}
_VALIDATION = {"val", "valid", "validation"}
_TEST = {"test", "testing", "test_set"}

Labelled = tuple[FoundFile, int]
_Placed = list[tuple[tuple[str, ...], FoundFile]]  # with what is left of its path


@dataclass(frozen=True)
class Layout:
    """Files with their labels, which are places in ``class_names``; sorted by both as people sort names."""

    class_names: tuple[str, ...]
    train: tuple[Labelled, ...]
    test: tuple[Labelled, ...]


def layout_of(files: list[FoundFile]) -> Layout:
    """The files that lie in class folders; all others are in no layout.

    Folders around everything do not count. ``train`` and ``test`` folders (or ``training_set``, ``valid``, …) part the
    files; a validation folder beside a test folder is to train on, since a recipe draws its own from there.
    """
    train, test = _parts(files)
    names = tuple(sorted({path[0] for path, _ in train}, key=natural_key))
    return Layout(names, _labelled(train, names), _labelled(test, names))


def natural_key(name: str) -> tuple[list[tuple[int, str]], str]:
    """Sorts as people do: 2 before 10, capitals beside small letters."""
    pieces = re.split("([0-9]+)", name.casefold())  # words and numbers in turn
    # Numbers by length, then digits: a name may hold more of them than Python makes a number of.
    pieces[1::2] = [digits.lstrip("0") for digits in pieces[1::2]]
    return [(len(piece) if place % 2 else 0, piece) for place, piece in enumerate(pieces)], name


def _parts(files: list[FoundFile]) -> tuple[_Placed, _Placed]:
    placed = _unwrapped([(file.path, file) for file in files])
    tops = {path[0].casefold() for path, _ in placed}
    if not (tops & _TRAIN and tops & (_VALIDATION | _TEST)):
        return placed, []
    train = _beneath(placed, _TRAIN)
    known = {path[0] for path, _ in train}
    validation, test = (
        [(path, file) for path, file in _beneath(placed, names) if path[0] in known] for names in (_VALIDATION, _TEST)
    )
    return (train + validation, test) if test else (train, validation)


def _beneath(placed: _Placed, names: set[str]) -> _Placed:
    """What lies in folders of these names, seen from there."""
    tops = {path[0] for path, _ in placed if path[0].casefold() in names}
    return [one for top in tops for one in _unwrapped([(path[1:], file) for path, file in placed if path[0] == top])]


def _unwrapped(placed: _Placed) -> _Placed:
    """Without the folders around all other folders, and without the files beside folders."""
    while True:
        placed = [(path, file) for path, file in placed if len(path) > 1]
        if len({path[0] for path, _ in placed}) != 1 or all(len(path) == 2 for path, _ in placed):
            return placed
        placed = [(path[1:], file) for path, file in placed]


def _labelled(placed: _Placed, names: tuple[str, ...]) -> tuple[Labelled, ...]:
    labels = {name: label for label, name in enumerate(names)}
    labelled = [(file, labels[path[0]]) for path, file in placed]
    return tuple(sorted(labelled, key=lambda one: (one[1], natural_key(one[0].name))))
