"""The process that trains: it imports torch and the data first, then waits for a run, then for commands.

It reads one JSON value a line from its standard input: first an ``JobSpec``, then commands. Its parent's death closes
that input: the run is saved and ends as ``interrupted``. A SIGTERM ends it as ``stopped``. It never imports streamlit.
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
from playground.engine.runs.run import Run, append_events
from playground.engine.training.evaluation_schedule import EvaluationSchedule
from playground.engine.training.trainer import Trainer
from playground.engine.workers.job import JobSpec
from playground.engine.workers.limits import compute_machine_limits
from playground.engine.workers.malloc import retain_freed_memory
from playground.errors import PlaygroundError

_CALIBRATION_STEPS = 12
_MAX_WAIT_S = 1e8  # more than a system call takes


class PipeCommandSource:
    """Commands from a stream, read by a thread so that training never waits for them; ends what exceeds its time.

    ``max_run_s`` counts training only, ``max_pause_s`` a pause in which nobody asks for anything.
    """

    def __init__(self, stream: IO[str], job: JobSpec, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._job = job
        self._clock = clock
        self._started_at = clock()
        self._commands: queue.SimpleQueue[Command] = queue.SimpleQueue()
        for command in job.initial_commands:
            self._commands.put(command)
        signal.signal(
            signal.SIGTERM, lambda *_: self._commands.put(Stop(reason="It was asked to from outside of the app."))
        )
        self._reader_thread = threading.Thread(target=self._read_commands, args=(stream,), daemon=True)
        self._reader_thread.start()

    def poll(self) -> Sequence[Command]:
        """What has come, without waiting."""
        found = []
        while not self._commands.empty():
            found.append(self._commands.get())
        limit_s = self._job.max_run_s
        if limit_s is not None and self._clock() - self._started_at >= limit_s:
            found.append(Stop(reason=f"The time that a run has here ({limit_s:,.0f} s) is over. Resume continues."))
        return found

    def wait(self) -> Command:
        """The next command, waiting for it; a stop if none comes for too long."""
        began = self._clock()
        limit_s = self._job.max_pause_s
        try:
            return self._commands.get(timeout=None if limit_s is None else min(limit_s, _MAX_WAIT_S))
        except queue.Empty:
            return Stop(reason=f"Paused for {limit_s:,.0f} s: saved, so that others can train. Resume continues.")
        finally:
            self._started_at += self._clock() - began

    def _read_commands(self, stream: IO[str]) -> None:
        for line in stream:
            command = parse_command(line)
            if command is not None:
                self._commands.put(command)
        self._commands.put(Stop(status="interrupted"))


def train_run(run: Run, command_source: PipeCommandSource) -> None:
    """Train a run from where it stands to its end; whatever goes wrong is the last event of its log."""
    try:
        recipe = run.record.recipe
        trainer = create_trainer(
            run.record.architecture, recipe, load_initial_state(run), limits=compute_machine_limits(recipe)
        )
        with Recorder(run) as recorder:
            for _ in recorder.run_trainer(trainer, command_source):
                pass
    except PlaygroundError as problem:
        _log_failure(run, problem)
    except Exception as problem:  # said in the log, where the page looks; raised again for the exit code
        _log_failure(run, PlaygroundError(f"Training stopped with {type(problem).__name__}: {problem}"))
        raise


def _log_failure(run: Run, error: PlaygroundError) -> None:
    history = run.read_history()
    failure = RunFailed(
        step=history.step, elapsed_s=history.elapsed_s, what=error.what, expected=error.expected, fix=error.fix
    )
    if not run.is_live():  # another process may be training the same run: its log is its own
        with contextlib.suppress(OSError):  # the disk that said no to the run may say no to this as well
            append_events(run, failure)


def _measure_reference_speed() -> float:
    """Images a second of the guide's net here; it also makes torch load its kernels before they are needed."""
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
    """Warm up, say so, take one run, train it, end."""
    retain_freed_memory()
    if isinstance(sys.stdin, io.TextIOWrapper):
        sys.stdin.reconfigure(errors="replace")  # a broken byte must not end the thread that reads commands
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C ends the parent; the closed input then ends this, saved
    try:
        load_splits("mnist", 5000)
        speed = _measure_reference_speed()
    except Exception:  # whatever it is, the run itself will meet it and say so in its log
        speed = 0.0
    sys.stdout.write(json.dumps({"ready": True, "images_per_second": speed}) + "\n")
    sys.stdout.flush()
    line = sys.stdin.readline()
    if not line:
        return
    order = JobSpec.model_validate_json(line)
    train_run(read_run(Path(order.run_folder)), PipeCommandSource(sys.stdin, order))


if __name__ == "__main__":
    main()
