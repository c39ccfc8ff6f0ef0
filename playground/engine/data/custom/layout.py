"""Classes and split of uploaded files, inferred from their folders."""

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Literal

from playground.engine.data.custom.archive import FoundFile

LabeledFile = tuple[FoundFile, int]

_Role = Literal["train", "validation", "test"]
_Path = tuple[str, ...]
_PathedFiles = list[tuple[_Path, FoundFile]]  # with the remaining part of the path

_ROLE_WORDS: dict[_Role, set[str]] = {
    "train": {"train", "training"},
    "validation": {"val", "valid", "validation", "dev", "eval", "evaluation"},
    "test": {"test", "testing"},
}
_NEUTRAL_WORDS = {"set", "data", "dataset", "image", "images", "folder", "split"}
_MAX_LISTED_NAMES = 3


@dataclass(frozen=True)
class FolderLayout:
    """Files with their labels (indices of ``class_names``), in natural sort order.

    ``remarks`` are sentences on what was inferred and what is left out.
    """

    class_names: tuple[str, ...]
    train: tuple[LabeledFile, ...]
    test: tuple[LabeledFile, ...]
    remarks: tuple[str, ...] = ()


def infer_layout(files: Iterable[FoundFile], folders: Collection[_Path] = ()) -> FolderLayout:
    """Infer classes and splits; files outside class folders are left out. ``folders``: all of them, also empty ones.

    Common parent folders are ignored. Sibling folders such as ``train`` and ``test``, ``seg_train`` and ``seg_test`` or
    ``Training`` and ``Validation`` define the split, above or below the class folders. A validation folder beside a
    test folder is added to the training files, since a recipe draws its own validation images from them. Without class
    folders, names such as ``cat.1.jpg`` define the classes.
    """
    pathed_files = [(file.path, file) for file in files]
    layout = _infer_from_folders(pathed_files, folders)
    if layout.class_names:
        return layout
    named = _infer_from_folders([(_insert_class(path), file) for path, file in pathed_files], ())
    if not named.class_names:
        return layout
    remark = f"The classes are taken from the file names: {_list_names(named.class_names)}."
    return FolderLayout(named.class_names, named.train, named.test, (remark, *named.remarks))


def natural_sort_key(name: str) -> tuple[list[tuple[int, str]], str]:
    """Make a key for natural sort order: 2 before 10, ignoring case."""
    pieces = re.split("([0-9]+)", name.casefold())  # words and numbers in turn
    # Numbers are compared by length, then by digits, since Python limits the digits of an int.
    pieces[1::2] = [digits.lstrip("0") for digits in pieces[1::2]]
    return [(len(piece) if index % 2 else 0, piece) for index, piece in enumerate(pieces)], name


def _infer_from_folders(pathed_files: _PathedFiles, folders: Collection[_Path]) -> FolderLayout:
    stripped = _move_split_up(_strip_common_folders(pathed_files))
    tops = _find_split_folders({path[0] for path, _ in stripped})
    parts = {role: _find_files_under(stripped, names) for role, names in tops.items()}
    train = parts.get("train", []) if tops else stripped
    names = tuple(sorted({path[0] for path, _ in train}, key=natural_sort_key))
    labels = {name: label for label, name in enumerate(names)}
    remarks: list[str] = []
    validation, test = (
        _label_split(stripped, tops.get(role, set()), parts.get(role, []), labels, remarks)
        for role in ("validation", "test")
    )
    labeled_train = _label_files(train, labels)
    validation_names = _list_names(tops.get("validation", set()))
    if validation and test:
        labeled_train += validation
        remarks.insert(0, f"The images in {validation_names} are added to the training images.")
    elif validation:
        test = validation
        remarks.insert(0, f"The images in {validation_names} are the test images.")
    elif not test and names:
        remarks.append("One sixth of the images of each class is used for testing.")
    remarks += [f"{name} has no images: it does not become a class." for name in _find_empty_classes(train, folders)]
    remarks += _describe_alike_folders(train)
    return FolderLayout(names, _sort(labeled_train), _sort(test), tuple(remarks))


def _parse_split_folder(name: str) -> tuple[_Role, frozenset[str]] | None:
    """Return a split folder's role and the other words of its name; None for the name of another folder."""
    words = {word.lower().removesuffix("set") or "set" for word in re.findall("[A-Z]?[a-z]+|[A-Z]+", name)}
    roles = [role for role, role_words in _ROLE_WORDS.items() if words & role_words]
    return (roles[0], frozenset(words - _ROLE_WORDS[roles[0]] - _NEUTRAL_WORDS)) if len(roles) == 1 else None


def _find_split_folders(names: Collection[str]) -> dict[_Role, set[str]]:
    """Find sibling folders that hold the splits, by role; empty without a training folder and another one.

    The rest of their names is the same: ``toy_train`` and ``test_tube`` are classes.
    """
    groups: dict[frozenset[str], dict[_Role, set[str]]] = {}
    for name in sorted(names):
        if parsed := _parse_split_folder(name):
            role, rest = parsed
            groups.setdefault(rest, {}).setdefault(role, set()).add(name)
    return next((group for group in groups.values() if "train" in group and len(group) > 1), {})


def _move_split_up(files: _PathedFiles) -> _PathedFiles:
    """Exchange classes and splits where every class folder has split folders: ``cat/train`` to ``train/cat``."""
    below: dict[str, set[str]] = {}
    for path, _ in files:
        below.setdefault(path[0], set()).update(path[1:2] if len(path) > 2 else ())
    if len(below) < 2 or not all(map(_find_split_folders, below.values())):
        return files
    return [((path[1], path[0], *path[2:]), file) for path, file in files if len(path) > 2]


def _find_files_under(files: _PathedFiles, names: Collection[str]) -> _PathedFiles:
    """Find the files in folders of these names, with paths relative to them and without common parent folders."""
    return [
        relative
        for top in sorted(names)
        for relative in _strip_common_folders([(path[1:], file) for path, file in files if path[0] == top])
    ]


def _strip_common_folders(files: _PathedFiles) -> _PathedFiles:
    """Strip common parent folders, and leave out files beside folders."""
    while True:
        files = [(path, file) for path, file in files if len(path) > 1]
        if len({path[0] for path, _ in files}) != 1 or all(len(path) == 2 for path, _ in files):
            return files
        files = [(path[1:], file) for path, file in files]


def _label_split(
    files: _PathedFiles, tops: set[str], found: _PathedFiles, labels: dict[str, int], remarks: list[str]
) -> list[LabeledFile]:
    """Label the files of a validation or test folder by their class folders, or else by names such as ``cat_test.jpg``.

    Adds remarks on classes that the training images lack and on files without a label.
    """
    by_casefold = {name.casefold(): label for name, label in labels.items()}
    exact = {path[0]: labels.get(path[0], by_casefold.get(path[0].casefold())) for path, _ in found}
    labeled = [(file, label) for path, file in found if (label := exact[path[0]]) is not None]
    unknown = sorted((name for name, label in exact.items() if label is None), key=natural_sort_key)
    flat = [file for path, file in files if path[0] in tops]
    if not labeled and (labeled := _label_by_names(flat, by_casefold)):
        remarks.append(f"The classes of the images in {_list_names(tops)} are taken from their names.")
    elif unknown:
        remarks.append(f"No training images: {_list_names(unknown)} in {_list_names(tops)} is left out.")
    elif flat and not labeled:
        remarks.append(f"Files without a class folder in {_list_names(tops)}, which are left out: {len(flat):,}.")
    return labeled


def _label_by_names(files: list[FoundFile], labels: dict[str, int]) -> list[LabeledFile]:
    """Label files that are all named after classes, ``A_test.jpg``; numbers are never classes here."""
    names = sorted((name for name in labels if not name.isdigit()), key=len, reverse=True)
    pattern = re.compile(rf"({'|'.join(map(re.escape, names))})(?![^\W\d_])")
    labeled = []
    for file in files if names else ():
        match = pattern.match(PurePosixPath(file.path[-1]).stem.casefold())
        if match is None:
            return []
        labeled.append((file, labels[match[1]]))
    return labeled


def _insert_class(path: _Path) -> _Path:
    """Insert the class of a name such as ``cat.1.jpg`` as a folder."""
    match = re.fullmatch(r"([^\W\d][\w -]*)\.\d+\.\w+", path[-1])
    return (*path[:-1], match[1], path[-1]) if match else path


def _find_empty_classes(train: _PathedFiles, folders: Collection[_Path]) -> list[str]:
    """Find folders beside the class folders that hold no file."""
    parents = {file.path[: len(file.path) - len(path)] for path, file in train if len(path) <= len(file.path)}
    filled = {file.path[:end] for _, file in train for end in range(len(file.path))}
    empty = {path[-1] for path in folders if path[:-1] in parents and path not in filled}
    return sorted((name for name in empty if not _parse_split_folder(name)), key=natural_sort_key)


def _describe_alike_folders(train: _PathedFiles) -> list[str]:
    """Warn of class folders that all contain the same folders, which may be the classes."""
    below: dict[str, set[str]] = {}
    for path, _ in train:
        below.setdefault(path[0], set()).update(path[1:2] if len(path) > 2 else ())
    inner = next(iter(below.values()), set())
    if len(below) < 2 or len(inner) < 2 or any(other != inner for other in below.values()):
        return []
    return [
        f"{_list_names(below)} all contain the folders {_list_names(inner)}. If those are the classes, choose one of "
        "the outer folders."
    ]


def _label_files(files: _PathedFiles, labels: dict[str, int]) -> list[LabeledFile]:
    return [(file, labels[path[0]]) for path, file in files]


def _sort(labeled: list[LabeledFile]) -> tuple[LabeledFile, ...]:
    return tuple(sorted(labeled, key=lambda item: (item[1], natural_sort_key(item[0].name))))


def _list_names(names: Iterable[str]) -> str:
    """List the first names: "cat, dog and 3 more"."""
    ordered = sorted(names, key=natural_sort_key)
    more = f" and {len(ordered) - _MAX_LISTED_NAMES:,} more" if len(ordered) > _MAX_LISTED_NAMES else ""
    return ", ".join(ordered[:_MAX_LISTED_NAMES]) + more
