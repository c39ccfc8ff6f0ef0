"""Plotly chart for live data; zoom and hidden traces survive every update."""

import math
from collections.abc import Mapping
from importlib.metadata import version
from importlib.resources import files
from typing import Any

import numpy as np
from streamlit.components.v1 import declare_component

from playground.ui.components.register import register_component

# Plotly puts its style sheet into the document; inside a shadow root it would not apply.
_RENDER = register_component("live_chart", isolate_styles=False)
_PLOTLY_FOLDER = str(files("plotly").joinpath("package_data"))
_PLOTLY_VERSION = version("plotly")


def live_chart(figure: Mapping[str, Any], *, key: str, height: int) -> None:
    """Render a Plotly figure dict, `height` pixels high, that keeps zoom and hidden traces.

    Numpy arrays are allowed; TypeError for values that JSON cannot hold. Floats are sent with 7
    digits. A new `layout.uirevision` resets zoom and hidden traces.
    """
    _RENDER(
        key=key,
        height=height,
        data={"figure": _to_json_value(figure), "height": height, "library": _register_plotly()},
    )


def _register_plotly() -> str:
    """Register the folder of plotly.js with the running server and return its path below the app's root."""
    # A v1 component is the public way to have Streamlit serve a folder of another package: v2
    # assets must lie inside the own, installed package. Nothing of v1 is ever mounted. Repeated
    # at each call, as it is cheap and counts only for the runtime of the current script run.
    component = declare_component("plotly_js", path=_PLOTLY_FOLDER)
    return f"component/{component.name}/plotly.min.js?version={_PLOTLY_VERSION}"


def _to_json_value(value: Any) -> Any:
    """Convert to JSON types; NaN and infinities become None."""
    match value:
        case None | bool() | int() | str():
            return value
        case float():
            # Shorter on the wire (float32 values print 17 digits as doubles), same on the screen.
            return float(f"{value:.7g}") if math.isfinite(value) else None
        case Mapping():
            return {str(name): _to_json_value(item) for name, item in value.items()}
        case list() | tuple():
            return [_to_json_value(item) for item in value]
        case np.ndarray() | np.generic():
            return _to_json_value(value.tolist())
    raise TypeError(f"a figure cannot hold a {type(value).__name__}")
