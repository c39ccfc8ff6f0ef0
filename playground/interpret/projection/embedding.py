"""A map of how a layer sees many images: those that it takes for alike lie near each other.

Two ways onto the plane. PCA looks at the cloud of values from the side from which it is widest; it is at once there and
has a place for any further image. t-SNE keeps neighbours together and gives up distances; it takes a while and knows
only the images that it began with. Sources: Pearson, "On Lines and Planes of Closest Fit to Systems of Points in
Space", 1901; van der Maaten and Hinton, "Visualizing Data using t-SNE", JMLR 2008.
"""

import queue
import re
import tempfile
import threading
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from playground.core.architecture import ResolvedLayer
from playground.core.shapes import Shape, is_spatial
from playground.engine.child_process import ChildProcess
from playground.engine.data.batch import scale_pixels
from playground.engine.model.build import list_module_ranges
from playground.engine.progress import Progress
from playground.errors import DataError, PlaygroundError
from playground.interpret.activations.receptive_field import get_steps_up_to
from playground.interpret.model import Model

Array = NDArray[np.float32]

_BATCH_SIZE = 100  # images: a server does not grow by more feature maps than that
_EQUALITY_TOLERANCE = 1e-6  # of the largest value: a layer's rounding differs by less than that between equal images
_MIN_VARIANCE_RATIO = (
    1e-12  # of the variance along the first axis: what is left in a direction along which nothing varies
)
_MIN_ROWS = 4
_MIN_ITERATIONS = 250  # scikit-learn's; t-SNE exaggerates attraction for so long, and no map is done before
_POLL_INTERVAL_S = 0.2
_STAGE = "Computing t-SNE"
_ITERATION_PATTERN = re.compile(r"\[t-SNE\] Iteration (\d+): error")
_TSNE_ENVIRONMENT = {
    "PYTHONUNBUFFERED": "1",
    **dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1"),
}
_LAYOUT_PRESERVING_KINDS = ("flatten", "dropout", "batch_norm", "activation")


def extract_layer_features(model: Model, images: Tensor, layer_index: int, *, max_values: int = 2048) -> Array:
    """What a layer puts out for each image, after its activation, in one row: (count, values) float32.

    ``images``: uint8 (count, channels, height, width). Maps of more than ``max_values`` values in all are averaged
    over parts until they fit, also where a Flatten has laid them in a row; every map keeps at least one value, and
    other vectors stay as they are. Raises PlaygroundError for a layer that is not there or switched off.
    """
    steps = get_steps_up_to(model.architecture, layer_index)
    place = len(steps) - 1
    layers = model.module[: list_module_ranges(model.architecture)[place].stop]
    maps = _find_feature_map_shape(steps, place)
    size = _compute_pooled_size(maps, max_values) if maps else (1, 1)
    found = []
    with torch.inference_mode():
        for batch in torch.split(images, _BATCH_SIZE):
            values = layers(scale_pixels(batch))
            if maps and size != maps[1:]:
                values = functional.adaptive_avg_pool2d(values.reshape(-1, *maps), size)
            found.append(values.flatten(1).numpy())
    return np.concatenate(found)


def extract_image_layer_features(model: Model, image: Array, layer_index: int) -> Array:
    """The same for one image (channels, height, width), values 0 to 1: (1, values)."""
    return extract_layer_features(model, torch.from_numpy(image)[None].mul(255).round().to(torch.uint8), layer_index)


def _find_feature_map_shape(steps: Sequence[ResolvedLayer], step_index: int) -> Shape | None:
    """The shape of the maps that a layer puts out, or lays in a row; None for a vector that comes from no maps."""
    while not is_spatial(steps[step_index].output_shape):
        if steps[step_index].layer.kind not in _LAYOUT_PRESERVING_KINDS:
            return None
        if is_spatial(steps[step_index].input_shape):
            return steps[step_index].input_shape
        step_index -= 1
    return steps[step_index].output_shape


def _compute_pooled_size(map_shape: Shape, max_values: int) -> tuple[int, int]:
    """Height and width that leave at most so many values, the longer side shortened first; 1×1 if none do."""
    channels, height, width = map_shape
    while channels * height * width > max_values and height * width > 1:
        height, width = (height - 1, width) if height >= width else (height, width - 1)
    return height, width


@dataclass(frozen=True)
class PcaProjection:
    """The plane on which rows of features spread widest.

    ``points`` (count, 2): where the fitted rows lie. ``explained_variance_ratio``: the share of all variance along each axis, 0 to 1.
    ``mean`` (values,) and ``components`` (2, values) say where the plane lies among the features; an axis is all 0 where
    nothing is left to vary.
    """

    points: Array
    explained_variance_ratio: tuple[float, float]
    mean: NDArray[np.float64]
    components: NDArray[np.float64]

    @classmethod
    def fit(cls, features: Array) -> "PcaProjection":
        """The plane of these rows (count, values); the same rows give the same one, mirrored neither way.

        Raises DataError for values that are not numbers, or rows that are all the same.
        """
        _validate_features(features)
        rows = features.astype(np.float64)
        mean = rows.mean(axis=0)
        variances, axes = _compute_principal_axes(rows - mean)
        total = float(((rows - mean) ** 2).sum())
        # An axis may point either way; that the weightiest of its features counts upwards settles it.
        weightiest = axes[np.arange(2), np.abs(axes).argmax(axis=1)]
        axes = axes * np.where(weightiest < 0, -1.0, 1.0)[:, None]
        points = ((rows - mean) @ axes.T).astype(np.float32)
        return cls(points, (float(variances[0]) / total, float(variances[1]) / total), mean, axes)

    def transform(self, features: Array) -> Array:
        """Where further rows (count, values), as of a drawing, lie on the same map: (count, 2)."""
        placed: Array = ((features.astype(np.float64) - self.mean) @ self.components.T).astype(np.float32)
        return placed


def _compute_principal_axes(centered: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The two largest sums of squares along any direction (2,), and those directions (2, values), each of length 1.

    From the smaller of the two products of the rows with themselves, which have the same eigenvalues.
    """
    count, size = centered.shape
    products = centered @ centered.T if count < size else centered.T @ centered
    values, vectors = np.linalg.eigh(products)
    variances, axes = np.zeros(2), np.zeros((2, size))
    for place in range(min(2, len(values))):
        if values[-1 - place] > _MIN_VARIANCE_RATIO * values[-1]:
            axis = vectors[:, -1 - place] @ centered if count < size else vectors[:, -1 - place]
            variances[place], axes[place] = values[-1 - place], axis / np.linalg.norm(axis)
    return variances, axes


def compute_tsne(
    features: Array, *, seed: int = 0, iterations: int = 500, perplexity: float = 30
) -> Generator[tuple[Progress, Array | None], None, None]:
    """The t-SNE map of rows of features (count, values): yields (progress, None), at last (progress, points).

    ``points`` (count, 2). ``perplexity``, about how many neighbours a row has, is lowered where there are fewer than
    three times as many rows; ``iterations`` is 250 or more. Features are first reduced to 50 dimensions by PCA, as its
    author advises: it speeds up the search for neighbours and takes noise away. Closing the generator ends the work.

    Raises DataError for fewer than 4 rows, values that are not numbers or rows that are all the same, PlaygroundError
    where the computation fails.
    """
    if len(features) < _MIN_ROWS:
        raise DataError(
            f"A map of neighbours needs more than {len(features)} images.", expected=f"At least {_MIN_ROWS}."
        )
    _validate_features(features)
    neighbours = min(perplexity, (len(features) - 1) / 3)
    return _run_tsne_process(features, neighbours, max(iterations, _MIN_ITERATIONS), seed)


def _run_tsne_process(
    features: Array, perplexity: float, iterations: int, seed: int
) -> Generator[tuple[Progress, Array | None], None, None]:
    """In a process of its own: scikit-learn would stay in a server's memory, and hold up the pages of others."""
    with tempfile.TemporaryDirectory(prefix="cnn-playground-tsne-") as folder:
        source, target = Path(folder) / "features.npy", Path(folder) / "points.npy"
        np.save(source, features)
        with _start_tsne_process(str(source), str(target), str(perplexity), str(iterations), str(seed)) as process:
            progress = Progress(_STAGE, 0, iterations)
            for line in _read_output_lines(process):
                if matched := _ITERATION_PATTERN.match(line):
                    progress = Progress(_STAGE, int(matched[1]), iterations)
                yield progress, None
            process.wait()
            if not target.exists():
                reason = process.read_last_stderr_line() or "the process was ended from outside"
                raise PlaygroundError(
                    f"The t-SNE map could not be computed: {reason}.",
                    fix="Take fewer images, or look at the PCA map.",
                )
        yield Progress(_STAGE, iterations, iterations), np.load(target)


def _read_output_lines(process: ChildProcess) -> Iterator[str]:
    """Iterate over the lines of the output; yields an empty line while there is none, so that the caller can stop."""
    lines: queue.Queue[str | None] = queue.Queue()

    def read() -> None:
        for line in process.read_lines():
            lines.put(line)
        lines.put(None)

    threading.Thread(target=read, daemon=True).start()
    yield ""
    while True:
        try:
            line = lines.get(timeout=_POLL_INTERVAL_S)
        except queue.Empty:
            line = ""
        if line is None:
            return
        yield line


def _start_tsne_process(*arguments: str) -> ChildProcess:
    return ChildProcess("playground.interpret.projection.tsne", *arguments, environment=_TSNE_ENVIRONMENT)


def project_by_neighbors(features: Array, points: Array, rows: Array, k: int = 5) -> Array:
    """Where further rows would lie on a map that has no rule for them: (count, 2).

    ``extract_layer_features`` (known, values) and ``points`` (known, 2) are the map's. A row lies at the mean of the points of its
    ``k`` nearest, weighted by inverse distance; a row that the map knows lies where it is. The place says which known
    images are alike, and nothing of how far a row is from all of them.
    """
    placed = np.empty((len(rows), 2), dtype=np.float32)
    for place, row in enumerate(rows):
        distances = np.linalg.norm(features - row, axis=1)
        nearest = np.argsort(distances, kind="stable")[:k]
        near = distances[nearest].astype(np.float64)
        weights = 1 / np.maximum(near, max(1e-9 * near.max(), np.finfo(np.float32).tiny))
        placed[place] = weights @ points[nearest] / weights.sum()
    return placed


def _validate_features(features: Array) -> None:
    if not np.isfinite(features).all():
        raise DataError(
            "Some of the layer's values are not numbers, or infinite.", fix="Look at an earlier moment of the run."
        )
    spread = np.ptp(features, axis=0) if features.size else np.zeros(1)
    if spread.max() <= _EQUALITY_TOLERANCE * np.abs(features).max(initial=0):
        raise DataError(
            "The layer says the same of all images, so there is nothing to lay out.",
            expected="At least two images that it tells apart.",
            fix="Take another layer, or train the network.",
        )
