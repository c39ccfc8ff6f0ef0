"""Recipe presets."""

from playground.core.augmentations.elastic import Elastic
from playground.core.augmentations.rotate import Rotate
from playground.core.augmentations.scale import Scale
from playground.core.augmentations.shear import Shear
from playground.core.augmentations.shift import Shift
from playground.core.augmentations.thickness import Thickness
from playground.core.optimizers.adam import Adam
from playground.core.optimizers.adamw import AdamW
from playground.core.presets.base import RecipePreset
from playground.core.presets.tutorials import TUTORIAL_RECIPE
from playground.core.recipe import Recipe
from playground.core.schedules.cosine import Cosine
from playground.core.schedules.one_cycle import OneCycle

_SPRINT_RECIPE = Recipe(
    lr=6e-3,
    batch_size=128,
    epochs=1,
    optimizer=Adam(beta2=0.95),
    schedule=OneCycle(),
    label_smoothing=0.1,
)

PRESETS = (
    RecipePreset(
        "sprint",
        "Quick",
        "One epoch of Adam with a one-cycle schedule and label smoothing. The guide's network reaches over 99 % on "
        "MNIST.",
        _SPRINT_RECIPE,
    ),
    RecipePreset(
        "dash",
        "Fastest",
        "As Quick, with a higher learning rate and a shorter warm-up. The Dash network reaches 99 % with it first.",
        _SPRINT_RECIPE.replace(lr=7e-3, schedule=OneCycle(pct_start=0.2)),
    ),
    RecipePreset(
        "tutorial",
        "Keras tutorial",
        "Adam with learning rate 1e-3, batch size 32 and five epochs, as in most Keras tutorials.",
        TUTORIAL_RECIPE,
    ),
    RecipePreset(
        "careful",
        "Thorough",
        "Twenty epochs with augmentation and a cosine schedule. Slow; the guide's network exceeds 99.4 %.",
        Recipe(
            lr=2e-3,
            batch_size=128,
            epochs=20,
            optimizer=AdamW(),
            schedule=Cosine(),
            weight_decay=0.01,
            augmentation=(
                Shift(pixels=2),
                Rotate(degrees=10),
                Scale(amount=0.1),
                Shear(degrees=8),
                Elastic(pixels=1.0),
                Thickness(amount=0.3),
            ),
        ),
    ),
)
