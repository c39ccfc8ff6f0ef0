"""Rendering of the report's Jinja2 templates, which escape all text that is not marked as safe."""

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from playground.codegen.templating import make_environment

if TYPE_CHECKING:
    from jinja2 import Environment

_TEMPLATES_FOLDER = Path(__file__).parent / "templates"


def render_html(name: str, **values: Any) -> str:
    """Render a template of the folder ``templates``."""
    return _get_environment().get_template(name).render(values)


@cache
def _get_environment() -> "Environment":
    return make_environment(_TEMPLATES_FOLDER, escapes_html=True)
