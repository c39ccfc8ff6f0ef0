"""Files of the browser engine that pages include."""

from functools import cache
from pathlib import Path

_FOLDER = Path(__file__).parent


@cache
def read_engine_script() -> str:
    """Read the script that defines ``cnnEngine``: the engine, its worker and the rasterization of strokes."""
    return (_FOLDER / "bundled" / "engine.js").read_text(encoding="utf-8")
