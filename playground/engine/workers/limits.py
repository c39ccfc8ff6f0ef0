"""What a training may take: what the machine has, and what whoever runs the server allows."""

import os
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from playground.core.json_io import validation_text
from playground.core.recipe import Recipe
from playground.core.validation import MAX_PARAMETERS, Limits
from playground.engine.model.device import available_memory_bytes
from playground.errors import RecipeError, SettingError

_SHARE = 0.75
_PREFIX = "CNN_PLAYGROUND_"


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
    shared: bool = Field(default=False, description="Also at the machine itself, everybody steers their own runs only.")

    @classmethod
    def from_environment(cls) -> "ServerLimits":
        """As the server was started; raises SettingError naming each variable that cannot be used."""
        given: dict[str, Any] = {
            name: os.environ[variable] for name in cls.model_fields if (variable := _variable(name)) in os.environ
        }
        try:
            return cls.model_validate(given)
        except ValidationError as problem:
            wrong = ", ".join(sorted({_variable(str(error["loc"][0])) for error in problem.errors()}))
            raise SettingError(
                f"A limit of this server cannot be used: {validation_text(problem)}",
                fix=f"Correct {wrong} in the environment and start again.",
            ) from None

    def for_recipe(self, recipe: Recipe) -> Limits:
        """What a network may take when it is trained by ``recipe``, here and now."""
        machine = machine_limits(recipe)
        allowed = machine.training_bytes if self.max_memory_mb is None else self.max_memory_mb * 1024**2
        return Limits(
            parameters=min(machine.parameters, self.max_parameters),
            training_bytes=min(machine.training_bytes, allowed),
            batch_size=recipe.batch_size,
        )

    def check(self, recipe: Recipe) -> None:
        """Raise RecipeError for more epochs than this server allows."""
        if recipe.epochs > self.max_epochs:
            raise RecipeError(
                f"{recipe.epochs:,} epochs are more than this server allows.",
                expected=f"At most {self.max_epochs:,}.",
                fix=f"Set epochs to {self.max_epochs:,} or fewer.",
            )


def machine_limits(recipe: Recipe) -> Limits:
    """What this machine allows a training to take: three quarters of the memory that is free."""
    return Limits(training_bytes=int(available_memory_bytes(recipe.device) * _SHARE), batch_size=recipe.batch_size)


def _variable(name: str) -> str:
    return _PREFIX + name.upper()
