"""Fine-tune a network on labeled drawings, mixed with images of its dataset against catastrophic forgetting."""

import numpy as np
import torch

from playground.core.augmentations.rotate import Rotate
from playground.core.augmentations.scale import Scale
from playground.core.augmentations.shear import Shear
from playground.core.augmentations.shift import Shift
from playground.core.optimizers.adamw import AdamW
from playground.core.recipe import Recipe
from playground.core.schedules.one_cycle import OneCycle
from playground.engine.data.batch import LabeledImages
from playground.engine.data.custom.drawings import LabeledDrawing
from playground.engine.runs.initial_state import InitialState, save_initial_state
from playground.engine.runs.repository import create_run
from playground.engine.runs.run import Run
from playground.engine.training.checks import check_training_config
from playground.errors import DrawingError

_REHEARSAL_SIZE = 4000  # images of the dataset beside the drawings: enough not to forget, few enough for seconds
_DRAWING_SHARE = 0.25  # drawings are repeated, augmented, up to this share of the rehearsal images
_MAX_COPIES = 100


def make_finetuning_recipe(recipe: Recipe) -> Recipe:
    """Recipe for fine-tuning a network trained by ``recipe``: same data, low learning rate, mild augmentation."""
    limit = min(_REHEARSAL_SIZE, recipe.limit or _REHEARSAL_SIZE)
    return Recipe(
        dataset=recipe.dataset,
        validation_size=recipe.validation_size,
        limit=limit,
        precision=recipe.precision,
        device=recipe.device,
        lr=5e-4,
        label_smoothing=recipe.label_smoothing,
        batch_size=min(64, limit),
        epochs=1,
        optimizer=AdamW(),
        schedule=OneCycle(),
        augmentation=(Shift(pixels=1), Rotate(degrees=8), Scale(amount=0.08), Shear(degrees=6)),
    )


def create_finetuning_run(parent: Run, drawings: tuple[LabeledDrawing, ...], *, owner: str | None = None) -> Run:
    """Create a run that starts from the newest weights of ``parent`` and has ``drawings`` among its training images.

    Raises DrawingError without a drawing, StorageError where the parent has no weights or a write fails.
    """
    if not drawings:
        raise DrawingError("There is no drawing to learn from.", fix="Draw a digit and say which one it is.")
    history = parent.read_history()
    recipe = make_finetuning_recipe(parent.get_current_recipe(history))
    architecture = parent.get_current_architecture(history)
    check_training_config(architecture, recipe)
    step = max(parent.list_snapshot_steps(), default=0)
    initial_state = InitialState(
        parent.load_snapshot(step),
        _make_drawing_images(drawings, round(_DRAWING_SHARE * (recipe.limit or _REHEARSAL_SIZE))),
    )
    return create_run(
        architecture,
        recipe,
        name=f"{parent.record.name}, taught",
        owner=owner,
        parent=parent.id,
        parent_step=step,
        write_initial_files=lambda run: save_initial_state(run, initial_state),
    )


def _make_drawing_images(drawings: tuple[LabeledDrawing, ...], count: int) -> LabeledImages:
    copies = min(_MAX_COPIES, max(1, round(count / len(drawings))))
    images = np.stack([image for drawing in drawings for image in drawing.render_images(copies)])
    labels = torch.tensor([drawing.label for drawing in drawings]).repeat_interleave(copies)
    return LabeledImages(torch.from_numpy(images).mul(255).round().to(torch.uint8), labels)
