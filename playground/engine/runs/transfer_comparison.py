"""Compare transfer learning with training from scratch: same network, same recipe."""

from dataclasses import dataclass

from playground.core.architecture import Architecture
from playground.core.events import Evaluated, RunFailed
from playground.core.recipe import Recipe
from playground.engine.runs.initial_state import create_trainer
from playground.engine.runs.run import Run
from playground.engine.runs.transfer import get_last_snapshot_step, prepare_transferred_state
from playground.engine.training.trainer import Trainer
from playground.errors import TrainingError


@dataclass(frozen=True)
class TransferComparison:
    """Test accuracy with transferred weights and with random ones."""

    transfer_accuracy: float
    scratch_accuracy: float

    @property
    def accuracy_gain(self) -> float:
        """Test accuracy gained by transfer."""
        return self.transfer_accuracy - self.scratch_accuracy


def compare_transfer(
    parent: Run, architecture: Architecture, recipe: Recipe, *, step: int | None = None
) -> TransferComparison:
    """Train both in this process without writing a run; from scratch no layer is frozen.

    ``step`` as in ``transfer_run``, and errors; TrainingError where one of the trainings fails.
    """
    initial_state = prepare_transferred_state(
        parent, get_last_snapshot_step(parent) if step is None else step, architecture, recipe
    )
    return TransferComparison(
        transfer_accuracy=_train_and_test(create_trainer(architecture, recipe, initial_state)),
        scratch_accuracy=_train_and_test(create_trainer(architecture.freeze_up_to(-1), recipe)),
    )


def _train_and_test(trainer: Trainer) -> float:
    accuracy = 0.0
    for event in trainer.run():
        if isinstance(event, RunFailed):
            raise TrainingError(event.what, expected=event.expected, fix=event.fix)
        if isinstance(event, Evaluated) and event.split == "test":
            accuracy = event.accuracy
    return accuracy
