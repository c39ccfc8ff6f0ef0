"""The first steps of a new user: draw, train, look inside, change."""

from playground.ui.components.coach import CoachStep, render_coach
from playground.ui.epoch_time import estimate_epoch_seconds, format_seconds
from playground.ui.state import AppState


def render_first_steps(state: AppState) -> None:
    """Render the first steps, with those done that the state shows."""
    editor = state.editor
    epoch_seconds = estimate_epoch_seconds(editor.architecture, editor.recipe, None)
    time = "in seconds" if epoch_seconds is None else f"in {format_seconds(epoch_seconds * editor.recipe.epochs)}"
    render_coach(
        (
            CoachStep(
                name="draw",
                title="Draw a digit",
                text="The pretrained model answers under your pen.",
                is_done=bool(state.drawing.ink.strokes),
            ),
            CoachStep(
                name="train",
                title="Train your own network",
                text=f"Press Train: it learns from MNIST {time}.",
                is_done=state.training.run_id is not None,
            ),
            CoachStep(
                name="inspect",
                title="See why it answers so",
                text="Click a layer of the feature maps below.",
                is_done=state.inspect.layer_id is not None,
            ),
            CoachStep(
                name="change",
                title="Change it",
                text="Edit a row of the network, then train again.",
                is_done=bool(editor.undo_stack),
            ),
        )
    )
