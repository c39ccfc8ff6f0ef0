"""Training in this process, steered by signals."""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import typer
from rich.progress import Progress as RichProgress

from playground.cli.output import err, out, print_figures, print_json, print_progress, run_figures
from playground.core.architecture import Architecture
from playground.core.recipe import Recipe

if TYPE_CHECKING:
    from playground.engine.background_task import Progress
    from playground.engine.runs.initial_state import Material
    from playground.engine.runs.run import Run


def drive(
    opened: Callable[[], "Run"],
    architecture: Architecture,
    recipe: Recipe,
    *,
    as_json: bool,
    knobs: dict[str, Any] | None = None,
    material: "Material | None" = None,
) -> None:
    """Train in this process to the end; exit code 0 completed, 1 failed, 130 stopped by Ctrl-C.

    A run that was cut goes on from where it stands, with other ``knobs``.
    """
    from playground.core.history import History
    from playground.engine.runs.initial_state import NOTHING, trainer_for
    from playground.engine.runs.recorder import Recorder
    from playground.engine.workers.limits import machine_limits
    from playground.engine.workers.malloc import keep_memory

    keep_memory()
    trainer = trainer_for(architecture, recipe, material or NOTHING, limits=machine_limits(recipe))
    run = opened()
    with _stop_on_interrupt(knobs or {}) as inbox, Recorder(run) as recorder:
        history = History()
        for event in recorder.follow(trainer, inbox):
            history.add(event)
            if event.kind in ("evaluated", "epoch_done", "diagnosed") and not as_json:
                print_progress(history)
    history = run.history()
    if as_json:
        print_json(run_figures(run, history))
    else:
        out.print(f"{run.record.name} ({run.id}): {history.phase}")
        print_figures(history)
    if history.failure:
        err.print(f"Error: {history.failure.what}", soft_wrap=True)
        err.print(f"{history.failure.expected} {history.failure.fix}".strip(), soft_wrap=True)
        raise typer.Exit(1)
    if history.phase == "stopped":
        err.print(f"Stopped. 'cnn-playground resume {run.id}' goes on from here.", soft_wrap=True)
        raise typer.Exit(130)


def fetch_dataset(name: str, *, as_json: bool = False) -> None:
    """Bring a data set here, if it is not yet, and say how far that is; raises DownloadError."""
    from playground.engine.data.fetch import fetch
    from playground.engine.data.registry import find_dataset, is_here

    if not is_here(find_dataset(name)):
        follow(fetch(name), as_json=as_json)


def follow(steps: Iterator["Progress | str"], *, as_json: bool) -> str | None:
    """Do work that says how far it is; the name of what it made, if it gives one."""
    made = None
    with RichProgress(console=err, disable=as_json) as shown:
        task = shown.add_task("", total=None)
        for step in steps:
            if isinstance(step, str):
                made = step
            else:
                shown.update(task, description=step.doing, completed=step.done, total=step.total or None)
    return made


@contextmanager
def _stop_on_interrupt(knobs: dict[str, Any]) -> Iterator[Any]:
    from playground.core import events

    class SignalInbox:
        def __init__(self) -> None:
            self.stopped = False
            self._first: list[events.Command] = [events.Change(knobs=knobs)] if knobs else []

        def poll(self) -> list[events.Command]:
            first, self._first = self._first, []
            return [*first, events.Stop()] if self.stopped else first

        def wait(self) -> events.Command:
            return events.Resume()

    inbox = SignalInbox()

    def stop(*_: object) -> None:
        inbox.stopped = True

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield inbox
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
