"""Worker: the process that trains. It imports torch and loads the data first, then waits for a job and commands.

It reads one JSON value a line from its standard input: first a ``JobSpec``, then commands. If its parent ends, that
input ends too: the run is saved as ``interrupted``. A SIGTERM saves it as ``stopped``. It never imports streamlit.
"""

import contextlib
import io
import json
import queue
import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO

from playground.core.events import Command, RunFailed, Stop, parse_command
from playground.core.presets import get_architecture_preset, get_recipe_preset
from playground.engine.data.splits import load_splits
from playground.engine.runs.initial_state import create_trainer, load_initial_state
from playground.engine.runs.recorder import Recorder
from playground.engine.runs.repository import read_run
from playground.engine.runs.run import Run
from playground.engine.runs.run_files import append_events
from playground.engine.training.command_sources import CommandSource
from playground.engine.training.evaluation_schedule import EvaluationSchedule
from playground.engine.training.trainer import Trainer
from playground.engine.workers.job import JobSpec
from playground.engine.workers.limits import compute_machine_limits
from playground.engine.workers.malloc import retain_freed_memory
from playground.errors import PlaygroundError

_CALIBRATION_STEPS = 12
_MAX_WAIT_S = 1e8  # the longest timeout of a system call


class PipeCommandSource:
    """Command source that reads a stream in a thread, and stops a run that exceeds the job's time limits.

    ``max_run_s`` counts training only, ``max_pause_s`` a pause without commands.
    """

    def __init__(self, stream: IO[str], job: JobSpec, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._job = job
        self._clock = clock
        self._started_at = clock()
        self._commands: queue.SimpleQueue[Command] = queue.SimpleQueue()
        for command in job.initial_commands:
            self._commands.put(command)
        signal.signal(
            signal.SIGTERM,
            lambda *_: self._commands.put(Stop(reason="The process was asked to end from outside the app.")),
        )
        self._reader_thread = threading.Thread(target=self._read_commands, args=(stream,), daemon=True)
        self._reader_thread.start()

    def poll(self) -> Sequence[Command]:
        """Commands that have arrived, without waiting."""
        commands = []
        while not self._commands.empty():
            commands.append(self._commands.get())
        limit_s = self._job.max_run_s
        if limit_s is not None and self._clock() - self._started_at >= limit_s:
            commands.append(Stop(reason=f"The time limit of a run ({limit_s:,.0f} s) was reached. Resume continues."))
        return commands

    def wait(self) -> Command:
        """Wait for the next command; a stop if the pause exceeds its limit."""
        started_at = self._clock()
        limit_s = self._job.max_pause_s
        try:
            return self._commands.get(timeout=None if limit_s is None else min(limit_s, _MAX_WAIT_S))
        except queue.Empty:
            return Stop(reason=f"Paused for {limit_s:,.0f} s: saved, so that other runs can train. Resume continues.")
        finally:
            self._started_at += self._clock() - started_at

    def _read_commands(self, stream: IO[str]) -> None:
        for line in stream:
            command = parse_command(line)
            if command is not None:
                self._commands.put(command)
        self._commands.put(Stop(status="interrupted"))


def train_run(run: Run, command_source: CommandSource) -> None:
    """Train a run from its last checkpoint to its end; an error becomes the last event of its log."""
    try:
        recipe = run.record.recipe
        trainer = create_trainer(
            run.record.architecture, recipe, load_initial_state(run), limits=compute_machine_limits(recipe)
        )
        with Recorder(run) as recorder:
            for _ in recorder.run_trainer(trainer, command_source):
                pass
    except PlaygroundError as error:
        _log_failure(run, error)
    except Exception as error:  # logged, because pages read the log; raised again for the exit code
        _log_failure(run, PlaygroundError(f"Training stopped with {type(error).__name__}: {error}"))
        raise


def _log_failure(run: Run, error: PlaygroundError) -> None:
    history = run.read_history()
    failure = RunFailed(
        step=history.step, elapsed_s=history.elapsed_s, what=error.what, expected=error.expected, fix=error.fix
    )
    if not run.is_live():  # else another process trains this run and owns the log
        with contextlib.suppress(OSError):  # the disk that failed the run may fail here too
            append_events(run.log_path, failure)


def _measure_reference_speed() -> float:
    """Measure images/s of the guide network; also makes torch load its kernels before the run needs them."""
    recipe = get_recipe_preset("sprint").recipe
    trainer = Trainer(
        get_architecture_preset("guide").architecture,
        recipe,
        evaluation_schedule=EvaluationSchedule(report_interval_s=1e9),
    )
    started = time.perf_counter()
    for event in trainer.run():
        if event.kind == "snapshot_saved" and event.step == 4:
            started = time.perf_counter()
        if event.step >= _CALIBRATION_STEPS:
            break
    return (trainer.step - 4) * recipe.batch_size / max(1e-6, time.perf_counter() - started)


def main() -> None:
    """Warm up, report it, take one job, train it, end."""
    retain_freed_memory()
    if isinstance(sys.stdin, io.TextIOWrapper):
        sys.stdin.reconfigure(errors="replace")  # an invalid byte must not end the thread that reads commands
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C ends the parent; the end of the input then ends this process
    try:
        load_splits("mnist", 5000)
        speed = _measure_reference_speed()
    except Exception:  # the run will meet the same error and log it
        speed = 0.0
    sys.stdout.write(json.dumps({"ready": True, "images_per_second": speed}) + "\n")
    sys.stdout.flush()
    line = sys.stdin.readline()
    if not line:
        return
    job = JobSpec.model_validate_json(line)
    train_run(read_run(Path(job.run_folder)), PipeCommandSource(sys.stdin, job))


if __name__ == "__main__":
    main()
