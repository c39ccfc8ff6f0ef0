"""The drawing canvas: streamlit-drawable-canvas without its toolbar, read and written as strokes.

The browser keeps the drawing; Python reads the strokes from its Fabric 7 JSON. To change the canvas from Python
(undo, clear, a restored drawing, a test image), a *new* component is created with that content: sending a drawing back
to an existing component causes an endless loop of reruns.
"""

import base64
import cmath
import logging
import math
import struct
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import cache
from html import escape
from itertools import groupby
from typing import Any, NamedTuple

import streamlit as st

from playground.engine.data.rasterize import erase_from_line

Point = tuple[float, float]
"""(x, y) in canvas pixels: x to the right, y down, the origin at the top left of the drawing area."""

Stroke = tuple[Point, ...]
"""The points between pen down and pen up; a single point is a dot."""

ERASER_WIDTH = 30
_ERASER_COLORS = ("#000", "#000000", "rgb(0,0,0)", "rgba(0,0,0,1)")
MAX_STROKES = 200
MAX_POINTS = 20_000
MAX_ERASER_POINTS = 2_000
_MAX_PIECES = 1_000


class CanvasInk(NamedTuple):
    """Content of the canvas: the strokes after erasing, and the eraser's strokes, which erase the image under them."""

    strokes: tuple[Stroke, ...] = ()
    eraser_strokes: tuple[Stroke, ...] = ()


CANVAS_CSS = """
.st-key-canvas, .st-key-class-canvas {
    flex: none;
    overflow: clip;
    box-sizing: border-box;
    border: 1px solid light-dark(#000, #3a4543);
    border-radius: 8px;
    background: #000;
    touch-action: none;
    position: relative;
}
.pg-canvas-hint {
    position: absolute;
    z-index: 20;
    inset: 0;
    display: grid;
    place-items: center;
    padding: 24px;
    text-align: center;
    color: #9aa8a3;
    pointer-events: none;
    transition: opacity 0.2s 10s;
}
/* Hidden from the first touch on: the page takes the hint away when the stroke has arrived. */
.st-key-canvas:active .pg-canvas-hint { opacity: 0; transition: none; }
[data-testid="stElementContainer"]:has(> .stHtml > .pg-canvas-hint) { position: static; height: 0; }
[data-testid="stHtml"]:has(> .pg-canvas-hint) { position: static; }
"""
"""Styles to insert once per page; they also keep the area black while a canvas loads."""

_BORDER_PX = 2
_SAMPLE_STEP_PX = 4.0
_MAX_DOT_EXTENT = 0.25
_MAX_NUMBER = 1e6
_ARGUMENT_COUNTS = {"M": 2, "L": 2, "Q": 4, "C": 6, "Z": 0}
_DEFAULT_TRANSFORM = dict.fromkeys(("left", "top", "angle", "skewX", "skewY"), 0.0)
_DEFAULT_TRANSFORM |= dict.fromkeys(("scaleX", "scaleY", "strokeWidth"), 1.0)

_COMPONENT = "streamlit-drawable-canvas.streamlit_drawable_canvas"
_HTML = """<div class="canvas-root"></div><style>
    .dc-toolbar { display: none !important; } .dc-canvas { outline: none !important; }
</style>"""


@cache
def _load_st_canvas() -> Any:
    """Import the package, which works only inside a running app, and remove its toolbar.

    The toolbar is transparent but present over the corner of the drawing area, in a shadow root that the page's styles
    cannot reach, so the style must be part of the component's HTML. Its definition is therefore replaced; Streamlit
    would log a warning about that.
    """
    import streamlit_drawable_canvas

    registry_log = logging.getLogger("streamlit.components.v2.component_registry")
    registry_log.addFilter(lambda record: _COMPONENT not in record.getMessage())
    component = st.components.v2.component(_COMPONENT, html=_HTML, js="index-*.js", css="index-*.css")

    def out(**arguments: Any) -> dict[str, Any]:
        arguments["default"] = {"drawing": None, "backgroundFit": None}
        drawing = component(**arguments).get("drawing")
        # A client can send anything, and st_canvas takes the answer for what it should be.
        return {"drawing": drawing if isinstance(drawing, dict) else None}

    streamlit_drawable_canvas.out = out
    return streamlit_drawable_canvas.st_canvas


class _Mount(NamedTuple):
    """A component in the browser; its initial drawing must not change during its lifetime."""

    name: str
    revision: int
    settings: tuple[int, int, bytes | None]
    seed: dict[str, Any]


def render_canvas(
    *,
    key: str = "canvas",
    size: int = 280,
    pen_width: int,
    ink: CanvasInk,
    revision: int,
    background: bytes | None = None,
    is_erasing: bool = False,
    hint: str = "",
) -> CanvasInk | None:
    """Render the canvas and return its content, or None if nothing was drawn since it was created.

    ``ink`` and ``background`` (a square PNG, scaled to the canvas without smoothing) are the initial content. A new
    ``revision`` creates a new canvas, and so does returning to the page. ``size`` and ``pen_width`` are in pixels.
    ``hint`` is shown on the canvas.
    Raises ValueError if ``background`` is not a PNG.
    """
    mount_key = f"_{key}_mount"
    mount_settings = (revision, (size, pen_width, background))
    mount: _Mount | None = st.session_state.get(mount_key)
    if mount is None or mount[1:3] != mount_settings or mount.name not in st.session_state:
        strokes, eraser_strokes = read_canvas(key=key, revision=revision) or ink
        seed = make_fabric_json(strokes, pen_width=pen_width, offset_y=0.0)
        seed["objects"][:0] = _make_path_objects(eraser_strokes, ERASER_WIDTH, 0.0, "#000")
        if background is not None:
            seed["objects"].insert(0, _make_image_object(background, size))
        generation = 1 if mount is None else int(mount.name.rpartition("-")[2]) + 1
        mount = st.session_state[mount_key] = _Mount(f"{key}-{generation}", *mount_settings, seed)
    with st.container(key=key, width=size + _BORDER_PX, height=size + _BORDER_PX, border=False, gap=None):
        _load_st_canvas()(
            stroke_color="#000" if is_erasing else "#fff",
            background_color="#000",
            stroke_width=ERASER_WIDTH if is_erasing else pen_width,
            width=size,
            height=size,
            initial_drawing=mount.seed,
            key=mount.name,
        )
        if hint:
            st.html(f'<div class="pg-canvas-hint" aria-hidden="true">{escape(hint)}</div>')
    return read_canvas(key=key, revision=revision)


def read_canvas(*, revision: int, key: str = "canvas") -> CanvasInk | None:
    """Read the content of the canvas of this revision, or None if it has sent nothing yet.

    For callbacks, which may run before ``render_canvas`` returns the last stroke.
    """
    mount: _Mount | None = st.session_state.get(f"_{key}_mount")
    if mount is None or mount.revision != revision:
        return None
    drawing = (st.session_state.get(mount.name) or {}).get("drawing")
    if not isinstance(drawing, Mapping):
        return None
    # A pen farther outside than half its width is not visible.
    size, pen_width, _ = mount.settings
    return parse_fabric_json(drawing.get("raw"), offset_y=0.0, bounds=(-pen_width / 2, size + pen_width / 2))


def get_canvas_identity(key: str = "canvas") -> tuple[str, int]:
    """Return the name of the rendered canvas, and the number of objects on it; each stroke is one."""
    mount: _Mount = st.session_state[f"_{key}_mount"]
    drawing = (st.session_state.get(mount.name) or {}).get("drawing")
    raw = drawing.get("raw") if isinstance(drawing, Mapping) else None
    objects = raw.get("objects") if isinstance(raw, Mapping) else None
    return mount.name, len(objects if isinstance(objects, list) else mount.seed["objects"])


def parse_fabric_json(
    fabric_json: Mapping[str, Any] | None, *, offset_y: float, bounds: tuple[float, float] = (-4096.0, 4096.0)
) -> CanvasInk:
    """Parse the strokes and erasures in Fabric's JSON, skipping invalid objects.

    ``offset_y`` is the top of the drawing area in the JSON's pixels; coordinates are clipped to ``bounds`` and rounded
    to 0.01. Returns at most MAX_STROKES strokes and MAX_POINTS points; never raises.
    """
    objects = fabric_json.get("objects") if isinstance(fabric_json, Mapping) else None
    strokes: list[Stroke] = []
    eraser_strokes: list[Stroke] = []
    points_left, object_count = MAX_POINTS, 0
    for shape in objects[:MAX_POINTS] if isinstance(objects, list) else ():
        with suppress(ValueError):
            points = _parse_path_points(shape)[:points_left]
            stroke = _clean_stroke(points, offset_y, bounds)
            points_left -= len(points)
            if str(shape.get("stroke")).replace(" ", "") in _ERASER_COLORS:
                eraser = _simplify_eraser_stroke(stroke, MAX_ERASER_POINTS - sum(map(len, eraser_strokes)))
                eraser_strokes.append(eraser)
                strokes = [piece for drawn in strokes for piece in _erase_from_stroke(drawn, eraser)][:_MAX_PIECES]
            else:
                strokes.append(stroke)
            object_count += 1
        if object_count == MAX_STROKES or not points_left:
            break
    return CanvasInk(tuple(strokes), tuple(eraser_strokes))


def _simplify_eraser_stroke(stroke: Stroke, max_points: int) -> Stroke:
    """Thin out the points of an eraser stroke to at most ``max_points``, keeping its ends."""
    kept = [stroke[0]]
    for point in stroke[1:-1]:
        if math.dist(point, kept[-1]) >= ERASER_WIDTH / 4:
            kept.append(point)
    kept = kept[: max(1, max_points)]
    return (*kept, stroke[-1]) if len(stroke) > 1 else tuple(kept)


def _erase_from_stroke(stroke: Stroke, eraser: Stroke) -> list[Stroke]:
    pieces = erase_from_line(stroke, eraser, ERASER_WIDTH / 2)
    return [tuple((round(x, 2), round(y, 2)) for x, y in piece) for piece in pieces]


def make_fabric_json(strokes: Sequence[Stroke], *, pen_width: float, offset_y: float) -> dict[str, Any]:
    """Make the Fabric JSON that shows these strokes, one path object each, as ``initial_drawing``.

    The inverse of `parse_fabric_json`; Fabric derives the position of a path from its commands.
    """
    return {"objects": _make_path_objects(strokes, pen_width, offset_y, "#fff")}


def _make_path_objects(strokes: Sequence[Stroke], width: float, offset_y: float, color: str) -> list[dict[str, Any]]:
    style = {"type": "Path", "fill": None, "stroke": color, "strokeWidth": width}
    style |= {"strokeLineCap": "round", "strokeLineJoin": "round"}
    return [{**style, "path": _make_path_commands(stroke, width, offset_y)} for stroke in strokes if stroke]


def _make_path_commands(stroke: Stroke, pen_width: float, offset_y: float) -> list[list[Any]]:
    (x, y), *others = [(x, y + offset_y) for x, y in stroke]
    if not others:
        # A line of length 0 is not painted; Fabric's pen makes this of a click.
        nudge = pen_width / 1000
        return [["M", x - nudge, y], ["Q", x - nudge, y, x, y], ["L", x + nudge, y]]
    return [["M", x, y], *(["L", *point] for point in others)]


def _make_image_object(png: bytes, size: int) -> dict[str, Any]:
    width, height = struct.unpack(">II", png[16:24]) if len(png) > 24 else (0, 0)
    if png[:8] != b"\x89PNG\r\n\x1a\n" or not width * height:
        raise ValueError("the background must be a PNG image")
    return {
        "type": "Image",
        "src": "data:image/png;base64," + base64.b64encode(png).decode("ascii"),
        "imageSmoothing": False,
        "left": size / 2,
        "top": size / 2,
        "scaleX": size / width,
        "scaleY": size / height,
    }


def _clean_stroke(points: list[complex], offset_y: float, bounds: tuple[float, float]) -> Stroke:
    """Clip and round the points, drop repetitions, and make a stroke without extent a dot."""
    low, high = bounds
    xs = [round(min(max(point.real, low), high), 2) for point in points]
    ys = [round(min(max(point.imag - offset_y, low), high), 2) for point in points]
    if max(max(xs) - min(xs), max(ys) - min(ys)) <= _MAX_DOT_EXTENT:
        return ((round((min(xs) + max(xs)) / 2, 2), round((min(ys) + max(ys)) / 2, 2)),)
    return tuple(point for point, _ in groupby(zip(xs, ys, strict=True)))


def _parse_path_points(shape: object) -> list[complex]:
    """Convert a path object to points x + y·i in the JSON's pixels; raises ValueError if it is not a valid stroke."""
    path = shape.get("path") if isinstance(shape, Mapping) and shape.get("type") == "Path" else None
    if not isinstance(shape, Mapping) or not isinstance(path, list) or len(path) > MAX_POINTS:
        raise ValueError("not a path, or a path with too many commands")
    # Everything is validated first, so that an invalid object costs no computation.
    numbers = {name: _parse_number(shape.get(name, default)) for name, default in _DEFAULT_TRANSFORM.items()}
    (first_command, points), *others = [_parse_path_command(command) for command in path] or [("", [])]
    if first_command != "M" or any(name == "M" for name, _ in others):
        raise ValueError("a stroke must begin with its only M command")
    corners = list(points)
    for name, targets in others:
        start = points[-1]
        if name == "Q":
            control, end = targets
            # A quadratic curve equals the cubic one with controls two thirds of the way to its own. Fabric computes
            # the bounding box, and with it the position, from a different curve.
            points += _sample_bezier(start, start + (control - start) * 2 / 3, end + (control - end) * 2 / 3, end)
            corners += _find_bounding_points(start, control, control, end)
        elif name == "C":
            points += _sample_bezier(start, *targets)
            corners += _find_bounding_points(start, *targets)
        else:
            points += targets or [points[0]]
            corners.append(points[-1])
        if len(points) > MAX_POINTS:
            break
    return _transform_points(points, numbers, shape, corners) if "left" in shape and "top" in shape else points


def _parse_path_command(command: object) -> tuple[str, list[complex]]:
    name, *arguments = command if isinstance(command, list) and command else [None]
    if not isinstance(name, str) or _ARGUMENT_COUNTS.get(name) != len(arguments):
        raise ValueError("unknown path command")
    numbers = [_parse_number(argument) for argument in arguments]
    return name, [complex(x, y) for x, y in zip(numbers[::2], numbers[1::2], strict=True)]


def _sample_bezier(start: complex, control: complex, second_control: complex, end: complex) -> list[complex]:
    """Sample a cubic Bézier curve about every _SAMPLE_STEP_PX pixels, without its start."""
    length = abs(control - start) + abs(second_control - control) + abs(end - second_control)
    count = min(max(math.ceil(length / _SAMPLE_STEP_PX), 1), 64)
    return [_evaluate_bezier(step / count, start, control, second_control, end) for step in range(1, count + 1)]


def _evaluate_bezier(t: float, p: complex, q: complex, r: complex, s: complex) -> complex:
    return (1 - t) ** 3 * p + 3 * t * (1 - t) ** 2 * q + 3 * t**2 * (1 - t) * r + t**3 * s


def _find_bounding_points(*curve: complex) -> list[complex]:
    """Find all points of a cubic Bézier curve that can touch its bounding box."""
    turns = [
        *_find_turning_parameters(*(point.real for point in curve)),
        *_find_turning_parameters(*(point.imag for point in curve)),
    ]
    return [curve[0], curve[3], *(_evaluate_bezier(t, *curve) for t in turns if 0 < t < 1)]


def _find_turning_parameters(p: float, q: float, r: float, s: float) -> list[float]:
    # The derivative of the curve over 3 is a t² + 2 b t + c.
    a, b, c = s - p + 3 * (q - r), p - 2 * q + r, q - p
    if abs(a) < 1e-9:
        return [-c / (2 * b)] if b else []
    inner = b * b - a * c
    return [(-b + math.sqrt(inner)) / a, (-b - math.sqrt(inner)) / a] if inner >= 0 else []


def _transform_points(
    points: list[complex], transform: Mapping[str, float], shape: Mapping[str, Any], corners: list[complex]
) -> list[complex]:
    """Transform points from a path's coordinates to the canvas as Fabric does: scale, skew, rotate, translate."""
    xs, ys = [corner.real for corner in corners], [corner.imag for corner in corners]
    center = complex(min(xs) + max(xs), min(ys) + max(ys)) / 2
    scale_x = -transform["scaleX"] if shape.get("flipX") is True else transform["scaleX"]
    scale_y = -transform["scaleY"] if shape.get("flipY") is True else transform["scaleY"]
    slope_x, slope_y = (math.tan(math.radians(transform[name])) for name in ("skewX", "skewY"))
    a, b, c, d = scale_x * (1 + slope_x * slope_y), scale_y * slope_y, scale_x * slope_x, scale_y
    # The origin lies on the bounding box, which includes the pen width.
    wide, high = (max(side) - min(side) + transform["strokeWidth"] for side in (xs, ys))
    across = ((shape.get("originX") == "right") - (shape.get("originX") == "left")) / 2
    down = ((shape.get("originY") == "bottom") - (shape.get("originY") == "top")) / 2
    shift = complex(across * (abs(a) * wide + abs(c) * high), down * (abs(b) * wide + abs(d) * high))
    turn = cmath.rect(1, math.radians(transform["angle"]))
    position = complex(transform["left"], transform["top"]) - shift * turn
    centered = (point - center for point in points)
    return [position + turn * complex(a * z.real + c * z.imag, b * z.real + d * z.imag) for z in centered]


def _parse_number(value: object) -> float:
    """Return a finite number of bounded size; raises ValueError for every other JSON value."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not abs(value) <= _MAX_NUMBER:
        raise ValueError("not a usable number")
    return float(value)
