"""Recipe section of a report: all settings, and changes during training."""

from typing import Any

from pydantic import BaseModel

from playground.core.history import History
from playground.core.recipe import Recipe
from playground.export.report.html import Html, element, note, section, table


def render_recipe_section(recipe: Recipe, history: History) -> Html:
    """Render a table of the settings, and a list of the hyperparameters that were changed during training."""
    defaults, names = Recipe(), [name for name in Recipe.model_fields if name != "schema_version"]
    changes = [
        (event.step, event.hyperparameter, event.before, event.after) for event in history.hyperparameter_changes
    ]
    if history.fork_event:
        changes += [(history.fork_event.step, name, *values) for name, values in history.fork_event.changes.items()]
    descriptions = [
        element("li", f"Step {step:,}: {_humanize(name)} from {format_value(before)} to {format_value(after)}")
        for step, name, before, after in sorted(changes, key=lambda change: change[0])
    ]
    return section(
        "Recipe",
        table(
            "settings",
            ("setting", "value", "default"),
            [_format_row(name, getattr(recipe, name), getattr(defaults, name)) for name in names],
        ),
        note("Settings that differ from the default are bold."),
        *((element("h3", "Changed during training"), element("ul", *descriptions)) if descriptions else ()),
    )


def _format_row(name: str, value: object, default: object) -> tuple[str, str, str]:
    if value == default:
        return _humanize(name), format_value(value), ""
    return _humanize(name), element("strong", format_value(value)), format_value(default)


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
