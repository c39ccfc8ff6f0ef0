"""Photos of digits, rendered from pen strokes: sheet, desk, ruling, light, shadow, perspective, blur, noise and JPEG.

Every photo is a function of its seed and its drawings, so a benchmark and a test can name a photo that fails.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter, ImageFont

Array = NDArray[np.float64]
Stroke = Sequence[Sequence[float]]
Box = tuple[float, float, float, float]

SCENES = ("plain sheet", "sheet on a desk", "dark outline", "lined paper", "squared paper", "light on dark")
CLUTTER = ("blank", "letter", "scribble", "shape", "text", "blot")
LOOKALIKE = "letter like a digit"
COMPANIONS = ("letter", "word", "underline", "circle")
STROKE_WIDTH_RANGE = (1.0, 40.0)  # pixels of the photo

_SUPERSAMPLING = 2
_MIN_SIDE = 240
_DIGIT_RANGE = (0.12, 0.8)  # of the photo's shorter side
_WIDTH_PER_HEIGHT = (1 / 150, 1 / 5)  # of a stroke, to a digit's height
_INKS = ((15, 15, 20), (25, 35, 60), (30, 50, 150), (170, 25, 35), (20, 90, 60), (95, 95, 100))
_LETTERS = "AEFGHKMNPRTWXadefhkmnprwx"  # that resemble no digit
_LOOKALIKES = "BDIJLOQSUYZbgijloqsuyz"
_WORDS = ("hello world", "shopping list", "Dear Anna,", "TODAY", "page", "Kunden")


@dataclass(frozen=True)
class Photo:
    """A rendered photo as a file, and the digits on it, largest first; none for a photo without a digit.

    ``companion``: the sign beside or around a single digit, or the kind of a photo without a digit.
    """

    content: bytes
    scene: str
    labels: tuple[int, ...]
    stroke_width: float
    companion: str = ""


def render_digit_photo(
    drawings: Sequence[dict[str, Any]], seed: int, scene: str | None = None, *, max_side: int = 1000
) -> Photo:
    """Render a photo of digits (``label``, ``strokes``); the first is at least a quarter larger than the others."""
    random = np.random.default_rng([seed, 1])
    size = _choose_size(random, max_side)
    scene = scene or str(random.choice(SCENES))
    boxes = [_place_one(random, size)] if len(drawings) == 1 else _place_row(random, size, len(drawings))
    height = boxes[0][3]
    width = _choose_stroke_width(random, height)

    def draw(pen: ImageDraw.ImageDraw, scale: float) -> None:
        for drawing, box in zip(drawings, boxes, strict=True):
            ratio = box[3] / height
            _draw_strokes(pen, drawing["strokes"], box, max(1.0, width * ratio), scale)

    content = _render(random, size, scene, draw, width)
    return Photo(content, scene, tuple(drawing["label"] for drawing in drawings), width)


def render_companion_photo(
    drawing: dict[str, Any], kind: str, seed: int, scene: str | None = None, *, max_side: int = 1000
) -> Photo:
    """Render a photo of a digit beside a letter or word that is smaller, underlined, or in a circle."""
    random = np.random.default_rng([seed, 3])
    size = _choose_size(random, max_side)
    scene = scene or str(random.choice(SCENES))
    (left, top, side, _), other = _place_row(random, size, 2)
    is_beside = kind in ("letter", "word")
    if not is_beside:  # the digit has the middle of its box
        left, top, side = left + 0.2 * side, top + 0.2 * side, 0.6 * side
    width = _choose_stroke_width(random, side)

    def draw(pen: ImageDraw.ImageDraw, scale: float) -> None:
        _draw_strokes(pen, drawing["strokes"], (left, top, side, side), width, scale)
        if is_beside:
            text = str(random.choice(list(_LETTERS + _LOOKALIKES) if kind == "letter" else _WORDS))
            font = ImageFont.load_default(size=max(12, other[3] * scale * (1 if kind == "letter" else 0.4)))
            pen.text((other[0] * scale, other[1] * scale), text, fill=255, font=font)
        elif kind == "underline":
            y = top + side * random.uniform(1.12, 1.25)
            _draw_line(pen, np.array([(left - 0.1 * side, y), (left + 1.1 * side, y)]), width, scale)
        else:
            turns, radius = np.linspace(0, 2 * np.pi, 40), side * random.uniform(0.75, 0.83)
            center = np.array([left + side / 2, top + side / 2])
            _draw_line(pen, center + radius * np.stack([np.cos(turns), np.sin(turns)], axis=1), width, scale)

    return Photo(_render(random, size, scene, draw, width), scene, (drawing["label"],), width, kind)


def render_clutter_photo(kind: str, seed: int, scene: str | None = None, *, max_side: int = 1000) -> Photo:
    """Render a photo without a digit: of the kinds of CLUTTER, or a LOOKALIKE."""
    random = np.random.default_rng([seed, 2])
    size = _choose_size(random, max_side)
    scene = scene or str(random.choice(SCENES))
    box = _place_one(random, size)
    width = _choose_stroke_width(random, box[3])
    content = _render(
        random, size, scene, lambda pen, scale: _draw_clutter(random, pen, kind, box, width, scale), width
    )
    return Photo(content, scene, (), width, kind)


def _choose_size(random: np.random.Generator, max_side: int) -> tuple[int, int]:
    side = int(np.exp(random.uniform(*np.log([_MIN_SIDE, max_side]))))
    other = int(side * random.uniform(0.7, 1.0))
    return (side, other) if random.random() < 0.5 else (other, side)


def _choose_stroke_width(random: np.random.Generator, height: float) -> float:
    low = max(STROKE_WIDTH_RANGE[0], height * _WIDTH_PER_HEIGHT[0])
    high = max(low, min(STROKE_WIDTH_RANGE[1], height * _WIDTH_PER_HEIGHT[1]))
    return float(np.exp(random.uniform(np.log(low), np.log(high))))


def _place_one(random: np.random.Generator, size: tuple[int, int]) -> Box:
    """Choose (left, top, width, height) inside the middle 84 % of the photo; a digit is fitted into the box."""
    short = min(size)
    height = short * float(np.exp(random.uniform(*np.log(_DIGIT_RANGE))))
    room = [max(0.0, side * 0.84 - height) for side in size]
    left, top = (0.08 * side + random.uniform(0, free) for side, free in zip(size, room, strict=True))
    return (left, top, height, height)


def _place_row(random: np.random.Generator, size: tuple[int, int], count: int) -> list[Box]:
    """Place digits in a row, with gaps of 0.25 to 0.8 of their height; the largest has a random place in it."""
    ratios = [1.0, *random.uniform(0.45, 0.8, count - 1)]
    gap = random.uniform(0.25, 0.8)
    total = sum(ratios) + gap * (count - 1)
    height = min(size[0] * 0.8 / total, size[1] * 0.7)
    order = random.permutation(count)
    boxes: list[Box] = [(0, 0, 0, 0)] * count
    left = 0.1 * size[0] + random.uniform(0, max(0.0, size[0] * 0.8 - height * total))
    base = random.uniform(0.12 * size[1] + height, 0.88 * size[1])
    for index in order:
        side = ratios[index] * height
        boxes[index] = (left, base - side, side, side)
        left += side + gap * height
    return boxes


def _draw_strokes(pen: ImageDraw.ImageDraw, strokes: Sequence[Stroke], box: Box, width: float, scale: float) -> None:
    points = np.concatenate([np.asarray(stroke, dtype=np.float64) for stroke in strokes if len(stroke)])
    low, extent = points.min(axis=0), np.ptp(points, axis=0)
    ratio = min((box[2] - width) / max(extent[0], 1e-6), (box[3] - width) / max(extent[1], 1e-6))
    offset = np.array(box[:2]) + (np.array(box[2:]) - extent * ratio) / 2
    for stroke in strokes:
        _draw_line(pen, (np.asarray(stroke, dtype=np.float64) - low) * ratio + offset, width, scale)


def _draw_line(pen: ImageDraw.ImageDraw, points: Array, width: float, scale: float) -> None:
    corners = [(float(x), float(y)) for x, y in points * scale]
    radius = width * scale / 2
    if len(corners) > 1:
        pen.line(corners, fill=255, width=max(1, round(2 * radius)), joint="curve")
    if radius > 1.5 or len(corners) == 1:
        for x, y in (corners[0], corners[-1]):
            pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=255)


def _draw_clutter(
    random: np.random.Generator, pen: ImageDraw.ImageDraw, kind: str, box: Box, width: float, scale: float
) -> None:
    left, top, side, _ = box
    middle = np.array([left + side / 2, top + side / 2])
    if kind in ("letter", LOOKALIKE):
        font = ImageFont.load_default(size=max(12, side * scale))
        letter = str(random.choice(list(_LETTERS if kind == "letter" else _LOOKALIKES)))
        pen.text((left * scale, top * scale), letter, fill=255, font=font, stroke_width=int(width * scale / 8))
    elif kind == "scribble":
        corners = np.array([left, top]) + random.uniform(0, side, (int(random.integers(8, 25)), 2))
        _draw_line(pen, corners, width, scale)
    elif kind == "shape":
        for line in _make_shape(random):
            _draw_line(pen, middle + np.asarray(line) * side / 2, width, scale)
    elif kind == "text":
        font = ImageFont.load_default(size=max(12, side * scale / 5))
        for row in range(int(random.integers(1, 5))):
            place = (left * scale * 0.6, (top + side * row / 4) * scale)
            pen.text(place, str(random.choice(_WORDS)), fill=255, font=font)
    elif kind == "blot":
        angles = np.linspace(0, 2 * np.pi, 24)
        radii = side * (0.3 + 0.06 * random.standard_normal(24))
        corners = middle + np.stack([np.cos(angles) * radii, np.sin(angles) * radii * 0.8], axis=1)
        pen.polygon([(float(x), float(y)) for x, y in corners * scale], fill=255)


def _make_shape(random: np.random.Generator) -> list[list[tuple[float, float]]]:
    """Choose a triangle, rectangle, cross, plus, star or arrow in the square from -1 to 1."""
    star = [(math.sin(turn * 4 * math.pi / 5), -math.cos(turn * 4 * math.pi / 5)) for turn in range(6)]
    shapes: list[list[list[tuple[float, float]]]] = [
        [[(-0.9, 0.9), (0, -0.9), (0.9, 0.9), (-0.9, 0.9)]],
        [[(-0.9, -0.7), (0.9, -0.7), (0.9, 0.7), (-0.9, 0.7), (-0.9, -0.7)]],
        [[(-0.8, -0.8), (0.8, 0.8)], [(0.8, -0.8), (-0.8, 0.8)]],
        [[(-0.9, 0), (0.9, 0)], [(0, -0.9), (0, 0.9)]],
        [star],
        [[(-0.9, 0), (0.9, 0)], [(0.4, -0.5), (0.9, 0), (0.4, 0.5)]],
    ]
    return shapes[int(random.integers(len(shapes)))]


def _render(
    random: np.random.Generator,
    size: tuple[int, int],
    scene: str,
    draw: Callable[[ImageDraw.ImageDraw, float], None],
    stroke_width: float,
) -> bytes:
    """Draw ink, ruling and sheet as flat layers, look at them in perspective, light them, and save the photo."""
    flat_size = (size[0] * _SUPERSAMPLING, size[1] * _SUPERSAMPLING)
    is_light_on_dark = scene == "light on dark"
    has_desk = scene == "sheet on a desk" or (scene != "dark outline" and random.random() < 0.3)
    ink, ruling, sheet = (Image.new("L", flat_size) for _ in range(3))
    draw(ImageDraw.Draw(ink), _SUPERSAMPLING)
    _draw_ruling(random, ImageDraw.Draw(ruling), size, scene)
    _draw_sheet(random, ImageDraw.Draw(sheet), size, ink, has_desk=has_desk)
    turn = _choose_perspective(random, flat_size)
    ink_layer, ruling_layer, sheet_layer = (_warp(layer, turn, size) for layer in (ink, ruling, sheet))

    paper, desk, ink_color, rule_color = _choose_colors(random, is_light_on_dark=is_light_on_dark)
    strength = random.uniform(0.75, 1.0)
    shown = desk + _make_grain(random, size)[..., None]
    flat = paper + (rule_color - paper) * ruling_layer[..., None]
    flat = flat + (ink_color - flat) * (ink_layer * strength)[..., None]
    shown += (flat - shown) * sheet_layer[..., None]
    shown *= _make_light(random, size)[..., None]
    if scene == "dark outline":
        _draw_outline(random, shown)
    return _save(random, np.clip(shown, 0, 1), stroke_width)


def _choose_colors(random: np.random.Generator, *, is_light_on_dark: bool) -> tuple[Array, Array, Array, Array]:
    ink = np.array(_INKS[int(random.integers(len(_INKS)))]) / 255
    if is_light_on_dark:
        paper = random.uniform(0.03, 0.25) * np.array([1, 1.05, 1]) * np.ones(3)
        desk = random.uniform(0.35, 0.8) * np.array([1.0, 0.92, 0.8])
        return paper, desk, random.uniform(0.75, 0.97) * np.ones(3), paper + 0.08
    paper = random.uniform(0.78, 0.98) * np.array([1, 1, random.uniform(0.88, 1)])
    desk = random.uniform(0.04, 0.45) * np.array([1.0, random.uniform(0.7, 1), random.uniform(0.5, 1)])
    rule_ink = np.array([(0.3, 0.5, 0.9), (0.5, 0.5, 0.5), (0.4, 0.65, 0.6)][int(random.integers(3))])
    return paper, desk, ink, paper + (rule_ink - paper) * random.uniform(0.3, 0.9)


def _draw_ruling(random: np.random.Generator, pen: ImageDraw.ImageDraw, size: tuple[int, int], scene: str) -> None:
    if scene not in ("lined paper", "squared paper"):
        return
    width, height = size
    step = min(size) * random.uniform(0.05, 0.16)
    thickness = max(1, round(min(size) / 300 * random.uniform(0.6, 1.6) * _SUPERSAMPLING))
    for y in np.arange(random.uniform(0, step), height, step) * _SUPERSAMPLING:
        pen.line(((0, y), (width * _SUPERSAMPLING, y)), fill=255, width=thickness)
    if scene == "squared paper":
        for x in np.arange(random.uniform(0, step), width, step) * _SUPERSAMPLING:
            pen.line(((x, 0), (x, height * _SUPERSAMPLING)), fill=255, width=thickness)


def _draw_sheet(
    random: np.random.Generator, pen: ImageDraw.ImageDraw, size: tuple[int, int], ink: Image.Image, *, has_desk: bool
) -> None:
    """Draw the sheet around all ink; without a desk it fills the photo."""
    width, height = (side * _SUPERSAMPLING for side in size)
    if not has_desk:
        pen.rectangle((-width, -height, 2 * width, 2 * height), fill=255)
        return
    left, top, right, bottom = ink.getbbox() or (width // 3, height // 3, width * 2 // 3, height * 2 // 3)
    margin = 0.03 * min(width, height)
    sides = [
        random.uniform(0, max(0.0, left - margin)),
        random.uniform(0, max(0.0, top - margin)),
        random.uniform(min(width, right + margin), width),
        random.uniform(min(height, bottom + margin), height),
    ]
    for side in np.flatnonzero(random.random(4) < 0.25):  # the sheet goes on beyond some sides of the photo
        sides[side] = (-width, -height, 2 * width, 2 * height)[side]
    pen.rectangle(sides, fill=255)


def _choose_perspective(random: np.random.Generator, size: tuple[int, int]) -> list[float]:
    """Choose a rotation of up to 7° and a small perspective: the coefficients of Pillow's transform."""
    width, height = size
    corners = np.array([(0, 0), (width, 0), (width, height), (0, height)], dtype=np.float64)
    angle = math.radians(float(np.clip(random.normal(0, 3), -7, 7)))
    turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    middle = corners.mean(axis=0)
    seen = (corners - middle) @ turn.T + middle + random.uniform(-0.03, 0.03, (4, 2)) * min(size)
    rows = []
    for (x, y), (u, v) in zip(seen, corners, strict=True):
        rows += [[x, y, 1, 0, 0, 0, -u * x, -u * y], [0, 0, 0, x, y, 1, -v * x, -v * y]]
    return [float(value) for value in np.linalg.solve(np.array(rows), corners.ravel())]


def _warp(layer: Image.Image, coefficients: list[float], size: tuple[int, int]) -> Array:
    fill = layer.getpixel((0, 0)) if layer.getextrema() == (255, 255) else 0
    turned = layer.transform(
        layer.size, Image.Transform.PERSPECTIVE, coefficients, Image.Resampling.BILINEAR, fillcolor=fill
    )
    return np.asarray(turned.resize(size, Image.Resampling.BOX), dtype=np.float64) / 255


def _make_grain(random: np.random.Generator, size: tuple[int, int]) -> Array:
    """Make wood grain: noise that varies slowly along the desk and quickly across it."""
    width, height = size
    small = random.standard_normal((height, max(2, width // 40)))
    grain = np.asarray(Image.fromarray(small).resize(size, Image.Resampling.BICUBIC), dtype=np.float64)
    return grain * random.uniform(0, 0.04)


def _make_light(random: np.random.Generator, size: tuple[int, int]) -> Array:
    """Make a slope of light across the photo, and in half of the photos a shadow with a soft edge."""
    width, height = size
    rows, columns = np.mgrid[0:height, 0:width] / max(size)
    angle = random.uniform(0, 2 * math.pi)
    slope = np.cos(angle) * (columns - columns.mean()) + np.sin(angle) * (rows - rows.mean())
    light = random.uniform(0.75, 1.0) + random.uniform(0, 0.5) * slope
    if random.random() < 0.5:
        shadow = Image.new("L", size)
        center, radius = random.uniform(0, 1, 2) * size, random.uniform(0.3, 0.9) * max(size)
        corners = [
            (float(center[0] + radius * math.cos(turn)), float(center[1] + radius * math.sin(turn)))
            for turn in np.sort(random.uniform(0, 2 * math.pi, 5))
        ]
        ImageDraw.Draw(shadow).polygon(corners, fill=255)
        soft = shadow.filter(ImageFilter.GaussianBlur(random.uniform(0.004, 0.06) * max(size)))
        light = light * (1 - random.uniform(0.15, 0.5) * np.asarray(soft) / 255)
    return np.asarray(light)


def _draw_outline(random: np.random.Generator, shown: NDArray[Any]) -> None:
    height, width = shown.shape[:2]
    thickness = int(random.integers(1, max(2, round(0.03 * min(height, width)))))
    gap = 0 if random.random() < 0.6 else int(random.integers(0, max(1, round(0.03 * min(height, width)))))
    shade = random.uniform(0, 0.3)
    inner = slice(gap + thickness, height - gap - thickness), slice(gap + thickness, width - gap - thickness)
    kept = shown[inner].copy()
    shown[gap : height - gap, gap : width - gap] = shade
    shown[inner] = kept


def _save(random: np.random.Generator, shown: NDArray[Any], stroke_width: float) -> bytes:
    blur = random.uniform(0, min(0.6 + 0.1 * stroke_width, 2.0))
    image = Image.fromarray((shown * 255).astype(np.uint8)).filter(ImageFilter.GaussianBlur(blur))
    noise = random.standard_normal(shown.shape[:2])[..., None] * random.uniform(0, 0.03)
    noisy = np.clip(np.asarray(image) / 255 + noise, 0, 1)
    buffer = BytesIO()
    Image.fromarray((noisy * 255).astype(np.uint8)).save(buffer, "JPEG", quality=int(random.integers(50, 96)))
    return buffer.getvalue()
