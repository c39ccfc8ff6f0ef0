"""Network diagram as a self-contained SVG."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from itertools import groupby, pairwise
from math import log2, sqrt

from playground.core.architecture import Architecture
from playground.core.layers import Layer
from playground.core.shapes import Shape, format_shape, is_spatial
from playground.core.summary import summarize

_TEXT_COLOR, _MUTED_COLOR, _LINE_COLOR = "#16201E", "#5C6965", "#9AA8A3"
# Edge and face. Edges from Okabe and Ito, "Color Universal Design", 2008; the purple is darker, for contrast on white.
_GRAY, _BLUE, _ORANGE = ("#66736F", "#EEF1F0"), ("#0072B2", "#D9EAF4"), ("#D55E00", "#FBE6D8")
_GREEN, _PURPLE = ("#009E73", "#D6EFE7"), ("#A8578A", "#F3E2EC")
_COLORS = {"gray": _GRAY, "blue": _BLUE, "orange": _ORANGE, "green": _GREEN, "purple": _PURPLE}
_MAX_WIDTH, _MARGIN, _GAP = 1200.0, 32.0, 30.0
_HEADER_HEIGHT, _BODY_CENTER, _LABELS_TOP, _LINE_HEIGHT = (
    64.0,
    100.0,
    184.0,
    15.0,
)  # distances from a row's top
_MAX_SIDE, _MIN_SIDE, _PLATE_OFFSET, _POINTWISE_WIDTH, _CELL_SIZE = 92.0, 8.0, 5.0, 9.0, 8.0
_CHARACTER_WIDTH = 6.4  # upper estimate at 11 pixels: the viewer's font is not known
_MAX_LABEL_LENGTH = 17


@dataclass(frozen=True)
class _DiagramNode:
    """A layer of the diagram: output shape, size of its body and labels."""

    layer: Layer | None
    shape: Shape
    front_size: tuple[float, float]
    plate_count: int
    labels: tuple[str, ...]

    @property
    def body_width(self) -> float:
        return self.front_size[0] + (self.plate_count - 1) * _PLATE_OFFSET

    @property
    def width(self) -> float:
        return max(self.body_width, max(map(len, self.labels)) * _CHARACTER_WIDTH)

    @property
    def is_elementwise(self) -> bool:
        return self.layer is not None and self.layer.is_elementwise

    @property
    def is_stack(self) -> bool:
        return is_spatial(self.shape) and not self.is_elementwise

    @property
    def colors(self) -> tuple[str, str]:
        return _COLORS[self.layer.diagram_color] if self.layer else _GRAY


@dataclass(frozen=True)
class _PositionedNode:
    """A node and the center of its body."""

    node: _DiagramNode
    x: float
    y: float

    @property
    def left(self) -> float:
        return self.x - self.node.body_width / 2

    @property
    def right(self) -> float:
        return self.x + self.node.body_width / 2

    @property
    def front_top(self) -> float:
        """Top of the front plate; those behind it are shifted up."""
        return self.y + ((self.node.plate_count - 1) * _PLATE_OFFSET - self.node.front_size[1]) / 2

    @property
    def top(self) -> float:
        return self.front_top - (self.node.plate_count - 1) * _PLATE_OFFSET


def to_svg(architecture: Architecture, *, title: str = "") -> str:
    """Draw the enabled layers as stacks of feature maps and columns of values, from left to right, in rows.

    The side of a plate grows with the root of the map's side, a stack with the logarithm of the channels. Invalid
    networks can be drawn too.
    """
    nodes = _build_nodes(architecture)
    rows = _split_into_rows(nodes)
    title_text = _sanitize_title(title) or "A network"
    facts = f"{format_shape(architecture.input.shape)} to {architecture.classes} classes"
    facts += f" · {summarize(architecture).parameters:,} parameters"
    first_vector_index = next((index for index, node in enumerate(nodes) if not is_spatial(node.shape)), len(nodes))
    parts = [
        _draw_text(_MARGIN, 30, title_text, 17, _TEXT_COLOR, is_bold=True),
        _draw_text(_MARGIN, 50, facts, 12, _MUTED_COLOR),
    ]
    width, bottom, count = max(len(title_text) * 10.5, len(facts) * 7), _HEADER_HEIGHT, 0
    for row in rows:
        placed = list(_position_nodes(row, bottom + _BODY_CENTER))
        parts += [
            *_draw_brackets(placed, count, first_vector_index),
            *_draw_arrows(placed, is_first_row=row is rows[0], is_last_row=row is rows[-1]),
        ]
        parts += [text for one in placed for text in (*_draw_body(one), *_draw_labels(one))]
        parts += [text for before, after in pairwise(placed) for text in _draw_window(before, after)]
        width = max(width, sum(node.width + _GAP for node in row) - _GAP)
        bottom += _LABELS_TOP + (max(len(node.labels) for node in row) + 1) * _LINE_HEIGHT
        count += len(row)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width + 2 * _MARGIN:.0f} {bottom:.0f}" '
        f'width="{width + 2 * _MARGIN:.0f}" height="{bottom:.0f}" role="img" '
        f'font-family="Inter, Helvetica, Arial, sans-serif">\n<title>{escape(title_text)}: {escape(facts)}</title>\n'
        f'<rect width="100%" height="100%" fill="#FFFFFF"/>\n' + "\n".join(parts) + "\n</svg>\n"
    )


def _build_nodes(architecture: Architecture) -> list[_DiagramNode]:
    shape = architecture.input.shape
    longest = max(shape[1:])
    nodes = [_build_node(None, shape, longest, ("Input", format_shape(shape)))]
    for step in architecture.resolve_layers():
        parameters = step.layer.count_parameters(step.input_shape)
        labels = (
            step.layer.title,
            *_wrap_label(step.layer.format_arguments()),
            format_shape(step.output_shape),
            *([f"{parameters:,} parameters"] if parameters else []),
            *(["frozen"] if not step.layer.trainable else []),
        )
        nodes.append(_build_node(step.layer, step.output_shape, longest, labels))
    return nodes


def _wrap_label(detail: str) -> Iterator[str]:
    """The arguments in short lines; every layer inside a block starts a new line."""
    for part in detail.split(" + "):
        line = ""
        for figure in part.split(" · "):
            if line and len(line) + len(figure) + 3 > _MAX_LABEL_LENGTH:
                yield line
                line = ""
            line = f"{line} · {figure}" if line else figure
        if line:
            yield line


def _build_node(layer: Layer | None, shape: Shape, longest_side: int, labels: tuple[str, ...]) -> _DiagramNode:
    if not is_spatial(shape):
        side = _CELL_SIZE - 1
        return _DiagramNode(layer, shape, (side, len(_select_drawn_cells(shape[0])) * _CELL_SIZE), 1, labels)
    height, width = (_MIN_SIDE + (_MAX_SIDE - _MIN_SIDE) * min(1.0, sqrt(size / longest_side)) for size in shape[1:])
    if layer and layer.is_elementwise:
        return _DiagramNode(layer, shape, (_POINTWISE_WIDTH, height), 1, labels)
    return _DiagramNode(layer, shape, (width, height), 1 + round(0.75 * log2(shape[0])), labels)


def _select_drawn_cells(size: int) -> list[bool]:
    """One flag per cell of a column of values; the middle cells of more than ten are left out."""
    if size <= 10:
        return [True] * size
    half = min(7, 2 + round(0.5 * log2(size)))
    return [True] * half + [False] * 2 + [True] * half


def _split_into_rows(nodes: Sequence[_DiagramNode]) -> list[list[_DiagramNode]]:
    """Split the nodes into rows of about equal length."""
    room = _MAX_WIDTH - 2 * _MARGIN
    total = sum(node.width + _GAP for node in nodes)
    room = min(room, total / -(-total // room) + 120)
    rows: list[list[_DiagramNode]] = [[]]
    for node in nodes:
        if rows[-1] and sum(other.width + _GAP for other in rows[-1]) + node.width > room:
            rows.append([])
        rows[-1].append(node)
    return rows


def _position_nodes(row: Sequence[_DiagramNode], y: float) -> Iterator[_PositionedNode]:
    left = _MARGIN
    for node in row:
        yield _PositionedNode(node, left + node.width / 2, y)
        left += node.width + _GAP


def _draw_body(positioned: _PositionedNode) -> Iterator[str]:
    node = positioned.node
    edge, face = node.colors
    width, height = node.front_size
    style = f'fill="{face}" stroke="{edge}"'
    if not is_spatial(node.shape) and not node.is_elementwise:
        for index, is_drawn in enumerate(_select_drawn_cells(node.shape[0])):
            x, y = positioned.left, positioned.y - height / 2 + index * _CELL_SIZE
            if is_drawn:
                yield f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{width:.1f}" rx="1.5" {style}/>'
            else:
                yield f'<circle cx="{positioned.x:.1f}" cy="{y + width / 2:.1f}" r="1.2" fill="{edge}"/>'
        return
    for plate in reversed(range(node.plate_count)):
        x, y = positioned.left + plate * _PLATE_OFFSET, positioned.front_top - plate * _PLATE_OFFSET
        yield f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" rx="1.5" {style}/>'


def _draw_labels(positioned: _PositionedNode) -> Iterator[str]:
    y = positioned.y - _BODY_CENTER + _LABELS_TOP
    last = len(positioned.node.labels) - 1
    has_parameters = positioned.node.labels[last].endswith("parameters")
    for index, label in enumerate(positioned.node.labels):
        is_shape = index == last - int(has_parameters)
        color = positioned.node.colors[0] if index == 0 else _TEXT_COLOR if is_shape else _MUTED_COLOR
        yield _draw_text(positioned.x, y + index * _LINE_HEIGHT, label, 11, color, is_bold=index == 0, is_centered=True)


def _draw_window(before: _PositionedNode, after: _PositionedNode) -> Iterator[str]:
    """Draw the sliding window with lines to its output value, and the shortcut of a block."""
    layer = after.node.layer
    edge = after.node.colors[0]
    if layer and layer.has_shortcut:
        start, stop, top = before.right - 4, after.x, min(before.top, after.top) - 14
        yield (
            f'<path d="M{start:.1f} {before.top - 2:.1f} C{start:.1f} {top:.1f} {stop:.1f} {top:.1f} '
            f'{stop:.1f} {after.top - 3:.1f}" fill="none" stroke="{edge}" stroke-dasharray="3 2"/>'
        )
    extent = layer.window_size if layer else None
    if extent is None or not (before.node.is_stack and after.node.is_stack):
        return
    (wide, high), (_, rows, columns) = before.node.front_size, before.node.shape
    width, height = min(wide, max(4.0, extent * wide / columns)), min(high, max(4.0, extent * high / rows))
    x, y = before.left + (wide - width) * 0.7, before.front_top + (high - height) * 0.6
    point_x = after.left + after.node.front_size[0] * 0.4
    point_y = after.front_top + after.node.front_size[1] * 0.55
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


def _draw_arrows(row: Sequence[_PositionedNode], *, is_first_row: bool, is_last_row: bool) -> Iterator[str]:
    """Draw arrows between bodies that no window connects, and between rows."""
    for before, after in pairwise(row):
        if not any(_draw_window(before, after)) or (after.node.layer and after.node.layer.has_shortcut):
            yield _draw_arrow(before.right + 5, after.left - 5, before.y)
    if not is_first_row:
        yield _draw_arrow(row[0].left - 24, row[0].left - 5, row[0].y)
    if not is_last_row:
        yield _draw_arrow(row[-1].right + 5, row[-1].right + 24, row[-1].y)


def _draw_arrow(start: float, stop: float, y: float) -> str:
    stop = max(stop, start + 6)
    path = f"M{start:.1f} {y:.1f}H{stop:.1f}m-4 -3l4 3l-4 3"
    return f'<path d="{path}" fill="none" stroke="{_LINE_COLOR}" stroke-width="1.2"/>'


def _draw_brackets(row: Sequence[_PositionedNode], previous_count: int, first_vector_index: int) -> Iterator[str]:
    """Draw brackets over feature extraction and classification, which starts at ``first_vector_index``."""
    indexed_nodes = [(index, node) for index, node in enumerate(row, previous_count) if index > 0]
    for is_feature, group in groupby(indexed_nodes, key=lambda pair: pair[0] < first_vector_index):
        members = [one for _, one in group]
        left = members[0].x - members[0].node.width / 2
        right = members[-1].x + members[-1].node.width / 2
        y = row[0].y - _BODY_CENTER + 22
        name = "feature extraction" if is_feature else "classification"
        yield f'<path d="M{left:.1f} {y + 5:.1f}v-5H{right:.1f}v5" fill="none" stroke="{_LINE_COLOR}"/>'
        if right - left > len(name) * _CHARACTER_WIDTH:
            yield _draw_text((left + right) / 2, y - 6, name, 11, _MUTED_COLOR, is_centered=True)


def _draw_text(
    x: float, y: float, text: str, size: int, color: str, *, is_bold: bool = False, is_centered: bool = False
) -> str:
    style = (' font-weight="600"' if is_bold else "") + (' text-anchor="middle"' if is_centered else "")
    return f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" fill="{color}"{style}>{escape(text)}</text>'


def _sanitize_title(text: str) -> str:
    """Return one line without characters that XML does not allow."""
    return "".join(letter for letter in " ".join(text.split()) if letter.isprintable())[:120]
