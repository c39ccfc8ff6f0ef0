"""WRITE a network as a picture: one SVG text that needs nothing else, for a page, a slide or a print."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from itertools import groupby, pairwise
from math import log2, sqrt

from playground.core.architecture import Architecture
from playground.core.layers import Conv2d, Layer, Residual
from playground.core.layers.pooling import WindowPool
from playground.core.shapes import Shape, is_map, shape_text
from playground.core.summary import summarize

_INK, _MUTED, _LINE = "#16201E", "#5C6965", "#9AA8A3"
# Edge and face. Edges from Okabe and Ito, "Color Universal Design", 2008; the purple is darker, to be seen on white.
_GREY, _BLUE, _ORANGE = ("#66736F", "#EEF1F0"), ("#0072B2", "#D9EAF4"), ("#D55E00", "#FBE6D8")
_GREEN, _PURPLE = ("#009E73", "#D6EFE7"), ("#A8578A", "#F3E2EC")
_COLOURS = {
    "conv2d": _BLUE,
    "residual": _GREEN,
    "max_pool2d": _ORANGE,
    "avg_pool2d": _ORANGE,
    "global_avg_pool": _ORANGE,
    "flatten": _PURPLE,
    "linear": _PURPLE,
    "output": _PURPLE,
}
_POINTWISE = ("batch_norm", "dropout", "activation")
_MOST_WIDTH, _MARGIN, _GAP = 1200.0, 32.0, 30.0
_TOP, _MIDDLE, _LABELS, _LINE_HEIGHT = 64.0, 100.0, 184.0, 15.0  # from a row's top: middle of the bodies, labels
_LARGEST, _SMALLEST, _SHIFT, _SLIM, _CELL = 92.0, 8.0, 5.0, 9.0, 8.0
_LETTER = 6.4  # a letter's width at 11 pixels, on the safe side: the viewer's font is not known
_MOST_LETTERS = 17


@dataclass(frozen=True)
class _Station:
    """A layer as it is drawn: its result's shape, how wide its body is, and the words under it."""

    kind: str
    layer: Layer | None
    shape: Shape
    front: tuple[float, float]
    plates: int
    labels: tuple[str, ...]

    @property
    def body_width(self) -> float:
        return self.front[0] + (self.plates - 1) * _SHIFT

    @property
    def width(self) -> float:
        return max(self.body_width, max(map(len, self.labels)) * _LETTER)

    @property
    def is_volume(self) -> bool:
        return is_map(self.shape) and self.kind not in _POINTWISE

    @property
    def colours(self) -> tuple[str, str]:
        return _COLOURS.get(self.kind, _GREY)


@dataclass(frozen=True)
class _Placed:
    """A station in its place: the middle of its body."""

    station: _Station
    x: float
    y: float

    @property
    def left(self) -> float:
        return self.x - self.station.body_width / 2

    @property
    def right(self) -> float:
        return self.x + self.station.body_width / 2

    @property
    def front_top(self) -> float:
        """Plates behind the front one stand further up."""
        return self.y + ((self.station.plates - 1) * _SHIFT - self.station.front[1]) / 2

    @property
    def top(self) -> float:
        return self.front_top - (self.station.plates - 1) * _SHIFT


def to_svg(architecture: Architecture, *, title: str = "") -> str:
    """The layers that are switched on as stacks of maps and columns of values, from left to right, in rows.

    Plates grow with the root of the maps' sides, stacks with the logarithm of the channels. Broken networks work too.
    """
    stations = _stations(architecture)
    rows = _rows(stations)
    heading = _printable(title) or "A network"
    facts = f"{shape_text(architecture.input.shape)} to {architecture.classes} classes"
    facts += f" · {summarize(architecture).parameters:,} parameters"
    first = next((place for place, station in enumerate(stations) if not is_map(station.shape)), len(stations))
    parts = [_text(_MARGIN, 30, heading, 17, _INK, bold=True), _text(_MARGIN, 50, facts, 12, _MUTED)]
    width, bottom, count = max(len(heading) * 10.5, len(facts) * 7), _TOP, 0
    for row in rows:
        placed = list(_placed(row, bottom + _MIDDLE))
        parts += [*_brackets(placed, count, first), *_passages(placed, starts=row is rows[0], ends=row is rows[-1])]
        parts += [text for one in placed for text in (*_body(one), *_labels(one))]
        parts += [text for before, after in pairwise(placed) for text in _window(before, after)]
        width = max(width, sum(station.width + _GAP for station in row) - _GAP)
        bottom += _LABELS + (max(len(station.labels) for station in row) + 1) * _LINE_HEIGHT
        count += len(row)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width + 2 * _MARGIN:.0f} {bottom:.0f}" '
        f'width="{width + 2 * _MARGIN:.0f}" height="{bottom:.0f}" role="img" '
        f'font-family="Inter, Helvetica, Arial, sans-serif">\n<title>{escape(heading)}: {escape(facts)}</title>\n'
        f'<rect width="100%" height="100%" fill="#FFFFFF"/>\n' + "\n".join(parts) + "\n</svg>\n"
    )


def _stations(architecture: Architecture) -> list[_Station]:
    shape = architecture.input.shape
    longest = max(shape[1:])
    found = [_station("input", None, shape, longest, ("Input", shape_text(shape)))]
    for step in architecture.steps():
        parameters = step.layer.parameters(step.input_shape)
        labels = (
            step.layer.title,
            *_wrapped(step.layer.detail()),
            shape_text(step.output_shape),
            *([f"{parameters:,} parameters"] if parameters else []),
            *(["frozen"] if not step.layer.trainable else []),
        )
        found.append(_station(step.layer.kind, step.layer, step.output_shape, longest, labels))
    return found


def _wrapped(detail: str) -> Iterator[str]:
    """The figures in short lines; every layer inside of a block begins a line of its own."""
    for part in detail.split(" + "):
        line = ""
        for figure in part.split(" · "):
            if line and len(line) + len(figure) + 3 > _MOST_LETTERS:
                yield line
                line = ""
            line = f"{line} · {figure}" if line else figure
        if line:
            yield line


def _station(kind: str, layer: Layer | None, shape: Shape, longest: int, labels: tuple[str, ...]) -> _Station:
    if not is_map(shape):
        side = _CELL - 1
        return _Station(kind, layer, shape, (side, len(_cells(shape[0])) * _CELL), 1, labels)
    height, width = (_SMALLEST + (_LARGEST - _SMALLEST) * min(1.0, sqrt(size / longest)) for size in shape[1:])
    if kind in _POINTWISE:
        return _Station(kind, layer, shape, (_SLIM, height), 1, labels)
    return _Station(kind, layer, shape, (width, height), 1 + round(0.75 * log2(shape[0])), labels)


def _cells(size: int) -> list[bool]:
    """A column of values: one cell each up to ten, else as many as a long column has, some of them left out."""
    if size <= 10:
        return [True] * size
    half = min(7, 2 + round(0.5 * log2(size)))
    return [True] * half + [False] * 2 + [True] * half


def _rows(stations: Sequence[_Station]) -> list[list[_Station]]:
    """As many rows as needed, about equally long."""
    room = _MOST_WIDTH - 2 * _MARGIN
    total = sum(station.width + _GAP for station in stations)
    room = min(room, total / -(-total // room) + 120)
    rows: list[list[_Station]] = [[]]
    for station in stations:
        if rows[-1] and sum(other.width + _GAP for other in rows[-1]) + station.width > room:
            rows.append([])
        rows[-1].append(station)
    return rows


def _placed(row: Sequence[_Station], y: float) -> Iterator[_Placed]:
    left = _MARGIN
    for station in row:
        yield _Placed(station, left + station.width / 2, y)
        left += station.width + _GAP


def _body(placed: _Placed) -> Iterator[str]:
    station = placed.station
    edge, face = station.colours
    width, height = station.front
    style = f'fill="{face}" stroke="{edge}"'
    if not is_map(station.shape) and station.kind not in _POINTWISE:
        for place, is_drawn in enumerate(_cells(station.shape[0])):
            x, y = placed.left, placed.y - height / 2 + place * _CELL
            if is_drawn:
                yield f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{width:.1f}" rx="1.5" {style}/>'
            else:
                yield f'<circle cx="{placed.x:.1f}" cy="{y + width / 2:.1f}" r="1.2" fill="{edge}"/>'
        return
    for plate in reversed(range(station.plates)):
        x, y = placed.left + plate * _SHIFT, placed.front_top - plate * _SHIFT
        yield f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" rx="1.5" {style}/>'


def _labels(placed: _Placed) -> Iterator[str]:
    y = placed.y - _MIDDLE + _LABELS
    last = len(placed.station.labels) - 1
    has_parameters = placed.station.labels[last].endswith("parameters")
    for place, label in enumerate(placed.station.labels):
        is_shape = place == last - int(has_parameters)
        colour = placed.station.colours[0] if place == 0 else _INK if is_shape else _MUTED
        yield _text(placed.x, y + place * _LINE_HEIGHT, label, 11, colour, bold=place == 0, middle=True)


def _window(before: _Placed, after: _Placed) -> Iterator[str]:
    """The window that slides over the maps below, and the value that it comes to; the way around a block."""
    layer = after.station.layer
    edge = after.station.colours[0]
    if isinstance(layer, Residual):
        start, stop, top = before.right - 4, after.x, min(before.top, after.top) - 14
        yield (
            f'<path d="M{start:.1f} {before.top - 2:.1f} C{start:.1f} {top:.1f} {stop:.1f} {top:.1f} '
            f'{stop:.1f} {after.top - 3:.1f}" fill="none" stroke="{edge}" stroke-dasharray="3 2"/>'
        )
    if not isinstance(layer, Conv2d | WindowPool) or not (before.station.is_volume and after.station.is_volume):
        return
    extent = layer.extent if isinstance(layer, Conv2d) else layer.kernel_size
    (wide, high), (_, rows, columns) = before.station.front, before.station.shape
    width, height = min(wide, max(4.0, extent * wide / columns)), min(high, max(4.0, extent * high / rows))
    x, y = before.left + (wide - width) * 0.7, before.front_top + (high - height) * 0.6
    point_x = after.left + after.station.front[0] * 0.4
    point_y = after.front_top + after.station.front[1] * 0.55
    for corner in (y, y + height):
        yield (
            f'<line x1="{x + width:.1f}" y1="{corner:.1f}" x2="{point_x:.1f}" y2="{point_y:.1f}" stroke="{edge}" '
            'stroke-width="0.8"/>'
        )
    yield (
        f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" fill="{edge}" fill-opacity="0.25" '
        f'stroke="{edge}"/>'
    )
    yield f'<circle cx="{point_x:.1f}" cy="{point_y:.1f}" r="1.8" fill="{edge}"/>'


def _passages(row: Sequence[_Placed], *, starts: bool, ends: bool) -> Iterator[str]:
    """An arrow from body to body where no window shows the way, and from row to row."""
    for before, after in pairwise(row):
        if not any(_window(before, after)) or isinstance(after.station.layer, Residual):
            yield _arrow(before.right + 5, after.left - 5, before.y)
    if not starts:
        yield _arrow(row[0].left - 24, row[0].left - 5, row[0].y)
    if not ends:
        yield _arrow(row[-1].right + 5, row[-1].right + 24, row[-1].y)


def _arrow(start: float, stop: float, y: float) -> str:
    stop = max(stop, start + 6)
    return f'<path d="M{start:.1f} {y:.1f}H{stop:.1f}m-4 -3l4 3l-4 3" fill="none" stroke="{_LINE}" stroke-width="1.2"/>'


def _brackets(row: Sequence[_Placed], count: int, first: int) -> Iterator[str]:
    """What finds features and what tells classes apart; ``first`` is the place of the first vector."""
    places = [(count + place, one) for place, one in enumerate(row) if count + place > 0]
    for is_feature, group in groupby(places, key=lambda pair: pair[0] < first):
        members = [one for _, one in group]
        left = members[0].x - members[0].station.width / 2
        right = members[-1].x + members[-1].station.width / 2
        y = row[0].y - _MIDDLE + 22
        name = "feature extraction" if is_feature else "classification"
        yield f'<path d="M{left:.1f} {y + 5:.1f}v-5H{right:.1f}v5" fill="none" stroke="{_LINE}"/>'
        if right - left > len(name) * _LETTER:
            yield _text((left + right) / 2, y - 6, name, 11, _MUTED, middle=True)


def _text(x: float, y: float, text: str, size: int, colour: str, *, bold: bool = False, middle: bool = False) -> str:
    style = (' font-weight="600"' if bold else "") + (' text-anchor="middle"' if middle else "")
    return f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" fill="{colour}"{style}>{escape(text)}</text>'


def _printable(text: str) -> str:
    """One line without letters that XML cannot hold."""
    return "".join(letter for letter in " ".join(text.split()) if letter.isprintable())[:120]
