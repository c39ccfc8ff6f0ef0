"""A Recipe: everything about a training but the network. Knobs are the values that may change while it runs."""

import hashlib
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from playground.core.json_io import parse_json, to_canonical_json
from playground.errors import RecipeError

_FROZEN_CONFIG = ConfigDict(frozen=True, extra="forbid")


class _RecipeComponent(BaseModel):
    model_config = _FROZEN_CONFIG


class Sgd(_RecipeComponent):
    """Stochastic gradient descent, plain or with momentum."""

    kind: Literal["sgd"] = "sgd"
    momentum: float = Field(
        default=0.9,
        ge=0,
        le=0.999,
        description="Share of the last step that is kept.",
        json_schema_extra={"step": 0.05},
    )
    nesterov: bool = Field(default=False, description="Looks ahead along the momentum before it takes the gradient.")


class Adam(_RecipeComponent):
    """Adapts the step of every weight to its gradients. Source: Kingma and Ba, 2014."""

    kind: Literal["adam"] = "adam"
    beta1: float = Field(
        default=0.9, ge=0, le=0.999, description="Memory of the gradient's mean.", json_schema_extra={"step": 0.05}
    )
    beta2: float = Field(
        default=0.999, ge=0, le=0.9999, description="Memory of the gradient's size.", json_schema_extra={"step": 0.005}
    )


class AdamW(Adam):
    """Adam with weight decay taken from the weights themselves. Source: Loshchilov and Hutter, 2017."""

    kind: Literal["adamw"] = "adamw"  # type: ignore[assignment]


class RmsProp(_RecipeComponent):
    """Divides each step by the recent size of the gradient."""

    kind: Literal["rmsprop"] = "rmsprop"
    alpha: float = Field(
        default=0.99, ge=0, le=0.9999, description="Memory of the gradient's size.", json_schema_extra={"step": 0.01}
    )
    momentum: float = Field(
        default=0.0,
        ge=0,
        le=0.999,
        description="Share of the last step that is kept.",
        json_schema_extra={"step": 0.05},
    )


class Adagrad(_RecipeComponent):
    """Steps shrink with the sum of all gradients so far."""

    kind: Literal["adagrad"] = "adagrad"


class Constant(_RecipeComponent):
    """The same learning rate all the way."""

    kind: Literal["constant"] = "constant"


class StepDecay(_RecipeComponent):
    """The learning rate drops by a factor every few epochs."""

    kind: Literal["step"] = "step"
    step_size: int = Field(default=2, ge=1, le=100, description="Epochs between two drops.")
    gamma: float = Field(default=0.5, gt=0, le=1, description="Factor at each drop.", json_schema_extra={"step": 0.05})


class Cosine(_RecipeComponent):
    """The learning rate falls along half a cosine to zero. Source: Loshchilov and Hutter, 2016."""

    kind: Literal["cosine"] = "cosine"


class OneCycle(_RecipeComponent):
    """Up to the peak, then down to almost zero. Source: Smith and Topin, "Super-Convergence", 2017."""

    kind: Literal["one_cycle"] = "one_cycle"
    pct_start: float = Field(
        default=0.3, ge=0.05, le=0.95, description="Share of the run on the way up.", json_schema_extra={"step": 0.05}
    )
    div_factor: float = Field(
        default=25.0, ge=1, le=1000, description="The peak over the first value.", json_schema_extra={"step": 5.0}
    )


class Shift(_RecipeComponent):
    """Moves the image by a random number of pixels each way, as a crop from a padded image does."""

    kind: Literal["shift"] = "shift"
    pixels: float = Field(default=2.0, ge=0, le=14, description="Largest shift.", json_schema_extra={"step": 0.5})


class Rotate(_RecipeComponent):
    """Turns the image about its middle."""

    kind: Literal["rotate"] = "rotate"
    degrees: float = Field(default=10.0, ge=0, le=180, description="Largest angle.", json_schema_extra={"step": 1.0})


class Scale(_RecipeComponent):
    """Makes the image larger or smaller."""

    kind: Literal["scale"] = "scale"
    amount: float = Field(
        default=0.1, ge=0, le=0.9, description="0.1: between 0.9 and 1.1 times.", json_schema_extra={"step": 0.05}
    )


class Shear(_RecipeComponent):
    """Slants the image."""

    kind: Literal["shear"] = "shear"
    degrees: float = Field(default=10.0, ge=0, le=60, description="Largest slant.", json_schema_extra={"step": 1.0})


class Elastic(_RecipeComponent):
    """Bends the image smoothly, as an unsteady hand does. Source: Simard, Steinkraus and Platt, 2003."""

    kind: Literal["elastic"] = "elastic"
    pixels: float = Field(default=1.5, ge=0, le=6, description="Largest bend.", json_schema_extra={"step": 0.25})


class Flip(_RecipeComponent):
    """Mirrors the image left to right; turns most digits into something else."""

    kind: Literal["flip"] = "flip"
    p: float = Field(default=0.5, ge=0, le=1, description="Share of the images.", json_schema_extra={"step": 0.05})


class Erase(_RecipeComponent):
    """Blanks a random square."""

    kind: Literal["erase"] = "erase"
    p: float = Field(default=0.5, ge=0, le=1, description="Share of the images.", json_schema_extra={"step": 0.05})
    size: int = Field(default=8, ge=1, le=64, description="Side of the square, in pixels.")


class Noise(_RecipeComponent):
    """Adds random noise to every pixel (values from 0 to 1)."""

    kind: Literal["noise"] = "noise"
    std: float = Field(default=0.1, ge=0, le=1, description="Spread of the noise.", json_schema_extra={"step": 0.05})


class Thickness(_RecipeComponent):
    """Makes strokes thicker or thinner: the brightest, or darkest, of each pixel's neighbours is mixed in."""

    kind: Literal["thickness"] = "thickness"
    amount: float = Field(default=0.5, ge=0, le=1, description="Largest share.", json_schema_extra={"step": 0.05})


Optimizer = Annotated[Sgd | Adam | AdamW | RmsProp | Adagrad, Field(discriminator="kind")]
Schedule = Annotated[Constant | StepDecay | Cosine | OneCycle, Field(discriminator="kind")]
Augmentation = Annotated[
    Shift | Rotate | Scale | Shear | Elastic | Flip | Erase | Noise | Thickness, Field(discriminator="kind")
]

LIVE_HYPERPARAMETERS = ("lr", "batch_size", "epochs", "weight_decay", "label_smoothing", "optimizer", "augmentation")
"""Recipe values that may change mid-run. The optimizer's kind may not, its fields may."""

DATA_FIELDS = ("dataset", "validation_size", "limit")
"""Recipe values that say which images are trained on and which are kept out: the same for a run and its forks."""


MIN_VALIDATION_SIZE = 10
"""Fewer images say nothing."""


class Recipe(BaseModel):
    """Data set, optimizer, schedule and all that makes a training repeatable."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    schema_version: Literal[1] = Field(default=1, alias="schema")
    dataset: str = Field(default="mnist", max_length=60, description="Where the images come from.")
    optimizer: Optimizer = Adam()
    schedule: Schedule = Constant()
    lr: float = Field(
        default=1e-3,
        ge=1e-6,
        le=1000,
        description="Learning rate: how far each step goes. Too high diverges, too low crawls.",
        json_schema_extra={"step": 1e-4, "format": "%g"},
    )
    batch_size: int = Field(default=128, ge=1, le=8192, description="Images a step. Larger: fewer, steadier steps.")
    epochs: int = Field(default=1, ge=1, le=1000, description="How often every training image is seen.")
    seed: int = Field(
        default=0, ge=0, le=2**31 - 1, description="The same seed gives the same weights and order of images again."
    )
    validation_size: int = Field(
        default=5000,
        ge=MIN_VALIDATION_SIZE,
        le=50_000,
        description="Images kept out of training to measure on while it runs.",
    )
    weight_decay: float = Field(
        default=0.0,
        ge=0,
        le=1,
        description="Pulls weights towards zero in every step.",
        json_schema_extra={"step": 1e-4, "format": "%g"},
    )
    label_smoothing: float = Field(
        default=0.0,
        ge=0,
        le=0.5,
        description="Share of the target spread over all classes, so that the net is not pushed to total certainty.",
        json_schema_extra={"step": 0.01},
    )
    transferred_lr_share: float = Field(
        default=1.0,
        ge=0,
        le=1,
        exclude_if=lambda share: share == 1,  # recipes without it keep the digests that they have
        description="Learning rate of the layers whose weights were brought along, as a share of the new ones'.",
        json_schema_extra={"step": 0.1},
    )
    augmentation: tuple[Augmentation, ...] = Field(default=(), max_length=9)
    limit: int | None = Field(
        default=None, ge=10, le=10**6, description="Train on so many images only; empty: on all of them."
    )
    precision: Literal["auto", "float32", "bfloat16"] = Field(
        default="auto", description="auto: bfloat16 where the processor computes it natively, else float32."
    )
    device: Literal["auto", "cpu", "cuda", "mps"] = Field(default="auto", description="auto: a GPU if there is one.")

    @classmethod
    def from_json(cls, source: str | bytes | dict[str, Any]) -> "Recipe":
        """From JSON; raises RecipeError naming each wrong field, SchemaError for a newer version."""
        return parse_json(cls, source, RecipeError)

    def replace(self, **fields: Any) -> "Recipe":
        """A validated copy with other values; raises RecipeError for a value out of bounds."""
        return parse_json(Recipe, {**self.model_dump(by_alias=True), **fields}, RecipeError)

    def update_hyperparameters(self, hyperparameters: dict[str, Any]) -> "Recipe":
        """The recipe after a change in mid-run; raises RecipeError for anything that is no knob."""
        fixed = sorted(set(hyperparameters) - set(LIVE_HYPERPARAMETERS))
        if fixed:
            raise RecipeError(
                f"{', '.join(fixed)} cannot change while a run goes on.",
                expected=f"These can: {', '.join(LIVE_HYPERPARAMETERS)}.",
                fix="Stop, change it, and train anew.",
            )
        changed = self.replace(**hyperparameters)
        if changed.optimizer.kind != self.optimizer.kind:
            raise RecipeError(
                f"The optimizer cannot change from {self.optimizer.kind} to {changed.optimizer.kind} in mid-run.",
                fix="Stop, change it, and train anew.",
            )
        return changed

    def is_equal_except_live_hyperparameters(self, other: "Recipe") -> bool:
        """Whether the one could have become the other in mid-run."""
        knobs = set(LIVE_HYPERPARAMETERS)
        same_optimizer = self.optimizer.kind == other.optimizer.kind
        return same_optimizer and self.model_dump(exclude=knobs) == other.model_dump(exclude=knobs)

    def to_canonical_json(self) -> str:
        """The JSON contract: sorted keys, no spaces."""
        return to_canonical_json(self)

    @property
    def digest(self) -> str:
        """12 hexadecimal digits that name this recipe."""
        return hashlib.blake2b(self.to_canonical_json().encode(), digest_size=6).hexdigest()
