"""Operations on a run folder from outside of its training: rename, delete, stop."""

import shutil
import sys
from pathlib import Path

from playground.engine.file_lock import acquire_lock
from playground.engine.paths import clean_name, make_write_error, retry_while_in_use
from playground.engine.runs.record import PRETRAINED, write_record
from playground.engine.runs.run import Run
from playground.errors import StorageError


def rename_run(run: Run, name: str) -> Run:
    """Give a run another name; an empty one changes nothing."""
    record = run.record.model_copy(update={"name": clean_name(name) or run.record.name})
    write_record(run.folder, record)
    return Run(run.folder, record)


def delete_run(run: Run) -> None:
    """Delete a run; raises StorageError for the pretrained run and for one that is training."""
    if run.id == PRETRAINED:
        raise StorageError("The pretrained model comes with the program and stays.")
    hidden_folder = get_hidden_folder(run.folder)
    try:
        lock = acquire_lock(run.lock_path)
        if lock is None:
            raise StorageError(f"Run {run.id} is training.", fix="Stop it first.")
        lock.release()  # Windows does not rename a folder that contains an open file
        retry_while_in_use(lambda: run.folder.rename(hidden_folder))  # atomic: a partly deleted run is not listed
        retry_while_in_use(lambda: shutil.rmtree(hidden_folder))
    except OSError as error:
        raise make_write_error(run.folder, error) from error


def get_hidden_folder(folder: Path) -> Path:
    """Path of a run folder while it is created or deleted; such folders are not listed."""
    return folder.with_name(f".{folder.name}")


def request_stop(run: Run) -> None:
    """Ask the process that trains a run, also one of another server, to save a checkpoint and end."""
    if sys.platform == "win32":
        raise StorageError(
            "On Windows a process cannot ask another one to end.", fix="Stop it in the app, or with Ctrl-C."
        )
    import psutil  # imported on first use: it is not needed for the start of a server

    try:
        pid = int(run.pid_path.read_text(encoding="utf-8")) if run.is_live() else 0
    except (OSError, ValueError):
        pid = 0
    if pid <= 0:
        raise StorageError(f"Run {run.id} is not training.", expected=f"It is {run.read_history().status}.")
    try:
        psutil.Process(pid).terminate()
    except psutil.Error as error:
        raise StorageError(f"The process {pid} that trains run {run.id} cannot be stopped: {error}.") from error
