"""Storage of custom datasets in the data folder.

``<home>/datasets/own/<name>/{dataset.json, images.safetensors}``. A name ends in a digest of the images, so that a
recipe always refers to the same images.
"""

import contextlib
import errno
import hashlib
import os
import re
import tempfile
import unicodedata
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal

import torch
from pydantic import AliasChoices, BaseModel, ConfigDict, Field
from safetensors import SafetensorError
from safetensors.torch import load, load_file, save_file
from torch import Tensor

from playground.core.datasets import CUSTOM_PREFIX, Dataset, ExtractedFeatures
from playground.core.json_io import parse_json
from playground.engine.data.batch import LabeledImages
from playground.engine.data.custom.image_folder import CustomImages
from playground.engine.paths import (
    atomic_write,
    clean_name,
    get_data_folder,
    make_folder,
    make_write_error,
    retry_while_in_use,
)
from playground.engine.rng import make_generator
from playground.errors import OwnershipError, SchemaVersionError, StorageError, UnknownNameError

_TEST_FRACTION = 1 / 6  # of each class; MNIST's is a seventh
_NAME_PATTERN = re.compile(r"[a-z0-9-]{1,60}")  # safe as a folder name
_MAX_SLUG_LENGTH = 40
_RECORD_FILE, _IMAGES_FILE = "dataset.json", "images.safetensors"
_CAN_DELETE_MAPPED_FILES = os.name != "nt"


class CustomDatasetRecord(BaseModel):
    """Content of ``dataset.json``: everything that is known of a dataset before its images are loaded."""

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
    is_drawn: bool = Field(default=False, validation_alias=AliasChoices("is_drawn", "drawn"))  # version 0.1: drawn
    features: ExtractedFeatures | None = None
    owner: str | None = None
    gray_bits: int = Field(default=16, ge=8, le=16)


def save_custom_dataset(
    name: str,
    custom_images: CustomImages,
    *,
    is_drawn: bool = False,
    features: ExtractedFeatures | None = None,
    owner: str | None = None,
) -> str:
    """Store images under a title; return the dataset's name ``own:…``, which is the same for the same images.

    ``is_drawn``: light strokes on a dark ground, so that drawings can be preprocessed to look like them. ``features``:
    set where the values are extracted features. Without test images a sixth of each class becomes the test split.
    Raises StorageError for a failed write.
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
        is_drawn=is_drawn,
        features=features,
        owner=owner,
        gray_bits=custom_images.gray_bits,
    )
    folder = _custom_datasets_folder() / f"{_slugify(title)}-{_compute_digest(tensors, custom_images.class_names)}"
    existing = _load_records().get(folder.name)
    if existing and existing.owner != owner:
        record = record.model_copy(update={"owner": None})  # the same images uploaded by two people belong to both
    if existing is None or (existing.owner, existing.features) != (record.owner, record.features):
        _write_dataset(folder, record, tensors)
    return f"{CUSTOM_PREFIX}{folder.name}"


def list_custom_datasets() -> dict[str, Dataset]:
    """List all custom datasets by name; those with a damaged record are left out."""
    return {
        f"{CUSTOM_PREFIX}{name}": _to_dataset(f"{CUSTOM_PREFIX}{name}", record)
        for name, record in _load_records().items()
    }


def find_custom_dataset(name: str) -> Dataset | None:
    """Find a custom dataset; None if there is none or its record is damaged."""
    try:
        return _to_dataset(name, _read_record(_find_folder(name) / _RECORD_FILE))
    except (UnknownNameError, StorageError, SchemaVersionError):
        return None


def find_deleted_dataset(name: str) -> Dataset | None:
    """Find the record of a deleted custom dataset; its sizes are 0."""
    folder = name.removeprefix(CUSTOM_PREFIX)
    if not (name.startswith(CUSTOM_PREFIX) and _NAME_PATTERN.fullmatch(folder)):
        return None
    try:
        dataset = _to_dataset(name, _read_record(_custom_datasets_folder() / folder / _RECORD_FILE))
    except (StorageError, SchemaVersionError):
        return None
    return replace(dataset, title=f"{dataset.title} (deleted)", train_size=0, test_size=0)


def export_record(name: str) -> str:
    """Return the record of a custom dataset, deleted or not, as JSON without its owner; empty for other datasets."""
    folder = name.removeprefix(CUSTOM_PREFIX)
    if not (name.startswith(CUSTOM_PREFIX) and _NAME_PATTERN.fullmatch(folder)):
        return ""
    try:
        record = _read_record(_custom_datasets_folder() / folder / _RECORD_FILE)
    except (StorageError, SchemaVersionError):
        return ""
    return record.model_copy(update={"owner": None}).model_dump_json(by_alias=True)


def import_record(name: str, content: str) -> None:
    """Store a record without images, so that runs on a dataset of another machine have its class names.

    An existing record is kept. Raises StorageError for an invalid record or a failed write.
    """
    folder = name.removeprefix(CUSTOM_PREFIX)
    if not (name.startswith(CUSTOM_PREFIX) and _NAME_PATTERN.fullmatch(folder)):
        raise StorageError(f"{name!r:.80} is not the name of a custom dataset.")
    record = parse_json(CustomDatasetRecord, content, StorageError)
    path = _custom_datasets_folder() / folder / _RECORD_FILE
    if path.exists():
        return
    make_folder(path.parent)
    with atomic_write(path) as temporary:
        temporary.write_text(record.model_dump_json(by_alias=True, indent=2), encoding="utf-8")


def _to_dataset(name: str, record: CustomDatasetRecord) -> Dataset:
    return Dataset(
        name=name,
        title=record.title,
        input_shape=(record.channels, record.height, record.width),
        class_names=record.class_names,
        train_size=record.train_size,
        test_size=record.test_size,
        credit=_describe_credit(record),
        has_strokes=record.is_drawn,
        is_flip_invariant=not (record.is_drawn or record.features),
        features=record.features,
        gray_bits=record.gray_bits,
    )


def _describe_credit(record: CustomDatasetRecord) -> str:
    if record.features:
        return f"Features of a pretrained network, extracted from {record.features.source}"
    return "Your own drawings." if record.is_drawn else "Your own images."


def load_custom_tensors(name: str) -> dict[str, Tensor]:
    """Load ``train_images`` uint8 (count, channels, height, width), ``train_labels`` int64 (count,), ``test_…``.

    Raises UnknownNameError for an unknown dataset, StorageError for a damaged one.
    """
    folder = _find_folder(name)
    record = _read_record(folder / _RECORD_FILE)
    try:
        tensors = _load_tensors(folder / _IMAGES_FILE)
    except (OSError, SafetensorError) as error:
        raise _damaged_dataset_error(name, str(error)) from error
    if not _matches_record(tensors, record):
        raise _damaged_dataset_error(name, "its images do not match its record")
    return tensors


def _load_tensors(path: Path) -> dict[str, Tensor]:
    """Memory-map tensors; on Windows read them, since a mapped file cannot be deleted there."""
    return load_file(path) if _CAN_DELETE_MAPPED_FILES else load(path.read_bytes())


def delete_custom_dataset(name: str, requester: str | None = None) -> None:
    """Delete a dataset's images; runs that were trained on it keep their weights and class names.

    ``requester`` None is the local user, who may delete all. Raises UnknownNameError, OwnershipError, StorageError.
    """
    folder = _find_folder(name)
    if requester is not None and _read_record(folder / _RECORD_FILE).owner not in (None, requester):
        raise OwnershipError(
            "This dataset belongs to another person.",
            expected="A dataset can be deleted by the person who uploaded it, or on the machine that stores it.",
        )
    with _temporary_sibling_folder(folder) as scratch:
        # Atomic: a dataset without images is not listed.
        retry_while_in_use(lambda: (folder / _IMAGES_FILE).rename(scratch / _IMAGES_FILE))


def _split_off_test(images: LabeledImages) -> tuple[LabeledImages, LabeledImages]:
    """Split off a stratified test set with at least one image of each class."""
    shuffled = torch.randperm(len(images), generator=make_generator("own test"))
    is_test = torch.zeros(len(images), dtype=torch.bool)
    for label in range(int(images.labels.max()) + 1):
        indices = shuffled[images.labels[shuffled] == label]
        is_test[indices[: max(1, round(len(indices) * _TEST_FRACTION))]] = True
    return images.take((~is_test).nonzero().flatten()), images.take(is_test.nonzero().flatten())


def _shuffle(images: LabeledImages) -> LabeledImages:
    """Shuffle with a fixed seed, so that the first images show every class."""
    return images.take(torch.randperm(len(images), generator=make_generator("own order")))


def _slugify(title: str) -> str:
    ascii_title = unicodedata.normalize("NFKD", title).encode("ascii", "ignore").decode().lower()
    return re.sub("[^a-z0-9]+", "-", ascii_title)[:_MAX_SLUG_LENGTH].strip("-") or "images"


def _compute_digest(tensors: dict[str, Tensor], class_names: tuple[str, ...]) -> str:
    digest = hashlib.blake2b(repr((class_names, tensors["train_images"].shape)).encode(), digest_size=4)
    for tensor in tensors.values():
        digest.update(tensor.contiguous().numpy().data)
    return digest.hexdigest()


def _write_dataset(folder: Path, record: CustomDatasetRecord, tensors: dict[str, Tensor]) -> None:
    with _temporary_sibling_folder(folder) as scratch:
        new = scratch / "new"
        new.mkdir()
        (new / _RECORD_FILE).write_text(record.model_dump_json(by_alias=True, indent=2), encoding="utf-8")
        try:
            save_file(tensors, new / _IMAGES_FILE)
        except SafetensorError as error:  # raised for a full disk
            raise OSError(errno.ENOSPC, str(error)) from error
        if folder.exists():  # unlisted, hence damaged
            retry_while_in_use(lambda: folder.rename(scratch / "damaged"))
        retry_while_in_use(lambda: new.rename(folder))


@contextlib.contextmanager
def _temporary_sibling_folder(folder: Path) -> Iterator[Path]:
    """Create a temporary hidden folder beside ``folder``; raises StorageError for a failed write."""
    make_folder(folder.parent)
    try:
        with tempfile.TemporaryDirectory(prefix=".", dir=folder.parent, ignore_cleanup_errors=True) as scratch:
            yield Path(scratch)
    except OSError as error:
        raise make_write_error(folder, error) from error


def _custom_datasets_folder() -> Path:
    return get_data_folder() / "datasets" / "own"


def _find_folder(name: str) -> Path:
    """Return a dataset's folder; an untrusted name becomes a path only if it matches the pattern of our names."""
    folder = name.removeprefix(CUSTOM_PREFIX)
    if (
        name.startswith(CUSTOM_PREFIX)
        and _NAME_PATTERN.fullmatch(folder)
        and (_custom_datasets_folder() / folder / _IMAGES_FILE).is_file()
    ):
        return _custom_datasets_folder() / folder
    raise UnknownNameError(
        f"There is no dataset {name!r}.",
        expected=f"A custom dataset: {', '.join(list_custom_datasets()) or 'none yet'}.",
    )


def _load_records() -> dict[str, CustomDatasetRecord]:
    records = {}
    for path in sorted(_custom_datasets_folder().glob(f"*/{_RECORD_FILE}")):
        if _NAME_PATTERN.fullmatch(path.parent.name) and path.with_name(_IMAGES_FILE).is_file():
            with contextlib.suppress(StorageError, SchemaVersionError):
                records[path.parent.name] = _read_record(path)
    return records


def _read_record(path: Path) -> CustomDatasetRecord:
    try:
        return parse_json(CustomDatasetRecord, path.read_text(encoding="utf-8"), StorageError)
    except (OSError, UnicodeDecodeError) as error:
        raise StorageError(f"{path} cannot be read: {error}.", fix="Upload the images again.") from error


def _matches_record(tensors: dict[str, Tensor], record: CustomDatasetRecord) -> bool:
    """Return True if the tensors have the record's shapes and every label is a class."""
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
    return StorageError(f"The dataset {name} cannot be read: {reason}.", fix="Delete it and upload the images again.")
