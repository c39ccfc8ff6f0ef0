"""The recipe of a report: every setting, those that differ from the defaults in strong, and what changed mid-run."""

from typing import Any

from pydantic import BaseModel

from playground.core.history import History
from playground.core.recipe import Recipe
from playground.export.report.html import Html, element, note, section, table


def recipe_section(recipe: Recipe, history: History) -> Html:
    """The settings in a table, and a list of those that were changed while the run went on."""
    usual, names = Recipe(), [name for name in Recipe.model_fields if name != "schema_version"]
    changes = [(event.step, event.knob, event.before, event.after) for event in history.knob_changes]
    if history.forked:
        changes += [(history.forked.step, name, *values) for name, values in history.forked.changes.items()]
    said = [
        element("li", f"Step {step:,}: {_plain(name)} from {value_text(before)} to {value_text(after)}")
        for step, name, before, after in sorted(changes, key=lambda change: change[0])
    ]
    return section(
        "Recipe",
        table(
            "settings",
            ("setting", "value", "default"),
            [_row(name, getattr(recipe, name), getattr(usual, name)) for name in names],
        ),
        note("What differs from the default is in strong."),
        *((element("h3", "Changed on the way"), element("ul", *said)) if said else ()),
    )


def _row(name: str, value: object, usual: object) -> tuple[str, str, str]:
    if value == usual:
        return _plain(name), value_text(value), ""
    return _plain(name), element("strong", value_text(value)), value_text(usual)


def value_text(value: Any) -> str:
    """A setting as people write it: ``adam, beta1 0.9, beta2 0.999``; a part of a recipe, or its JSON in a log."""
    match value:
        case None:
            return "not set"
        case bool():
            return "yes" if value else "no"
        case float():
            return f"{value:g}"
        case list() | tuple():
            return "; ".join(map(value_text, value)) or "none"
        case BaseModel():
            return value_text(dict(value))
        case {"kind": kind, **fields}:
            return ", ".join([str(kind), *(f"{_plain(str(name))} {value_text(one)}" for name, one in fields.items())])
    return str(value)


def _plain(name: str) -> str:
    return name.replace("_", " ")
