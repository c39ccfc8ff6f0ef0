"""What transfer gains: the same network trained by the same recipe, with weights brought along and from scratch."""

from dataclasses import dataclass

from playground.core.architecture import Architecture
from playground.core.events import Evaluated, RunFailed
from playground.core.recipe import Recipe
from playground.engine.runs.initial_state import trainer_for
from playground.engine.runs.run import Run
from playground.engine.runs.transfer import brought_along, last_step
from playground.engine.training.trainer import Trainer
from playground.errors import TrainingError


@dataclass(frozen=True)
class Gain:
    """Shares of right answers on the test images: ``transferred`` with weights brought along, ``scratch`` without."""

    transferred: float
    scratch: float

    @property
    def difference(self) -> float:
        """How much better it got by transfer."""
        return self.transferred - self.scratch


def compare(parent: Run, architecture: Architecture, recipe: Recipe, *, step: int | None = None) -> Gain:
    """Train both in this process, nothing written; from scratch no layer is frozen, since none knows anything.

    ``step`` as in ``transfer_run``, and errors; TrainingError where one of the trainings fails.
    """
    material = brought_along(parent, last_step(parent) if step is None else step, architecture, recipe)
    return Gain(
        transferred=_test_accuracy(trainer_for(architecture, recipe, material)),
        scratch=_test_accuracy(trainer_for(architecture.frozen_up_to(-1), recipe)),
    )


def _test_accuracy(trainer: Trainer) -> float:
    accuracy = 0.0
    for event in trainer.run():
        if isinstance(event, RunFailed):
            raise TrainingError(event.what, expected=event.expected, fix=event.fix)
        if isinstance(event, Evaluated) and event.split == "test":
            accuracy = event.accuracy
    return accuracy
