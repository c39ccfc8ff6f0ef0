"""Resource limits of a training: those of the machine, and those that the server sets."""

import os
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from playground.core.json_io import format_validation_error
from playground.core.recipe import Recipe
from playground.core.validation import MAX_PARAMETERS, ResourceLimits
from playground.engine.model.device import get_available_memory_bytes
from playground.errors import ConfigurationError, RecipeError

_MEMORY_SHARE = 0.75
_ENV_PREFIX = "CNN_PLAYGROUND_"


class ServerLimits(BaseModel):
    """Limits of one server; each is an environment variable, for instance ``CNN_PLAYGROUND_MAX_EPOCHS``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    max_running: int = Field(default=1, ge=1, le=64, description="Runs that train at the same time.")
    max_queue: int = Field(default=16, ge=0, le=1000, description="Runs that wait.")
    max_queue_per_person: int = Field(default=4, ge=1, le=1000, description="Runs of one person that wait.")
    max_parameters: int = Field(default=MAX_PARAMETERS, ge=1000, description="Parameters of a network.")
    max_epochs: int = Field(default=1000, ge=1, description="Epochs of a run.")
    max_memory_mb: int | None = Field(default=None, ge=100, description="Memory of a run; without it, the free memory.")
    max_run_s: float | None = Field(
        default=None, gt=0, description="Seconds of training without a pause; without it, no limit."
    )
    max_pause_s: float | None = Field(default=None, gt=0, description="Seconds that a paused run may keep its slot.")
    shared: bool | None = Field(
        default=None,
        description="1: nobody controls the runs of others. 0: every page opened through this machine, also by a proxy "
        "on it, controls all runs. Without it: pages opened on this machine itself do.",
    )

    @classmethod
    def from_environment(cls) -> "ServerLimits":
        """Read the limits from the environment; raises ConfigurationError naming each invalid variable."""
        values: dict[str, Any] = {
            name: os.environ[variable]
            for name in cls.model_fields
            if (variable := _get_variable_name(name)) in os.environ
        }
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            invalid = ", ".join(sorted({_get_variable_name(str(detail["loc"][0])) for detail in error.errors()}))
            raise ConfigurationError(
                f"A limit of this server cannot be used: {format_validation_error(error)}",
                fix=f"Correct {invalid} in the environment and start again.",
            ) from None

    def compute_model_limits(self, recipe: Recipe) -> ResourceLimits:
        """Limits of a network that is trained by ``recipe`` now."""
        machine = compute_machine_limits(recipe)
        allowed = machine.max_training_bytes if self.max_memory_mb is None else self.max_memory_mb * 1024**2
        return ResourceLimits(
            max_parameters=min(machine.max_parameters, self.max_parameters),
            max_training_bytes=min(machine.max_training_bytes, allowed),
            batch_size=recipe.batch_size,
        )

    def check_epochs(self, recipe: Recipe) -> None:
        """Raise RecipeError for more epochs than this server allows."""
        if recipe.epochs > self.max_epochs:
            raise RecipeError(
                f"{recipe.epochs:,} epochs are more than this server allows.",
                expected=f"At most {self.max_epochs:,}.",
                fix=f"Set epochs to {self.max_epochs:,} or fewer.",
            )


def compute_machine_limits(recipe: Recipe) -> ResourceLimits:
    """Limits of this machine: three quarters of the free memory."""
    return ResourceLimits(
        max_training_bytes=int(get_available_memory_bytes(recipe.device) * _MEMORY_SHARE), batch_size=recipe.batch_size
    )


def _get_variable_name(name: str) -> str:
    return _ENV_PREFIX + name.upper()
