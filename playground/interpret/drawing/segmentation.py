"""Segmentation of ink in a photo: contrast to the paper, connected components, and groups of them that form digits.

Light varies slowly over a photo and ink does not, so a morphological closing with a window wider than a stroke gives
the paper (a top-hat transform). Two windows are tried: a narrow one ignores shadows and margins, a wide one is needed
for thick pens.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from playground.interpret.drawing.ruling import Ruling, find_ruling, remove_ruling

Array = NDArray[np.float32]
Mask = NDArray[np.bool_]
Box = tuple[int, int, int, int]
"""Top, left, bottom, right in pixels."""

_THIN_WINDOW, _NARROW_WINDOW = 9, 25  # pixels
_WIDE_WINDOW_RATIO = 0.2  # of the longer side
_PAPER_FLOOR = 0.4  # of the brightest paper: contrasts on darker ground are not enlarged further
_MIN_CONTRAST, _MIN_RULING_CONTRAST = 0.06, 0.04
_MIN_COMPONENT_RATIO, _MIN_PIECE_RATIO = 0.03, 0.015  # of the photo's longer side
_MIN_GROUP_RATIO = 0.15  # of the largest group's side
_MIN_CONTRAST_RATIO = 0.45  # of two pieces of a digit
_MIN_FRAMED_RATIO = 0.15  # of a frame's longer side
_EDGE_RATIO = 0.05  # of the photo's longer side
_MAX_COUNTED_THINNESS = 12
_MAX_COUNTED_CONTRAST = 0.6
_MAX_LENGTH = 5.5  # times the box's side: more is a grid or a texture
_UNLIKELY_FACTOR = 0.3
_CORE_INK = 0.8  # of the ink's contrast, inside the blur of its edges
_BEYOND, _MAX_BEYOND = (2, 4), 0.04  # pixels from the ink, and the share of them that may be as dark
_MAX_BEYOND_DROP = 0.2  # of the step from ink to paper
_RING_GAP = 2.5  # pixels: the blur of an edge
_EIGHT_NEIGHBORS = np.ones((3, 3), dtype=np.bool_)


@dataclass(frozen=True, eq=False)
class InkGroup:
    """Connected components that form one sign, with features of the strokes and of the paper around them.

    ``ink`` and ``mask`` (height, width) cover ``box``. ``contrast`` is that of ink and paper, relative to the brighter
    one, so that it is the same in every light. ``max_stroke_width`` is in pixels; ``uniformity`` is the mean width
    relative to it; ``length`` is that of all strokes, relative to the box's longer side. ``flatness``: 1 if the paper
    around the ink has one brightness, 0 if it varies as much as the ink; ``clearness``: the same without the edges of
    shadows and ruling. ``is_cut``: the ink reaches the photo's edge. ``is_broken``: ink as dark goes on beyond it.
    """

    box: Box
    ink: Array
    mask: Mask
    contrast: float
    max_stroke_width: float
    uniformity: float
    length: float
    flatness: float
    clearness: float
    is_cut: bool
    is_broken: bool

    @property
    def side(self) -> int:
        """Longer side of the box."""
        return max(self.box[2] - self.box[0], self.box[3] - self.box[1])

    @property
    def quality(self) -> float:
        """Resemblance to a written sign: long, thin and even strokes, dark on evenly lit paper."""
        return self._rate(self.flatness)

    @property
    def legibility(self) -> float:
        """Resemblance to a written sign in any light: a shadow across it is no reason to doubt it."""
        return self._rate(max(self.flatness, self.clearness))

    def _rate(self, flatness: float) -> float:
        thinness = min(self.side / self.max_stroke_width, _MAX_COUNTED_THINNESS) / _MAX_COUNTED_THINNESS
        length = min(max(self.length, 0.6), 2) / 2
        contrast = (min(self.contrast, _MAX_COUNTED_CONTRAST) / _MAX_COUNTED_CONTRAST) ** 2
        quality = thinness * length * contrast * self.uniformity * (0.1 + 0.9 * flatness)
        is_unlikely = self.is_cut or self.is_broken or self.length > _MAX_LENGTH
        return quality * (_UNLIKELY_FACTOR if is_unlikely else 1)


@dataclass(frozen=True, eq=False)
class _Component:
    box: Box
    mask: Mask
    contrast: float

    @property
    def side(self) -> int:
        return max(self.box[2] - self.box[0], self.box[3] - self.box[1])


def find_ink(gray: Array, *, is_negative: bool = False) -> list[InkGroup]:
    """Find groups of dark ink in brightness 0 to 1 (height, width), those most like a large sign first.

    ``is_negative``: the brightness is inverted, since the ink of the photo is lighter than its paper.
    """
    thin_contrast, _ = _compute_contrast(gray, _THIN_WINDOW)
    wide_window = int(_WIDE_WINDOW_RATIO * max(gray.shape)) | 1
    found: list[list[InkGroup]] = []
    ruling: Ruling | None = None
    for window in sorted({_NARROW_WINDOW, max(wide_window, _NARROW_WINDOW)}):
        contrast, noise = _compute_contrast(gray, window)
        ruling = ruling or find_ruling(thin_contrast, max(_MIN_RULING_CONTRAST, 1.5 * noise))
        cleaned, threshold = remove_ruling(contrast, ruling), max(_MIN_CONTRAST, 3.5 * noise)
        groups = _find_groups(gray, cleaned, threshold, is_negative=is_negative)
        found.append(sorted(groups, key=compute_score, reverse=True))
    return max(found, key=lambda groups: compute_score(groups[0]) if groups else 0.0)


def compute_score(group: InkGroup) -> float:
    """Score a group by size and quality."""
    return group.side * group.quality


def _compute_contrast(gray: Array, window: int) -> tuple[Array, float]:
    """Compute how much darker each pixel is than the paper, 0 to 1, and the noise's standard deviation."""
    paper = ndimage.grey_closing(gray, size=(window, window), mode="nearest")
    floor = _PAPER_FLOOR * max(float(np.quantile(paper, 0.95)), 0.2)
    contrast = (paper - gray) / np.maximum(paper, floor)
    # The closing of noise is its maximum, so that plain paper has a contrast too.
    usual = float(np.median(contrast))
    noise = 1.48 * float(np.median(np.abs(contrast - usual)))
    return np.clip(contrast - usual, 0, 1).astype(np.float32), noise


def _find_groups(gray: Array, contrast: Array, threshold: float, *, is_negative: bool) -> list[InkGroup]:
    height, width = contrast.shape
    components = [part for part in _find_components(contrast, threshold) if not _is_along_edge(part, contrast.shape)]
    components = [part for part in components if not any(_is_frame_around(part, other) for other in components)]

    def is_cut(part: _Component) -> bool:
        top, left, bottom, right = part.box
        return top <= 1 or left <= 1 or bottom >= height - 1 or right >= width - 1

    whole = [part for part in components if not is_cut(part)]
    clusters = _cluster(whole or components)
    boxes = [_compute_bounding_box(cluster) for cluster in clusters]
    largest = max((max(box[2] - box[0], box[3] - box[1]) for box in boxes), default=0)
    return [
        _measure_group(gray, contrast, cluster, box, is_cut=not whole, is_negative=is_negative)
        for cluster, box in zip(clusters, boxes, strict=True)
        if max(box[2] - box[0], box[3] - box[1]) >= _MIN_GROUP_RATIO * largest
    ]


def _find_components(contrast: Array, threshold: float) -> list[_Component]:
    """Find connected components, each separated from its halo by a threshold of its own."""
    side = max(contrast.shape)
    labels, _ = ndimage.label(contrast > threshold, _EIGHT_NEIGHBORS)
    components: list[_Component] = []
    for number, place in enumerate(ndimage.find_objects(labels), 1):
        values = contrast[place]
        if max(values.shape) < _MIN_COMPONENT_RATIO * side:
            continue
        mask = labels[place] == number
        darkest = float(np.quantile(values[mask], 0.9))
        width = _measure_max_width(mask & (values > 0.5 * darkest))
        # Thin strokes vary in darkness; thick ones have holes that a low threshold would close.
        share = float(np.clip(0.25 + 0.025 * width, 0.3, 0.5))
        pieces, _ = ndimage.label(mask & (values > share * darkest), _EIGHT_NEIGHBORS)
        for piece_number, piece_place in enumerate(ndimage.find_objects(pieces), 1):
            piece = pieces[piece_place] == piece_number
            if max(piece.shape) < _MIN_PIECE_RATIO * side:
                continue
            top, left = (place[axis].start + piece_place[axis].start for axis in (0, 1))
            box = (top, left, top + piece.shape[0], left + piece.shape[1])
            components.append(_Component(box, piece, float(np.quantile(values[piece_place][piece], 0.75))))
    return components


def _is_along_edge(component: _Component, shape: tuple[int, ...]) -> bool:
    """Return True for outlines, shadows and desk: most of the component lies along the photo's edge."""
    rows, columns = np.nonzero(component.mask)
    rows, columns = rows + component.box[0], columns + component.box[1]
    distance = np.minimum.reduce([rows, shape[0] - 1 - rows, columns, shape[1] - 1 - columns])
    return bool(np.mean(distance < _EDGE_RATIO * max(shape)) > 0.6)


def _is_frame_around(component: _Component, other: _Component) -> bool:
    """Return True for a rectangle around another component; a zero is round, and has nothing inside."""
    top, left, bottom, right = component.box
    is_around = top < other.box[0] and left < other.box[1] and bottom > other.box[2] and right > other.box[3]
    if not is_around or other.side < _MIN_FRAMED_RATIO * component.side:
        return False
    rows, columns = (max(2, side // 10) for side in component.mask.shape)
    return bool(component.mask[rows:-rows, columns:-columns].sum() < 0.1 * component.mask.sum())


def _cluster(components: Sequence[_Component]) -> list[list[_Component]]:
    """Join the pieces of a broken or many-stroked digit, but not neighboring digits."""
    clusters: list[list[_Component]] = []
    for component in sorted(components, key=lambda part: part.side, reverse=True):
        cluster = next((cluster for cluster in clusters if _belongs_to(component, cluster)), None)
        if cluster is None:
            clusters.append([component])
        else:
            cluster.append(component)
    return clusters


def _belongs_to(component: _Component, cluster: list[_Component]) -> bool:
    top, left, bottom, right = _compute_bounding_box(cluster)
    height, width = bottom - top, right - left
    side = max(height, width)
    other_height, other_width = component.box[2] - component.box[0], component.box[3] - component.box[1]
    fainter, darker = sorted((component.contrast, cluster[0].contrast))
    if fainter < _MIN_CONTRAST_RATIO * darker:
        return False
    rows_apart = max(component.box[0] - bottom, top - component.box[2])
    columns_apart = max(component.box[1] - right, left - component.box[3])
    gap = max(rows_apart, columns_apart)
    is_inside = rows_apart < 0 and columns_apart < 0
    shared = max(-rows_apart, 0) * max(-columns_apart, 0)
    is_above = -columns_apart > 0.5 * min(other_width, width) and rows_apart < 0.2 * side and other_height < 0.5 * side
    is_small_neighbor = component.side < 0.45 * side and gap < 0.12 * side
    return (
        gap < max(0.07 * side, 2)
        or is_above
        or is_small_neighbor
        or (is_inside and shared > 0.2 * other_height * other_width)
    )


def _compute_bounding_box(components: Sequence[_Component]) -> Box:
    boxes = np.array([component.box for component in components])
    top, left = boxes[:, :2].min(axis=0).tolist()
    bottom, right = boxes[:, 2:].max(axis=0).tolist()
    return top, left, bottom, right


def _measure_group(
    gray: Array, contrast: Array, cluster: list[_Component], box: Box, *, is_cut: bool, is_negative: bool
) -> InkGroup:
    top, left, bottom, right = box
    mask = np.zeros((bottom - top, right - left), dtype=np.bool_)
    for part in cluster:
        mask[part.box[0] - top : part.box[2] - top, part.box[1] - left : part.box[3] - left] |= part.mask
    darkness = max(part.contrast for part in cluster)
    near = ndimage.binary_dilation(mask, _EIGHT_NEIGHBORS)
    ink = np.where(near, np.clip(contrast[top:bottom, left:right] / darkness, 0, 1), 0).astype(np.float32)
    distance = ndimage.distance_transform_edt(np.pad(mask, 1))
    ridge = distance[(distance == ndimage.maximum_filter(distance, 3)) & (distance > 0)]
    max_width = 2 * float(ridge.max())
    uniformity = float(ridge.mean() / ridge.max())
    length = float(mask.sum()) / max(max_width * (1 + uniformity) / 2, 1) / max(mask.shape)
    drop = max(_measure_drop(gray, mask, box), 1e-3)
    flatness, clearness = _measure_flatness(gray, mask, box, drop), _measure_flatness(contrast, mask, box, darkness)
    is_broken = _is_broken(gray, ink, mask, box, darkness)
    visible = _compute_light_contrast(gray, mask, box) if is_negative else darkness
    return InkGroup(box, ink, mask, visible, max_width, uniformity, length, flatness, clearness, is_cut, is_broken)


def _compute_light_contrast(gray: Array, mask: Mask, box: Box) -> float:
    """Compute the contrast of light ink, whose brightness is inverted, relative to the ink's true brightness.

    Relative to the inverted paper, chalk in a dim room would hardly stand out, and gaps between pencil strokes would.
    """
    top, left, bottom, right = box
    ink = 1 - float(np.median(gray[top:bottom, left:right][mask]))
    floor = _PAPER_FLOOR * max(1 - float(np.quantile(gray, 0.05)), 0.2)
    return float(np.clip(_measure_drop(gray, mask, box) / max(ink, floor), 0, 1))


def _is_broken(gray: Array, ink: Array, mask: Mask, box: Box, contrast: float) -> bool:
    """Return True for a part of a stroke thicker than the window, and for a sliver along an edge.

    Beyond these the photo is as dark as they are. Each pixel is compared with the nearest ink, which is in equal light.
    """
    place, near = _widen(mask, box, gray.shape, _BEYOND[1])
    _, core = _widen(mask & (ink > _CORE_INK), box, gray.shape, _BEYOND[1])
    distance = ndimage.distance_transform_edt(~near)
    beyond = (distance > _BEYOND[0]) & (distance <= _BEYOND[1])
    if not core.any() or not beyond.any():
        return False
    values = gray[place]
    rows, columns = ndimage.distance_transform_edt(~core, return_distances=False, return_indices=True)
    paper_ratio = 1 / (1 - min(contrast, 0.95))
    is_dark = values < values[rows, columns] * (1 + _MAX_BEYOND_DROP * (paper_ratio - 1))
    return bool(is_dark[beyond].mean() > _MAX_BEYOND)


def _widen(mask: Mask, box: Box, shape: tuple[int, ...], reach: int) -> tuple[tuple[slice, slice], Mask]:
    """Extend a mask by up to ``reach`` pixels on each side: its place in an image of ``shape``, and the mask."""
    top, left, bottom, right = box
    rows = slice(max(0, top - reach), min(shape[0], bottom + reach))
    columns = slice(max(0, left - reach), min(shape[1], right + reach))
    widened = np.zeros((rows.stop - rows.start, columns.stop - columns.start), dtype=np.bool_)
    widened[top - rows.start : bottom - rows.start, left - columns.start : right - columns.start] = mask
    return (rows, columns), widened


def _measure_max_width(mask: Mask) -> float:
    return 2 * float(ndimage.distance_transform_edt(np.pad(mask, 1)).max())


def _measure_flatness(values: Array, mask: Mask, box: Box, strength: float) -> float:
    """Compare how much values vary in a ring around the ink with the ink's strength: see ``InkGroup.flatness``."""
    low, high = np.quantile(_read_ring(values, mask, box), (0.1, 0.9))
    return float(np.clip(1 - 0.7 * (high - low) / strength, 0, 1))


def _measure_drop(gray: Array, mask: Mask, box: Box) -> float:
    """Measure how much darker the ink is than the paper in a ring around it."""
    top, left, bottom, right = box
    return float(np.median(_read_ring(gray, mask, box)) - np.median(gray[top:bottom, left:right][mask]))


def _read_ring(values: Array, mask: Mask, box: Box) -> Array:
    """Read the values in a ring around the ink; where the ink fills the image, all values."""
    reach = int(max(4, 0.1 * max(mask.shape))) + 3
    place, widened = _widen(mask, box, values.shape, reach)
    distance = ndimage.distance_transform_edt(~widened)
    ring: Array = values[place][(distance > _RING_GAP) & (distance <= reach)]
    return ring if len(ring) else values.ravel()
