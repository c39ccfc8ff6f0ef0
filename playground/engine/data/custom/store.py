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

from playground.core.datasets import CUSTOM_PREFIX, Dataset, ExtractedFeatures
from playground.core.json_io import parse_json
from playground.engine.data.batch import LabeledImages
from playground.engine.data.custom.image_folder import CustomImages
from playground.engine.paths import clean_name, get_data_folder, make_folder, make_write_error
from playground.engine.rng import make_generator
from playground.errors import OwnershipError, SchemaVersionError, StorageError, UnknownNameError

_TEST_FRACTION = 1 / 6  # of every class; MNIST's is a seventh
_NAME_PATTERN = re.compile(r"[a-z0-9-]{1,60}")  # what may become a folder
_MAX_SLUG_LENGTH = 40
_RECORD_FILE, _IMAGES_FILE = "dataset.json", "images.safetensors"


class CustomDatasetRecord(BaseModel):
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
    features: ExtractedFeatures | None = None
    owner: str | None = None


def save_custom_dataset(
    name: str,
    custom_images: CustomImages,
    *,
    is_drawn: bool = False,
    features: ExtractedFeatures | None = None,
    owner: str | None = None,
) -> str:
    """Keep images under a title; returns the name of the data set, ``own:…``, which is the same for the same images.

    ``is_drawn``: they are strokes, light on dark, so that a drawing can be fitted to look like them. ``features``: they
    are no pictures but what a net saw in some. Where there are no test images, a sixth of every class becomes them.
    Raises StoreError where the disk says no.
    """
    title = clean_name(name) or "Own images"
    train, test = (
        (custom_images.train, custom_images.test) if custom_images.test else _split_off_test(custom_images.train)
    )
    train, test = _shuffle(train), _shuffle(test)
    tensors = {
        "train_images": train.images,
        "train_labels": train.labels,
        "test_images": test.images,
        "test_labels": test.labels,
    }
    channels, height, width = train.images.shape[1:]
    record = CustomDatasetRecord(
        title=title,
        class_names=custom_images.class_names,
        channels=channels,
        height=height,
        width=width,
        train_size=len(train),
        test_size=len(test),
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        drawn=is_drawn,
        features=features,
        owner=owner,
    )
    folder = _custom_datasets_folder() / f"{_slugify(title)}-{_compute_digest(tensors, custom_images.class_names)}"
    kept = _load_records().get(folder.name)
    if kept and kept.owner != owner:
        record = record.model_copy(update={"owner": None})  # who brings the same as somebody else has it together
    if kept is None or (kept.owner, kept.features) != (record.owner, record.features):
        _write_dataset(folder, record, tensors)
    return f"{CUSTOM_PREFIX}{folder.name}"


def list_custom_datasets() -> dict[str, Dataset]:
    """Every set by its name; those whose record is damaged are left out."""
    return {
        f"{CUSTOM_PREFIX}{name}": _to_dataset(f"{CUSTOM_PREFIX}{name}", record)
        for name, record in _load_records().items()
    }


def find_custom_dataset(name: str) -> Dataset | None:
    """One of them; None where there is none that can be read."""
    try:
        return _to_dataset(name, _read_record(_find_folder(name) / _RECORD_FILE))
    except (UnknownNameError, StorageError, SchemaVersionError):
        return None


def find_deleted_dataset(name: str) -> Dataset | None:
    """What is still known of one of them that was thrown away: all but its images."""
    folder = name.removeprefix(CUSTOM_PREFIX)
    if not (name.startswith(CUSTOM_PREFIX) and _NAME_PATTERN.fullmatch(folder)):
        return None
    try:
        kept = _to_dataset(name, _read_record(_custom_datasets_folder() / folder / _RECORD_FILE))
    except (StorageError, SchemaVersionError):
        return None
    return replace(kept, title=f"{kept.title} (deleted)", train_size=0, test_size=0)


def _to_dataset(name: str, record: CustomDatasetRecord) -> Dataset:
    return Dataset(
        name=name,
        title=record.title,
        input_shape=(record.channels, record.height, record.width),
        class_names=record.class_names,
        train_size=record.train_size,
        test_size=record.test_size,
        credit=_describe_credit(record),
        has_strokes=record.drawn,
        is_flip_invariant=not (record.drawn or record.features),
        features=record.features,
    )


def _describe_credit(record: CustomDatasetRecord) -> str:
    if record.features:
        return f"What a pretrained net sees in {record.features.source}"
    return "Your own drawings." if record.drawn else "Your own images."


def load_custom_tensors(name: str) -> dict[str, Tensor]:
    """``train_images`` uint8 (count, channels, height, width), ``train_labels`` int64 (count,), ``test_…``; mapped.

    Raises UnknownNameError for a name that there is not, StoreError for a damaged set.
    """
    folder = _find_folder(name)
    record = _read_record(folder / _RECORD_FILE)
    try:
        tensors = load_file(folder / _IMAGES_FILE)
    except (OSError, SafetensorError) as problem:
        raise _damaged_dataset_error(name, str(problem)) from problem
    if not _matches_record(tensors, record):
        raise _damaged_dataset_error(name, "its images are not those of its record")
    return tensors


def delete_custom_dataset(name: str, requester: str | None = None) -> None:
    """Throw a set's images away; runs that were trained on it keep their weights and the names of its classes.

    ``requester`` is who wants that: None, the machine itself, may. Raises UnknownNameError, OwnerError, StoreError.
    """
    folder = _find_folder(name)
    if requester is not None and _read_record(folder / _RECORD_FILE).owner not in (None, requester):
        raise OwnershipError(
            "This is another person's data set.",
            expected="A data set is deleted by whoever brought it, or on the machine that it is kept on.",
        )
    with _temporary_sibling_folder(folder) as scratch:
        (folder / _IMAGES_FILE).rename(scratch / _IMAGES_FILE)  # at once and whole: a set without is not listed


def _split_off_test(images: LabeledImages) -> tuple[LabeledImages, LabeledImages]:
    """Images to train on and images to test with, in equal shares of every class, at least one of each."""
    shuffled = torch.randperm(len(images), generator=make_generator("own test"))
    tested = torch.zeros(len(images), dtype=torch.bool)
    for label in range(int(images.labels.max()) + 1):
        places = shuffled[images.labels[shuffled] == label]
        tested[places[: max(1, round(len(places) * _TEST_FRACTION))]] = True
    return images.take((~tested).nonzero().flatten()), images.take(tested.nonzero().flatten())


def _shuffle(images: LabeledImages) -> LabeledImages:
    """Shuffled with a fixed seed: whoever looks at the first images sees every class."""
    return images.take(torch.randperm(len(images), generator=make_generator("own order")))


def _slugify(title: str) -> str:
    plain = unicodedata.normalize("NFKD", title).encode("ascii", "ignore").decode().lower()
    return re.sub("[^a-z0-9]+", "-", plain)[:_MAX_SLUG_LENGTH].strip("-") or "images"


def _compute_digest(tensors: dict[str, Tensor], class_names: tuple[str, ...]) -> str:
    digest = hashlib.blake2b(repr((class_names, tensors["train_images"].shape)).encode(), digest_size=4)
    for tensor in tensors.values():
        digest.update(tensor.contiguous().numpy().data)
    return digest.hexdigest()


def _write_dataset(folder: Path, record: CustomDatasetRecord, tensors: dict[str, Tensor]) -> None:
    with _temporary_sibling_folder(folder) as scratch:
        made = scratch / "made"
        made.mkdir()
        (made / _RECORD_FILE).write_text(record.model_dump_json(by_alias=True, indent=2), encoding="utf-8")
        try:
            save_file(tensors, made / _IMAGES_FILE)
        except SafetensorError as problem:  # how it wraps a full disk
            raise OSError(errno.ENOSPC, str(problem)) from problem
        if folder.exists():  # damaged, since it is not listed
            folder.rename(scratch / "damaged")
        made.rename(folder)


@contextlib.contextmanager
def _temporary_sibling_folder(folder: Path) -> Iterator[Path]:
    """A hidden folder beside ``folder``, gone with the block; raises StoreError where the disk says no."""
    make_folder(folder.parent)
    try:
        with tempfile.TemporaryDirectory(prefix=".", dir=folder.parent, ignore_cleanup_errors=True) as scratch:
            yield Path(scratch)
    except OSError as problem:
        raise make_write_error(folder, problem) from problem


def _custom_datasets_folder() -> Path:
    return get_data_folder() / "datasets" / "own"


def _find_folder(name: str) -> Path:
    """The folder of a set that is there; a name from outside becomes a path only if it could have come from here."""
    folder = name.removeprefix(CUSTOM_PREFIX)
    if (
        name.startswith(CUSTOM_PREFIX)
        and _NAME_PATTERN.fullmatch(folder)
        and (_custom_datasets_folder() / folder / _IMAGES_FILE).is_file()
    ):
        return _custom_datasets_folder() / folder
    raise UnknownNameError(
        f"There is no data set {name!r}.",
        expected=f"Your own data sets: {', '.join(list_custom_datasets()) or 'none yet'}.",
    )


def _load_records() -> dict[str, CustomDatasetRecord]:
    found = {}
    for path in sorted(_custom_datasets_folder().glob(f"*/{_RECORD_FILE}")):
        if _NAME_PATTERN.fullmatch(path.parent.name) and path.with_name(_IMAGES_FILE).is_file():
            with contextlib.suppress(StorageError, SchemaVersionError):
                found[path.parent.name] = _read_record(path)
    return found


def _read_record(path: Path) -> CustomDatasetRecord:
    try:
        return parse_json(CustomDatasetRecord, path.read_text(encoding="utf-8"), StorageError)
    except (OSError, UnicodeDecodeError) as problem:
        raise StorageError(f"{path} cannot be read: {problem}.", fix="Bring the images again.") from problem


def _matches_record(tensors: dict[str, Tensor], record: CustomDatasetRecord) -> bool:
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


def _damaged_dataset_error(name: str, reason: str) -> StorageError:
    return StorageError(f"The data set {name} cannot be read: {reason}.", fix="Delete it and bring the images again.")
