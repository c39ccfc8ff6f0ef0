"""The recipe of a report: every setting, those that differ from the defaults in strong, and what changed mid-run."""

from playground.lens.report.html import Html, element, note, section, table
from playground.spec.history import History
from playground.spec.recipe import Recipe


def recipe_section(recipe: Recipe, history: History) -> Html:
    """The settings in a table, and a list of those that were changed while the run went on."""
    usual = Recipe()
    rows = [
        _row(name, getattr(recipe, name), getattr(usual, name)) for name in Recipe.model_fields if name != "schema_version"
    ]
    changes = [(event.step, event.knob, event.before, event.after) for event in history.knob_changes]
    if history.forked:
        step = history.forked.step
        changes += [(step, name, before, after) for name, (before, after) in history.forked.changes.items()]
    said = [
        element("li", f"Step {step:,}: {name.replace('_', ' ')} from {value_text(before)} to {value_text(after)}")
        for step, name, before, after in sorted(changes, key=lambda change: change[0])
    ]
    return section(
        "Recipe",
        table("settings", ("setting", "value", "default"), rows),
        note("What differs from the default is in strong."),
        *((element("h3", "Changed on the way"), element("ul", *said)) if said else ()),
    )


def value_text(value: object) -> str:
    """A value as people write it: ``adam, beta1 0.9, beta2 0.999``."""
    match value:
        case None:
            return "not set"
        case bool():
            return "yes" if value else "no"
        case float():
            return f"{value:g}"
        case list():
            return "; ".join(map(value_text, value)) or "none"
        case {"kind": kind, **fields}:
            return ", ".join(
                [str(kind), *(f"{name.replace('_', ' ')} {value_text(one)}" for name, one in fields.items())]
            )
    return str(value)
