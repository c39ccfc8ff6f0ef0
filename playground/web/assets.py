"""Files of the browser engine that pages include."""

from functools import cache
from pathlib import Path

_FOLDER = Path(__file__).parent


@cache
def read_engine_script() -> str:
    """Read the script that defines ``cnnEngine``: the engine, its worker and the rasterization of strokes."""
    return (_FOLDER / "bundled" / "engine.js").read_text(encoding="utf-8")


@cache
def read_page_script() -> str:
    """Read the script of a published page, which contains the engine."""
    return (_FOLDER / "bundled" / "page.js").read_text(encoding="utf-8")


@cache
def read_page_stylesheet() -> str:
    """Read the style sheet of a published page, without the variables of its colors."""
    return (_FOLDER / "bundled" / "page.css").read_text(encoding="utf-8")
