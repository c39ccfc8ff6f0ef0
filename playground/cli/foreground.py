"""Training in the foreground, stopped by SIGINT and SIGTERM."""

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

    An interrupted run continues from its checkpoint; ``hyperparameters`` are then changed before the first step.
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
    with _stop_on_interrupt(hyperparameters or {}) as commands, Recorder(run) as recorder:
        history = History()
        for event in recorder.run_trainer(trainer, commands):
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
        err_console.print(f"Stopped. Continue with: cnn-playground resume {run.id}", soft_wrap=True)
        raise typer.Exit(130)


def download_dataset(name: str, *, as_json: bool = False) -> None:
    """Download a dataset if it is not available yet, with a progress bar; raises DownloadError."""
    from playground.engine.data.dataset_lookup import find_dataset, is_available
    from playground.engine.data.fetch import download_dataset

    if not is_available(find_dataset(name)):
        run_with_progress_bar(download_dataset(name), as_json=as_json)


def run_with_progress_bar(steps: Iterator["Progress | str"], *, as_json: bool) -> str | None:
    """Run work that reports its progress; return the name of its result, if it yields one."""
    result_name = None
    with RichProgress(console=err_console, disable=as_json) as progress_bar:
        task = progress_bar.add_task("", total=None)
        for step in steps:
            if isinstance(step, str):
                result_name = step
            else:
                progress_bar.update(task, description=step.stage, completed=step.completed, total=step.total or None)
    return result_name


@contextmanager
def _stop_on_interrupt(hyperparameters: dict[str, Any]) -> Iterator[Any]:
    from playground.core import events

    class SignalCommandSource:
        def __init__(self) -> None:
            self.is_stop_requested = False
            self._initial_commands: list[events.Command] = (
                [events.UpdateHyperparameters(hyperparameters=hyperparameters)] if hyperparameters else []
            )

        def poll(self) -> list[events.Command]:
            commands, self._initial_commands = self._initial_commands, []
            return [*commands, events.Stop()] if self.is_stop_requested else commands

        def wait(self) -> events.Command:
            return events.Resume()

    command_source = SignalCommandSource()

    def handle_signal(*_: object) -> None:
        command_source.is_stop_requested = True

    previous_handlers = {number: signal.signal(number, handle_signal) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield command_source
    finally:
        for number, handler in previous_handlers.items():
            signal.signal(number, handler)
