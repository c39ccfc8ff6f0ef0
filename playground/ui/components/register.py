"""Registration of the JavaScript components, and the encoding of arrays and images for them."""

from base64 import b64encode
from pathlib import Path
from typing import Any

import numpy as np
import streamlit as st
from numpy.typing import NDArray

_BUNDLES = Path(__file__).parent / "bundled"


def register_component(name: str, *, isolate_styles: bool = True) -> Any:
    """Register the component of ``<name>.js`` and, where it exists, ``<name>.css`` in this folder.

    Both are read as the bundles that ``npm run build`` writes, since Streamlit takes the code of a component as one
    text.
    """
    css = _BUNDLES / f"{name}.css"
    return st.components.v2.component(
        f"playground_{name}",
        js=(_BUNDLES / f"{name}.js").read_text(encoding="utf-8"),
        css=css.read_text(encoding="utf-8") if css.exists() else None,
        isolate_styles=isolate_styles,
    )


def encode_png_url(png: bytes) -> str:
    """Encode a PNG as a data URL."""
    return "data:image/png;base64," + b64encode(png).decode("ascii")


def encode_array(values: NDArray[Any]) -> str:
    """Encode an array as base64: uint8 unchanged, everything else as little-endian float32."""
    kind = np.uint8 if values.dtype == np.uint8 else np.dtype("<f4")
    return b64encode(np.ascontiguousarray(values, dtype=kind).tobytes()).decode("ascii")
