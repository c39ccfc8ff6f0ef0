"""File formats of a run folder: log lines, snapshots and checkpoints."""

import json
import zipfile
from io import BytesIO
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save as save_tensors
from torch import Tensor

from playground.core.architecture import Architecture
from playground.core.events import Event
from playground.core.recipe import Recipe
from playground.engine.runs.record import RunRecord
from playground.engine.training.checkpoint import CHECKPOINT_SCHEMA, REQUIRED_CHECKPOINT_KEYS, rename_legacy_keys
from playground.errors import PlaygroundError, SchemaVersionError, StorageError


def serialize_event(event: Event) -> bytes:
    """Serialize an event as one line of the log."""
    return json.dumps(event.model_dump(mode="json"), separators=(",", ":")).encode() + b"\n"


def append_events(log_path: Path, *events: Event) -> None:
    """Append to the log of a run that no process writes; a line that a crash cut stays a separate line."""
    with log_path.open("ab") as log:
        log.write(b"\n" + b"".join(serialize_event(event) for event in events))


def serialize_snapshot(weights: dict[str, Tensor]) -> bytes:
    """Serialize weights as a safetensors file."""
    return save_tensors(weights)


def serialize_checkpoint(checkpoint: dict[str, Any]) -> bytes:
    """Serialize a checkpoint as a PyTorch file."""
    buffer = BytesIO()
    torch.save(checkpoint, buffer)
    return buffer.getvalue()


def read_checkpoint(path: Path, record: RunRecord) -> dict[str, Any]:
    """Read and check a checkpoint of a run; raises StorageError for a damaged file or one of another run.

    Raises FileNotFoundError for no file, SchemaVersionError for one of a version that this one cannot read.
    """
    try:
        with zipfile.ZipFile(path) as archive:  # torch does not verify the checksums
            damaged_member = archive.testzip()
        if damaged_member:
            raise zipfile.BadZipFile(f"{damaged_member} has another checksum")
        loaded: Any = torch.load(path, weights_only=True, map_location="cpu")
    except FileNotFoundError:
        raise
    except Exception as error:  # torch raises many types here; the file cannot be used after any of them
        raise StorageError(
            f"The checkpoint of run {record.id} is damaged: {type(error).__name__}.",
            expected="It is written to a temporary file and then renamed, so the disk may be at fault.",
            fix="Its snapshots can still be inspected; train again to continue.",
        ) from error
    schema = loaded.get("schema") if isinstance(loaded, dict) else None
    if isinstance(schema, int) and schema > CHECKPOINT_SCHEMA:
        raise SchemaVersionError(f"The checkpoint of run {record.id} was written by a newer version.", fix="Update.")
    if schema == 1:
        raise SchemaVersionError(
            f"The checkpoint of run {record.id} was written by an older version.",
            expected="Its curves and snapshots can still be inspected.",
            fix="Train again to continue.",
        )
    if schema != CHECKPOINT_SCHEMA or not loaded.keys() >= REQUIRED_CHECKPOINT_KEYS:
        raise StorageError(f"The checkpoint of run {record.id} is not one.", fix="Train again to continue.")
    checkpoint = rename_legacy_keys(loaded)
    if not _is_checkpoint_of_run(checkpoint, record):
        raise StorageError(f"The checkpoint of run {record.id} is another run's.", fix="Train again to continue.")
    return checkpoint


def _is_checkpoint_of_run(checkpoint: dict[str, Any], record: RunRecord) -> bool:
    """Compare the network and recipe of a checkpoint with a run's, except for live hyperparameters."""
    try:
        recipe = Recipe.from_json(checkpoint["recipe"])
        architecture = Architecture.from_json(checkpoint["architecture"])
    except PlaygroundError:
        return False
    return record.recipe.is_equal_except_live_hyperparameters(
        recipe
    ) and record.architecture.is_equal_except_dropout_rates(architecture)
