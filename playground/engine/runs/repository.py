"""The folder of all runs: making one, finding one by its name, listing them."""

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

from playground import __version__
from playground.core.architecture import Architecture
from playground.core.json_io import read_model
from playground.core.recipe import Recipe
from playground.engine.paths import bundled, cannot_write, clean_name, home, make_folder
from playground.engine.runs.run import PRETRAINED, Run, RunRecord, hidden, write_record
from playground.errors import SchemaError, StoreError, UnknownNameError

LATEST = "latest"
_LEFT_FOR_GOOD_S = 3600
_STAMP = "%Y%m%d-%H%M%S"
_ID_STAMP = re.compile(r"\d{8}-\d{6}-")


def runs_folder() -> Path:
    """Where run folders lie."""
    return home() / "runs"


def create_run(
    architecture: Architecture,
    recipe: Recipe,
    *,
    name: str | None = None,
    owner: str | None = None,
    parent: str | None = None,
    parent_step: int | None = None,
    fill: Callable[[Run], None] | None = None,
) -> Run:
    """A new run folder with its record, an empty log and what ``fill`` puts into it; it appears when all is there.

    Raises StoreError where the disk says no.
    """
    record = RunRecord(
        id=_next_id(),
        name=clean_name(name or "") or _next_name(),
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        architecture=architecture,
        recipe=recipe,
        versions={"cnn-playground": __version__, "torch": torch.__version__, "python": platform.python_version()},
        device=f"{platform.machine()}, {os.cpu_count()} cores",
        owner=owner,
        parent=parent,
        parent_step=parent_step,
    )
    run = Run(runs_folder() / record.id, record)
    made = Run(hidden(run.folder), record)
    make_folder(runs_folder())
    try:
        (made.folder / "snapshots").mkdir(parents=True)
        made.log_path.touch()
        write_record(made)
        if fill:
            fill(made)
        made.folder.rename(run.folder)
    except OSError as problem:
        raise cannot_write(run.folder, problem) from problem
    finally:
        shutil.rmtree(made.folder, ignore_errors=True)
    return run


def clear_leavings() -> None:
    """Remove what a kill left of run folders that were being made or deleted; for the start of a server."""
    for folder in runs_folder().glob(".*"):
        with contextlib.suppress(OSError):
            if folder.is_dir() and time.time() - folder.stat().st_mtime > _LEFT_FOR_GOOD_S:
                shutil.rmtree(folder, ignore_errors=True)


def read_run(folder: Path) -> Run:
    """The run in a folder; raises StoreError for no run, SchemaError for one of a newer version."""
    try:
        text = (folder / "run.json").read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as problem:
        raise StoreError(f"{folder} holds no run: {problem}.", expected="A run folder has a run.json.") from problem
    record = read_model(RunRecord, text, StoreError)
    if record.id != folder.name:  # a copied folder is a run of its own
        record = record.model_copy(update={"id": folder.name})
    return Run(folder, record)


def all_runs() -> tuple[list[Run], list[str]]:
    """Every run, the newest first, and for each folder that cannot be read one sentence that says why."""
    found, unreadable = [], []
    for folder in _run_folders():
        try:
            found.append(read_run(folder))
        except (StoreError, SchemaError) as problem:
            unreadable.append(f"{folder.name}: {problem}")
    return found, unreadable


def _run_folders() -> list[Path]:
    try:
        folders = sorted(runs_folder().iterdir(), reverse=True)
    except OSError:
        return []
    return [folder for folder in folders if folder.is_dir() and not folder.name.startswith(".")]


def pretrained_run() -> Run:
    """The run that comes with the program."""
    return read_run(bundled("assets/pretrained"))


def find_run(name: str) -> Run:
    """By id, unique prefix, ``latest`` or ``pretrained``; raises UnknownNameError with what there is."""
    if name == PRETRAINED:
        return pretrained_run()
    # Only what the folder lists: a name from outside must not become a path.
    if name in {folder.name for folder in _run_folders()}:
        return read_run(runs_folder() / name)
    runs, _ = all_runs()
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
        expected=f"A run is an id, a unique beginning of one, 'latest' or 'pretrained'. The newest: {known}.",
        fix="'cnn-playground runs' lists them.",
    )


def _next_id() -> str:
    """An id that sorts after every other: by the clock, unless that was set back or two are made in one second."""
    stamp = datetime.now(UTC).replace(microsecond=0, tzinfo=None)
    newest = next((folder.name for folder in _run_folders() if _ID_STAMP.match(folder.name)), "")
    with contextlib.suppress(ValueError):
        stamp = max(stamp, datetime.strptime(newest[:15], _STAMP) + timedelta(seconds=1))
    return f"{stamp:{_STAMP}}-{secrets.token_hex(3)}"


def free_name(name: str) -> str:
    """The name, with a number where a run has it already."""
    taken = {run.record.name for run in all_runs()[0]}
    names = (name if number == 1 else f"{name} {number}" for number in count(1))
    return next(one for one in names if one not in taken)


def _next_name() -> str:
    matches = (re.fullmatch(r"Run (\d{1,9})", run.record.name) for run in all_runs()[0])
    return f"Run {max((int(match[1]) for match in matches if match), default=0) + 1}"
