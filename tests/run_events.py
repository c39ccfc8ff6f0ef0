"""Events of a run: those of one class, and logs that tests write."""

from collections.abc import Iterable
from typing import Any, TypeVar

from playground.core.events import Event, RunStarted, StepDone
from playground.engine.runs.run import Run
from playground.engine.runs.run_files import serialize_event

T = TypeVar("T")


def events_of(stream: Iterable[Event], kind: type[T]) -> list[T]:
    """Return the events of one class, in their order."""
    return [event for event in stream if isinstance(event, kind)]


def make_started(**fields: Any) -> RunStarted:
    """Make the start of a run with 2 epochs of 6 batches, with ``fields`` replaced."""
    sizes: dict[str, Any] = {"train_size": 96, "validation_size": 30, "test_size": 30}
    steps = {"steps_per_epoch": 6, "total_steps": 12}
    return RunStarted(**({"step": 0, "elapsed_s": 0, "device": "cpu", "precision": "float32"} | sizes | steps | fields))


def make_batch(step: int, epochs: float, **fields: Any) -> StepDone:
    """Make the event of a trained batch, with ``fields`` replaced."""
    usual: dict[str, Any] = {"elapsed_s": 1, "loss": 1, "accuracy": 0.5, "lr": 0.1, "images_per_second": 9}
    return StepDone(step=step, epochs=epochs, **(usual | fields))


def write_log(run: Run, *events: Event) -> None:
    """Replace the log of a run."""
    run.log_path.write_bytes(b"".join(map(serialize_event, events)))
