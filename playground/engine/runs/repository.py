"""Repository of runs: create, find and list them."""

import contextlib
import os
import platform
import re
import secrets
import shutil
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path

import torch

from playground.core.architecture import Architecture
from playground.core.json_io import parse_json
from playground.core.recipe import Recipe
from playground.engine.paths import (
    clean_name,
    find_bundled,
    get_data_folder,
    make_folder,
    make_write_error,
    retry_while_in_use,
)
from playground.engine.runs.manage import get_hidden_folder
from playground.engine.runs.record import PRETRAINED, RunRecord, write_record
from playground.engine.runs.run import Run
from playground.errors import SchemaVersionError, StorageError, UnknownNameError
from playground.version import __version__

LATEST = "latest"
_STALE_AFTER_S = 3600
_TIMESTAMP_FORMAT = "%Y%m%d-%H%M%S"
_RUN_ID_PATTERN = re.compile(r"\d{8}-\d{6}-")


def get_runs_folder() -> Path:
    """Folder that contains the run folders."""
    return get_data_folder() / "runs"


def create_run(
    architecture: Architecture,
    recipe: Recipe,
    *,
    name: str | None = None,
    owner: str | None = None,
    parent: str | None = None,
    parent_step: int | None = None,
    write_initial_files: Callable[[Run], None] | None = None,
) -> Run:
    """Create a run folder with its record, an empty log and the files of ``write_initial_files``; it appears complete.

    Raises StorageError where a write fails.
    """
    record = RunRecord(
        id=_generate_run_id(),
        name=clean_name(name or "") or _make_default_name(),
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        architecture=architecture,
        recipe=recipe,
        versions={"cnn-playground": __version__, "torch": torch.__version__, "python": platform.python_version()},
        device=f"{platform.machine()}, {os.cpu_count()} cores",
        owner=owner,
        parent=parent,
        parent_step=parent_step,
    )
    run = Run(get_runs_folder() / record.id, record)
    hidden_run = Run(get_hidden_folder(run.folder), record)
    make_folder(get_runs_folder())
    try:
        (hidden_run.folder / "snapshots").mkdir(parents=True)
        hidden_run.log_path.touch()
        write_record(hidden_run.folder, record)
        if write_initial_files:
            write_initial_files(hidden_run)
        retry_while_in_use(lambda: hidden_run.folder.rename(run.folder))
    except OSError as error:
        raise make_write_error(run.folder, error) from error
    finally:
        shutil.rmtree(hidden_run.folder, ignore_errors=True)
    return run


def remove_stale_files() -> None:
    """Remove run folders whose creation or deletion was killed; called when a server starts."""
    for folder in get_runs_folder().glob(".*"):
        with contextlib.suppress(OSError):
            if folder.is_dir() and time.time() - folder.stat().st_mtime > _STALE_AFTER_S:
                shutil.rmtree(folder, ignore_errors=True)


def read_run(folder: Path) -> Run:
    """Read the run in a folder; raises StorageError for no run, SchemaVersionError for one of a newer version."""
    try:
        text = (folder / "run.json").read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise StorageError(f"{folder} contains no run: {error}.", expected="A run folder has a run.json.") from error
    record = parse_json(RunRecord, text, StorageError)
    if record.id != folder.name:  # a copied folder is another run
        record = record.model_copy(update={"id": folder.name})
    return Run(folder, record)


def list_runs() -> tuple[list[Run], list[str]]:
    """List every run, the newest first, and one sentence for each folder that cannot be read."""
    runs, unreadable = [], []
    for folder in _list_run_folders():
        try:
            runs.append(read_run(folder))
        except (StorageError, SchemaVersionError) as error:
            unreadable.append(f"{folder.name}: {error}")
    return runs, unreadable


def _list_run_folders() -> list[Path]:
    try:
        folders = sorted(get_runs_folder().iterdir(), reverse=True)
    except OSError:
        return []
    return [folder for folder in folders if folder.is_dir() and not folder.name.startswith(".")]


def load_pretrained_run() -> Run:
    """Load the pretrained run that comes with the program."""
    return read_run(find_bundled("assets/pretrained"))


def find_run(name: str) -> Run:
    """Find a run by id, unique prefix, ``latest`` or ``pretrained``; raises UnknownNameError naming the newest runs."""
    if name == PRETRAINED:
        return load_pretrained_run()
    # Only names that the folder lists: a name from outside must not become a path.
    if name in {folder.name for folder in _list_run_folders()}:
        return read_run(get_runs_folder() / name)
    runs, _ = list_runs()
    if name == LATEST and runs:
        return runs[0]
    matching = [run for run in runs if name and run.id.startswith(name)]
    if len(matching) == 1:
        return matching[0]
    if len(matching) > 1:
        ids = ", ".join(run.id for run in matching[:5])
        raise UnknownNameError(f"{len(matching)} runs begin with {name!r}: {ids}.", fix="Give more of the id.")
    known = ", ".join(run.id for run in runs[:5]) or "none yet"
    raise UnknownNameError(
        f"There is no run {name!r}.",
        expected=f"A run is an id, a unique prefix of one, 'latest' or 'pretrained'. The newest: {known}.",
        fix="'cnn-playground runs' lists them.",
    )


def _generate_run_id() -> str:
    """Generate an id that sorts after every other: the time, or 1 s after the newest run if the clock is behind."""
    stamp = datetime.now(UTC).replace(microsecond=0, tzinfo=None)
    newest = next((folder.name for folder in _list_run_folders() if _RUN_ID_PATTERN.match(folder.name)), "")
    with contextlib.suppress(ValueError):
        stamp = max(stamp, datetime.strptime(newest[:15], _TIMESTAMP_FORMAT) + timedelta(seconds=1))
    return f"{stamp:{_TIMESTAMP_FORMAT}}-{secrets.token_hex(3)}"


def make_unique_name(name: str) -> str:
    """Append a number to the name if a run has it already."""
    taken = {run.record.name for run in list_runs()[0]}
    names = (name if number == 1 else f"{name} {number}" for number in count(1))
    return next(one for one in names if one not in taken)


def _make_default_name() -> str:
    matches = (re.fullmatch(r"Run (\d{1,9})", run.record.name) for run in list_runs()[0])
    return f"Run {max((int(match[1]) for match in matches if match), default=0) + 1}"
