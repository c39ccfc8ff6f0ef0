"""Own components: their code, with what all of them use before it, and numbers as they travel to the browser."""

from base64 import b64encode
from pathlib import Path
from typing import Any

import numpy as np
import streamlit as st
from numpy.typing import NDArray

_HERE = Path(__file__).parent


def own_component(name: str) -> Any:
    """Register the component whose code is ``<name>.css`` and ``<name>.js`` beside this file."""
    css, js, shared = (
        (_HERE / file).read_text(encoding="utf-8") for file in (f"{name}.css", f"{name}.js", "elements.js")
    )
    return st.components.v2.component(f"playground_{name}", css=css, js=shared + js)


def png_url(png: bytes) -> str:
    """A picture as an address that holds it."""
    return "data:image/png;base64," + b64encode(png).decode("ascii")


def packed(values: NDArray[Any]) -> str:
    """An array as base64: bytes as they are, all else as float32."""
    kind = np.uint8 if values.dtype == np.uint8 else np.dtype("<f4")
    return b64encode(np.ascontiguousarray(values, dtype=kind).tobytes()).decode("ascii")
