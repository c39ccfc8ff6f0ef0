"""Registration of the JavaScript components, and the encoding of arrays and images for them."""

import re
from base64 import b64encode
from pathlib import Path
from typing import Any

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from playground.web.assets import read_engine_script

_FOLDER = Path(__file__).parent
_IMPORT = re.compile(r'^import [^"]*"(?P<path>[^"]+)"\n', re.MULTILINE)
_COMMENT = re.compile(r"^ *(/\*.*?\*/|//[^\n]*)\n", re.MULTILINE | re.DOTALL)


def register_component(name: str, *, isolate_styles: bool = True, needs_engine: bool = False) -> Any:
    """Register the component of ``<name>.js`` and, where it exists, ``<name>.css`` in this folder.

    ``needs_engine``: the code may use ``cnnEngine``, the browser engine.
    """
    css = _FOLDER / f"{name}.css"
    engine = read_engine_script() if needs_engine else ""
    return st.components.v2.component(
        f"playground_{name}",
        js=engine + bundle_javascript(name),
        css=css.read_text(encoding="utf-8") if css.exists() else None,
        isolate_styles=isolate_styles,
    )


def bundle_javascript(name: str) -> str:
    """Join ``<name>.js`` and the modules that it imports, since Streamlit takes the code of a component as one string.

    Every module appears once, after its imports; all share one scope, so their top-level names must differ. Comments
    are removed, because Streamlit sends the code with every update.
    """
    modules: dict[Path, str] = {}

    def add(path: Path) -> None:
        source = path.read_text(encoding="utf-8")
        for statement in _IMPORT.finditer(source):
            imported = (path.parent / statement["path"]).resolve()
            if imported not in modules:
                add(imported)
        modules[path] = _COMMENT.sub("", _IMPORT.sub("", source)).lstrip()

    add((_FOLDER / f"{name}.js").resolve())
    return "".join(modules.values())


def encode_png_url(png: bytes) -> str:
    """Encode a PNG as a data URL."""
    return "data:image/png;base64," + b64encode(png).decode("ascii")


def encode_array(values: NDArray[Any]) -> str:
    """Encode an array as base64: uint8 unchanged, everything else as little-endian float32."""
    kind = np.uint8 if values.dtype == np.uint8 else np.dtype("<f4")
    return b64encode(np.ascontiguousarray(values, dtype=kind).tobytes()).decode("ascii")
