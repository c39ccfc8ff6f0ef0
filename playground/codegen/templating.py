"""Rendering of Jinja2 templates; Jinja2 is imported at the first use."""

import re
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jinja2 import Environment

_PACKAGE_FOLDER = Path(__file__).parent.parent
_TEMPLATES_FOLDER = Path(__file__).parent / "templates"


def render_template(name: str, **values: Any) -> str:
    """Render a template of the folder ``templates``; numbers appear as Python writes them."""
    return _get_environment().get_template(name).render(values)


def render_code(source: str, **values: Any) -> str:
    """Render a template from a registry, without leading and trailing blank lines."""
    return _get_environment().from_string(source).render(values).strip("\n")


def read_package_source(name: str) -> str:
    """Read a module of the package for a program, without its docstring and imports; ``name`` is its path."""
    source = (_PACKAGE_FOLDER / name).read_text(encoding="utf-8")
    _, _, code = source.partition("\n\n\n")
    return re.sub(r"  # type: ignore\[.*", "", code).strip("\n")


def make_environment(templates_folder: Path, *, escapes_html: bool) -> "Environment":
    """Make an environment in which a missing value is an error and lines with tags leave no blank lines."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    return Environment(
        loader=FileSystemLoader(templates_folder),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=escapes_html,
    )


@cache
def _get_environment() -> "Environment":
    return make_environment(_TEMPLATES_FOLDER, escapes_html=False)
