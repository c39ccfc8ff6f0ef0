"""Training in this process, steered by signals."""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import typer
from rich.progress import Progress as RichProgress

from playground.cli.output import console, err_console, make_run_json, print_json, print_metrics, print_progress
from playground.core.architecture import Architecture
from playground.core.recipe import Recipe

if TYPE_CHECKING:
    from playground.engine.progress import Progress
    from playground.engine.runs.initial_state import InitialState
    from playground.engine.runs.run import Run


def train_in_foreground(
    open_run: Callable[[], "Run"],
    architecture: Architecture,
    recipe: Recipe,
    *,
    as_json: bool,
    hyperparameters: dict[str, Any] | None = None,
    initial_state: "InitialState | None" = None,
) -> None:
    """Train in this process to the end; exit code 0 completed, 1 failed, 130 stopped by Ctrl-C.

    A run that was cut goes on from where it stands, with other ``knobs``.
    """
    from playground.core.history import History
    from playground.engine.runs.initial_state import EMPTY_INITIAL_STATE, create_trainer
    from playground.engine.runs.recorder import Recorder
    from playground.engine.workers.limits import compute_machine_limits
    from playground.engine.workers.malloc import retain_freed_memory

    retain_freed_memory()
    trainer = create_trainer(
        architecture, recipe, initial_state or EMPTY_INITIAL_STATE, limits=compute_machine_limits(recipe)
    )
    run = open_run()
    with _stop_on_interrupt(hyperparameters or {}) as inbox, Recorder(run) as recorder:
        history = History()
        for event in recorder.run_trainer(trainer, inbox):
            history.add(event)
            if event.kind in ("evaluated", "epoch_done", "diagnosed") and not as_json:
                print_progress(history)
    history = run.read_history()
    if as_json:
        print_json(make_run_json(run, history))
    else:
        console.print(f"{run.record.name} ({run.id}): {history.status}")
        print_metrics(history)
    if history.failure:
        err_console.print(f"Error: {history.failure.what}", soft_wrap=True)
        err_console.print(f"{history.failure.expected} {history.failure.fix}".strip(), soft_wrap=True)
        raise typer.Exit(1)
    if history.status == "stopped":
        err_console.print(f"Stopped. 'cnn-playground resume {run.id}' goes on from here.", soft_wrap=True)
        raise typer.Exit(130)


def download_dataset(name: str, *, as_json: bool = False) -> None:
    """Bring a data set here, if it is not yet, and say how far that is; raises DownloadError."""
    from playground.engine.data.fetch import download_dataset
    from playground.engine.data.registry import find_dataset, is_available

    if not is_available(find_dataset(name)):
        run_with_progress_bar(download_dataset(name), as_json=as_json)


def run_with_progress_bar(steps: Iterator["Progress | str"], *, as_json: bool) -> str | None:
    """Do work that says how far it is; the name of what it made, if it gives one."""
    made = None
    with RichProgress(console=err_console, disable=as_json) as shown:
        task = shown.add_task("", total=None)
        for step in steps:
            if isinstance(step, str):
                made = step
            else:
                shown.update(task, description=step.stage, completed=step.completed, total=step.total or None)
    return made


@contextmanager
def _stop_on_interrupt(hyperparameters: dict[str, Any]) -> Iterator[Any]:
    from playground.core import events

    class SignalCommandSource:
        def __init__(self) -> None:
            self.stopped = False
            self._first: list[events.Command] = (
                [events.UpdateHyperparameters(hyperparameters=hyperparameters)] if hyperparameters else []
            )

        def poll(self) -> list[events.Command]:
            first, self._first = self._first, []
            return [*first, events.Stop()] if self.stopped else first

        def wait(self) -> events.Command:
            return events.Resume()

    inbox = SignalCommandSource()

    def handle_signal(*_: object) -> None:
        inbox.stopped = True

    before = {number: signal.signal(number, handle_signal) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield inbox
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
