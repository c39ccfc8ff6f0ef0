"""Data sets that somebody brought, kept in the data folder: to be trained on by name, or thrown away.

``<home>/datasets/own/<name>/{dataset.json, images.safetensors}``. A name ends in a digest of the images: it means the
same ones for ever, so that a recipe that names them stays true.
"""

import contextlib
import errno
import hashlib
import re
import tempfile
import unicodedata
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal

import torch
from pydantic import BaseModel, ConfigDict, Field
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from playground.core.datasets import OWN, Dataset, Features
from playground.core.json_io import read_model
from playground.engine.data.batch import Images
from playground.engine.data.custom.image_folder import OwnImages
from playground.engine.paths import cannot_write, clean_name, home, make_folder
from playground.engine.rng import generator
from playground.errors import OwnerError, SchemaError, StoreError, UnknownNameError

_TEST_SHARE = 1 / 6  # of every class; MNIST's is a seventh
_NAME = re.compile(r"[a-z0-9-]{1,60}")  # what may become a folder
_MAX_SLUG = 40
_RECORD, _IMAGES = "dataset.json", "images.safetensors"


class OwnDataset(BaseModel):
    """``dataset.json``: what a screen needs to know of a set before it is loaded."""

    model_config = ConfigDict(frozen=True, extra="ignore", populate_by_name=True)

    schema_version: int = Field(default=1, alias="schema")
    title: str = Field(min_length=1, max_length=80)
    class_names: tuple[Annotated[str, Field(max_length=80)], ...] = Field(min_length=2, max_length=1000)
    channels: Literal[1, 3]
    height: int = Field(ge=1, le=256)
    width: int = Field(ge=1, le=256)
    train_size: int = Field(ge=1)
    test_size: int = Field(ge=1)
    created: str
    drawn: bool = False
    features: Features | None = None
    owner: str | None = None


def save_own_dataset(
    name: str,
    own: OwnImages,
    *,
    drawn: bool = False,
    features: Features | None = None,
    owner: str | None = None,
) -> str:
    """Keep images under a title; returns the name of the data set, ``own:…``, which is the same for the same images.

    ``drawn``: they are strokes, light on dark, so that a drawing can be fitted to look like them. ``features``: they
    are no pictures but what a net saw in some. Where there are no test images, a sixth of every class becomes them.
    Raises StoreError where the disk says no.
    """
    title = clean_name(name) or "Own images"
    train, test = (own.images, own.test) if own.test else _parted(own.images)
    train, test = _mixed(train), _mixed(test)
    tensors = {
        "train_images": train.images,
        "train_labels": train.labels,
        "test_images": test.images,
        "test_labels": test.labels,
    }
    channels, height, width = train.images.shape[1:]
    record = OwnDataset(
        title=title,
        class_names=own.class_names,
        channels=channels,
        height=height,
        width=width,
        train_size=len(train),
        test_size=len(test),
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        drawn=drawn,
        features=features,
        owner=owner,
    )
    folder = _own_folder() / f"{_slug(title)}-{_digest(tensors, own.class_names)}"
    kept = _records().get(folder.name)
    if kept and kept.owner != owner:
        record = record.model_copy(update={"owner": None})  # who brings the same as somebody else has it together
    if kept is None or (kept.owner, kept.features) != (record.owner, record.features):
        _write(folder, record, tensors)
    return f"{OWN}{folder.name}"


def own_datasets() -> dict[str, Dataset]:
    """Every set by its name; those whose record is damaged are left out."""
    return {f"{OWN}{name}": _dataset(f"{OWN}{name}", record) for name, record in _records().items()}


def own_dataset(name: str) -> Dataset | None:
    """One of them; None where there is none that can be read."""
    try:
        return _dataset(name, _record(_folder_of(name) / _RECORD))
    except (UnknownNameError, StoreError, SchemaError):
        return None


def deleted_dataset(name: str) -> Dataset | None:
    """What is still known of one of them that was thrown away: all but its images."""
    folder = name.removeprefix(OWN)
    if not (name.startswith(OWN) and _NAME.fullmatch(folder)):
        return None
    try:
        kept = _dataset(name, _record(_own_folder() / folder / _RECORD))
    except (StoreError, SchemaError):
        return None
    return replace(kept, title=f"{kept.title} (deleted)", train_size=0, test_size=0)


def _dataset(name: str, record: OwnDataset) -> Dataset:
    return Dataset(
        name=name,
        title=record.title,
        input_shape=(record.channels, record.height, record.width),
        class_names=record.class_names,
        train_size=record.train_size,
        test_size=record.test_size,
        credit=_credit(record),
        strokes=record.drawn,
        mirrors=not (record.drawn or record.features),
        features=record.features,
    )


def _credit(record: OwnDataset) -> str:
    if record.features:
        return f"What a pretrained net sees in {record.features.source}"
    return "Your own drawings." if record.drawn else "Your own images."


def load_own_tensors(name: str) -> dict[str, Tensor]:
    """``train_images`` uint8 (count, channels, height, width), ``train_labels`` int64 (count,), ``test_…``; mapped.

    Raises UnknownNameError for a name that there is not, StoreError for a damaged set.
    """
    folder = _folder_of(name)
    record = _record(folder / _RECORD)
    try:
        tensors = load_file(folder / _IMAGES)
    except (OSError, SafetensorError) as problem:
        raise _damaged(name, str(problem)) from problem
    if not _is_as_recorded(tensors, record):
        raise _damaged(name, "its images are not those of its record")
    return tensors


def delete_own_dataset(name: str, by: str | None = None) -> None:
    """Throw a set's images away; runs that were trained on it keep their weights and the names of its classes.

    ``by`` is who wants that: None, the machine itself, may. Raises UnknownNameError, OwnerError, StoreError.
    """
    folder = _folder_of(name)
    if by is not None and _record(folder / _RECORD).owner not in (None, by):
        raise OwnerError(
            "This is another person's data set.",
            expected="A data set is deleted by whoever brought it, or on the machine that it is kept on.",
        )
    with _scratch(folder) as scratch:
        (folder / _IMAGES).rename(scratch / _IMAGES)  # at once and whole: a set without is not listed


def _parted(images: Images) -> tuple[Images, Images]:
    """Images to train on and images to test with, in equal shares of every class, at least one of each."""
    shuffled = torch.randperm(len(images), generator=generator("own test"))
    tested = torch.zeros(len(images), dtype=torch.bool)
    for label in range(int(images.labels.max()) + 1):
        places = shuffled[images.labels[shuffled] == label]
        tested[places[: max(1, round(len(places) * _TEST_SHARE))]] = True
    return images.take((~tested).nonzero().flatten()), images.take(tested.nonzero().flatten())


def _mixed(images: Images) -> Images:
    """Shuffled with a fixed seed: whoever looks at the first images sees every class."""
    return images.take(torch.randperm(len(images), generator=generator("own order")))


def _slug(title: str) -> str:
    plain = unicodedata.normalize("NFKD", title).encode("ascii", "ignore").decode().lower()
    return re.sub("[^a-z0-9]+", "-", plain)[:_MAX_SLUG].strip("-") or "images"


def _digest(tensors: dict[str, Tensor], class_names: tuple[str, ...]) -> str:
    digest = hashlib.blake2b(repr((class_names, tensors["train_images"].shape)).encode(), digest_size=4)
    for tensor in tensors.values():
        digest.update(tensor.contiguous().numpy().data)
    return digest.hexdigest()


def _write(folder: Path, record: OwnDataset, tensors: dict[str, Tensor]) -> None:
    with _scratch(folder) as scratch:
        made = scratch / "made"
        made.mkdir()
        (made / _RECORD).write_text(record.model_dump_json(by_alias=True, indent=2), encoding="utf-8")
        try:
            save_file(tensors, made / _IMAGES)
        except SafetensorError as problem:  # how it wraps a full disk
            raise OSError(errno.ENOSPC, str(problem)) from problem
        if folder.exists():  # damaged, since it is not listed
            folder.rename(scratch / "damaged")
        made.rename(folder)


@contextlib.contextmanager
def _scratch(folder: Path) -> Iterator[Path]:
    """A hidden folder beside ``folder``, gone with the block; raises StoreError where the disk says no."""
    make_folder(folder.parent)
    try:
        with tempfile.TemporaryDirectory(prefix=".", dir=folder.parent, ignore_cleanup_errors=True) as scratch:
            yield Path(scratch)
    except OSError as problem:
        raise cannot_write(folder, problem) from problem


def _own_folder() -> Path:
    return home() / "datasets" / "own"


def _folder_of(name: str) -> Path:
    """The folder of a set that is there; a name from outside becomes a path only if it could have come from here."""
    folder = name.removeprefix(OWN)
    if name.startswith(OWN) and _NAME.fullmatch(folder) and (_own_folder() / folder / _IMAGES).is_file():
        return _own_folder() / folder
    raise UnknownNameError(
        f"There is no data set {name!r}.",
        expected=f"Your own data sets: {', '.join(own_datasets()) or 'none yet'}.",
    )


def _records() -> dict[str, OwnDataset]:
    found = {}
    for path in sorted(_own_folder().glob(f"*/{_RECORD}")):
        if _NAME.fullmatch(path.parent.name) and path.with_name(_IMAGES).is_file():
            with contextlib.suppress(StoreError, SchemaError):
                found[path.parent.name] = _record(path)
    return found


def _record(path: Path) -> OwnDataset:
    try:
        return read_model(OwnDataset, path.read_text(encoding="utf-8"), StoreError)
    except (OSError, UnicodeDecodeError) as problem:
        raise StoreError(f"{path} cannot be read: {problem}.", fix="Bring the images again.") from problem


def _is_as_recorded(tensors: dict[str, Tensor], record: OwnDataset) -> bool:
    """Whether the tensors are what the record says, and every label is a class."""
    shape = (record.channels, record.height, record.width)
    for part, size in (("train", record.train_size), ("test", record.test_size)):
        images, labels = tensors.get(f"{part}_images"), tensors.get(f"{part}_labels")
        if images is None or images.shape != (size, *shape) or images.dtype != torch.uint8:
            return False
        if labels is None or labels.shape != (size,) or labels.dtype != torch.int64:
            return False
        if labels.min() < 0 or labels.max() >= len(record.class_names):
            return False
    return True


def _damaged(name: str, reason: str) -> StoreError:
    return StoreError(f"The data set {name} cannot be read: {reason}.", fix="Delete it and bring the images again.")
