"""Recipe section of a report: all settings, and changes during training."""

from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from playground.core.history import History
from playground.core.recipe import Recipe


@dataclass(frozen=True)
class Setting:
    """A setting of a recipe and its default, as text."""

    name: str
    value: str
    default: str
    is_default: bool


@dataclass(frozen=True)
class RecipeSection:
    """Settings of a recipe, and descriptions of the changes during training."""

    settings: tuple[Setting, ...]
    changes: tuple[str, ...]


def make_recipe_section(recipe: Recipe, history: History) -> RecipeSection:
    """List the settings and the hyperparameters that were changed during training."""
    defaults = Recipe()
    changes = [
        (event.step, event.hyperparameter, event.before, event.after) for event in history.hyperparameter_changes
    ]
    if history.fork_event:
        changes += [(history.fork_event.step, name, *values) for name, values in history.fork_event.changes.items()]
    return RecipeSection(
        tuple(
            _make_setting(name, getattr(recipe, name), getattr(defaults, name))
            for name in Recipe.model_fields
            if name != "schema_version"
        ),
        tuple(
            f"Step {step:,}: {_humanize(name)} from {format_value(before)} to {format_value(after)}"
            for step, name, before, after in sorted(changes, key=lambda change: change[0])
        ),
    )


def _make_setting(name: str, value: object, default: object) -> Setting:
    return Setting(_humanize(name), format_value(value), format_value(default), value == default)


def format_value(value: Any) -> str:
    """Format a setting: ``adam, beta1 0.9, beta2 0.999``; a part of a recipe, or its JSON in a log."""
    match value:
        case None:
            return "not set"
        case bool():
            return "yes" if value else "no"
        case float():
            return f"{value:g}"
        case list() | tuple():
            return "; ".join(map(format_value, value)) or "none"
        case BaseModel():
            return format_value(dict(value))
        case {"kind": kind, **fields}:
            return ", ".join(
                [str(kind), *(f"{_humanize(str(name))} {format_value(one)}" for name, one in fields.items())]
            )
    return str(value)


def _humanize(name: str) -> str:
    return name.replace("_", " ")
