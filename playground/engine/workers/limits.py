"""What a training may take: what the machine has, and what whoever runs the server allows."""

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
    """Limits for everybody on one server; each is an environment variable, ``CNN_PLAYGROUND_MAX_EPOCHS`` and so on."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    max_running: int = Field(default=1, ge=1, le=64, description="Runs that train at the same time.")
    max_queue: int = Field(default=16, ge=0, le=1000, description="Runs that wait.")
    max_queue_per_person: int = Field(default=4, ge=1, le=1000, description="Of these, one person's.")
    max_parameters: int = Field(default=MAX_PARAMETERS, ge=1000, description="Parameters of a network.")
    max_epochs: int = Field(default=1000, ge=1, description="Epochs of a run.")
    max_memory_mb: int | None = Field(default=None, ge=100, description="Memory of a run; else what is free.")
    max_run_s: float | None = Field(default=None, gt=0, description="Seconds of training at a stretch; else no limit.")
    max_pause_s: float | None = Field(default=None, gt=0, description="Seconds that a paused run may hold its place.")
    shared: bool | None = Field(
        default=None,
        description="1: nobody controls the runs of others. 0: every page opened through this machine, also by a proxy "
        "on it, controls all runs. Without it: pages opened on this machine itself do.",
    )

    @classmethod
    def from_environment(cls) -> "ServerLimits":
        """As the server was started; raises SettingError naming each variable that cannot be used."""
        given: dict[str, Any] = {
            name: os.environ[variable]
            for name in cls.model_fields
            if (variable := _get_variable_name(name)) in os.environ
        }
        try:
            return cls.model_validate(given)
        except ValidationError as problem:
            wrong = ", ".join(sorted({_get_variable_name(str(error["loc"][0])) for error in problem.errors()}))
            raise ConfigurationError(
                f"A limit of this server cannot be used: {format_validation_error(problem)}",
                fix=f"Correct {wrong} in the environment and start again.",
            ) from None

    def compute_model_limits(self, recipe: Recipe) -> ResourceLimits:
        """What a network may take when it is trained by ``recipe``, here and now."""
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
    """What this machine allows a training to take: three quarters of the memory that is free."""
    return ResourceLimits(
        max_training_bytes=int(get_available_memory_bytes(recipe.device) * _MEMORY_SHARE), batch_size=recipe.batch_size
    )


def _get_variable_name(name: str) -> str:
    return _ENV_PREFIX + name.upper()
