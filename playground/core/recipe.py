"""Recipe: dataset, optimizer, schedule and hyperparameters of a training, some of which may change during it."""

import hashlib
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from playground.core.augmentations import AnyAugmentation
from playground.core.json_io import parse_json, to_canonical_json
from playground.core.optimizers import AnyOptimizer
from playground.core.optimizers.adam import Adam
from playground.core.schedules import AnySchedule
from playground.core.schedules.constant import Constant
from playground.errors import RecipeError

LIVE_HYPERPARAMETERS = ("lr", "batch_size", "epochs", "weight_decay", "label_smoothing", "optimizer", "augmentation")
"""Recipe values that may change while a run is training; of the optimizer only its live fields."""

DATA_FIELDS = ("dataset", "validation_size", "limit")
"""Recipe values that select the training and validation images: the same for a run and its forks."""

MIN_VALIDATION_SIZE = 10
"""An accuracy over fewer images is meaningless."""

_FORMER_NAMES = {"transferred_lr_share": "transferred_lr_scale"}


class Recipe(BaseModel):
    """Dataset, optimizer, schedule and every other setting of a training."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    schema_version: Literal[1] = Field(default=1, alias="schema")
    dataset: str = Field(default="mnist", max_length=60, description="Name of the dataset.")
    optimizer: AnyOptimizer = Adam()
    schedule: AnySchedule = Constant()
    lr: float = Field(
        default=1e-3,
        ge=1e-6,
        le=1000,
        description="Learning rate: the size of each step. Training diverges if it is too high and is slow if it is "
        "too low.",
        json_schema_extra={"step": 1e-4, "format": "%g"},
    )
    batch_size: int = Field(
        default=128,
        ge=1,
        le=8192,
        description="Images per training step. Larger batches give fewer and less noisy steps.",
    )
    epochs: int = Field(default=1, ge=1, le=1000, description="Number of passes over all training images.")
    seed: int = Field(
        default=0, ge=0, le=2**31 - 1, description="The same seed gives the same initial weights and order of images."
    )
    validation_size: int = Field(
        default=5000,
        ge=MIN_VALIDATION_SIZE,
        le=50_000,
        description="Number of images that are not trained on; the network is evaluated on them during training.",
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
        description="Share of the target that is spread over all classes, which makes the network less overconfident.",
        json_schema_extra={"step": 0.01},
    )
    transferred_lr_scale: float = Field(
        default=1.0,
        ge=0,
        le=1,
        exclude_if=lambda scale: scale == 1,  # keeps the digests of recipes from before this field
        description="Factor on the learning rate of transferred weights.",
        json_schema_extra={"step": 0.1},
    )
    augmentation: tuple[AnyAugmentation, ...] = Field(default=(), max_length=9)
    limit: int | None = Field(
        default=None, ge=10, le=10**6, description="Number of training images to use; empty: all of them."
    )
    precision: Literal["auto", "float32", "bfloat16"] = Field(
        default="auto", description="auto: bfloat16 where the processor computes it natively, else float32."
    )
    device: Literal["auto", "cpu", "cuda", "mps"] = Field(default="auto", description="auto: a GPU if there is one.")

    @model_validator(mode="before")
    @classmethod
    def _rename_former_fields(cls, data: Any) -> Any:
        """Read recipes written before a field was renamed."""
        if not isinstance(data, dict):
            return data
        renamed = {name: new for name, new in _FORMER_NAMES.items() if name in data and new not in data}
        return {renamed.get(name, name): value for name, value in data.items()} if renamed else data

    @classmethod
    def from_json(cls, source: str | bytes | dict[str, Any]) -> "Recipe":
        """Parse JSON; raises RecipeError naming each wrong field, SchemaVersionError for a newer version."""
        return parse_json(cls, source, RecipeError)

    def replace(self, **fields: Any) -> "Recipe":
        """Return a validated copy with other values; raises RecipeError for a value out of bounds."""
        renamed = {_FORMER_NAMES.get(name, name): value for name, value in fields.items()}
        return parse_json(Recipe, {**self.model_dump(by_alias=True), **renamed}, RecipeError)

    def update_hyperparameters(self, hyperparameters: dict[str, Any]) -> "Recipe":
        """Return the recipe after a change during training; raises RecipeError for a value that is not live."""
        fixed = sorted(set(hyperparameters) - set(LIVE_HYPERPARAMETERS))
        if fixed:
            raise RecipeError(
                f"{', '.join(fixed)} cannot change while a run is training.",
                expected=f"These can: {', '.join(LIVE_HYPERPARAMETERS)}.",
                fix="Stop the run, change the value, and train again.",
            )
        changed = self.replace(**hyperparameters)
        if changed.optimizer.kind != self.optimizer.kind:
            raise RecipeError(
                f"The optimizer cannot change from {self.optimizer.kind} to {changed.optimizer.kind} during training.",
                fix="Stop the run, change the optimizer, and train again.",
            )
        if not changed.has_same_fixed_optimizer_fields(self):
            raise RecipeError(
                f"{', '.join(self.optimizer.fixed_fields)} of {self.optimizer.title} cannot change during training.",
                expected=f"These can: {', '.join(self.optimizer.list_live_fields())}.",
                fix="Stop the run, change the value, and train again.",
            )
        return changed

    def rebase(self, base: "Recipe", onto: "Recipe") -> "Recipe":
        """Return ``onto`` with the values in which this recipe differs from ``base``.

        Of optimizers of one kind only the fields that differ are taken. Raises RecipeError for values that do not fit
        together.
        """
        changes = {name: value for name, value in self if value != getattr(base, name)}
        if len({recipe.optimizer.kind for recipe in (self, base, onto)}) == 1:
            own = {name: value for name, value in self.optimizer if value != getattr(base.optimizer, name)}
            changes["optimizer"] = onto.optimizer.model_copy(update=own)
        return onto.replace(**changes)

    def has_same_fixed_optimizer_fields(self, other: "Recipe") -> bool:
        """True if both have the same optimizer with the same values in its fixed fields."""
        fields = {"kind", *self.optimizer.fixed_fields}
        return self.optimizer.model_dump(include=fields) == other.optimizer.model_dump(include=fields)

    def is_equal_except_live_hyperparameters(self, other: "Recipe") -> bool:
        """True if the recipes differ at most in live hyperparameters."""
        live = set(LIVE_HYPERPARAMETERS)
        return self.has_same_fixed_optimizer_fields(other) and self.model_dump(exclude=live) == other.model_dump(
            exclude=live
        )

    def to_canonical_json(self) -> str:
        """Return JSON with sorted keys and without spaces; the digest is a hash of it."""
        return to_canonical_json(self)

    @property
    def digest(self) -> str:
        """12 hexadecimal digits that identify this recipe."""
        return hashlib.blake2b(self.to_canonical_json().encode(), digest_size=6).hexdigest()
