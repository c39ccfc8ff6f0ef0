"""Rendering of Jinja2 templates; Jinja2 is imported at the first use."""

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jinja2 import Environment

_TEMPLATES_FOLDER = Path(__file__).parent / "templates"


def render_template(name: str, **values: Any) -> str:
    """Render a template of the folder ``templates``; numbers appear as Python writes them."""
    return _get_environment().get_template(name).render(values)


def render_code(source: str, **values: Any) -> str:
    """Render a template from a registry, without leading and trailing blank lines."""
    return _get_environment().from_string(source).render(values).strip("\n")


@cache
def _get_environment() -> "Environment":
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    return Environment(
        loader=FileSystemLoader(_TEMPLATES_FOLDER),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,
    )
