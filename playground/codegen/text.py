"""Formatting shared by all code generators: titles, calls, tuples and sections."""

from collections.abc import Sequence
from typing import Any

from playground.core.architecture import Architecture
from playground.core.datasets import Dataset
from playground.core.validation import UNLIMITED, validate
from playground.errors import ArchitectureError, RecipeError


def ensure_buildable(architecture: Architecture) -> None:
    """Raise ArchitectureError, with the first problem, for a network that cannot be built."""
    problems = validate(architecture, UNLIMITED)
    if problems:
        raise ArchitectureError("This network cannot be exported yet.", expected=str(problems[0]))


def ensure_same_classes(architecture: Architecture, dataset: Dataset) -> None:
    """Raise RecipeError for a network whose number of classes is not the dataset's."""
    if architecture.classes != len(dataset.class_names):
        raise RecipeError(
            f"The network has {architecture.classes} classes, {dataset.title} has {len(dataset.class_names)}.",
            fix=f'Set "classes" to {len(dataset.class_names)}.',
        )


def sanitize_text(text: str, default: str = "A network") -> str:
    """Return text that is safe in a docstring, string or comment: one line without quotes and backslashes."""
    line = " ".join(text.split())
    return "".join(letter for letter in line if letter.isprintable() and letter not in '\\"') or default


def format_call(name: str, *positional: Any, **keywords: Any) -> str:
    """Format a call: ``name(1, 2, padding="same")``."""
    parts = [*map(_format_value, positional), *(f"{key}={_format_value(value)}" for key, value in keywords.items())]
    return f"{name}({', '.join(parts)})"


def join_sections(*sections: str) -> str:
    """Join non-empty sections with two blank lines between them."""
    return "\n\n\n".join(section.strip("\n") for section in sections if section) + "\n"


def format_tuple(values: Sequence[str]) -> str:
    """Format a tuple: ``("one", "two")``, in lines of at most 120 characters."""
    line = ", ".join(map(_format_value, values))
    if len(line) < 100:
        return f"({line},)" if len(values) == 1 else f"({line})"
    lines = [""]
    for value in map(_format_value, values):
        if len(lines[-1]) + len(value) > 110:
            lines.append("")
        lines[-1] += f" {value},"
    return "\n".join(["(", *(f"   {line}" for line in lines), ")"])


def _format_value(value: Any) -> str:
    return f'"{value}"' if isinstance(value, str) and value == sanitize_text(value) else repr(value)
