"""2-D projections (PCA, t-SNE) of a layer's activations for many images.

PCA is fast and can project further images. t-SNE keeps neighbors together but not distances; it is slow and projects
only the images that it was fitted to. Sources: Pearson, "On Lines and Planes of Closest Fit to Systems of Points in
Space", 1901; van der Maaten and Hinton, "Visualizing Data using t-SNE", JMLR 2008.
"""

import contextlib
import queue
import re
import tempfile
import threading
from collections.abc import Iterator, Sequence
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
from playground.engine.progress import Progress, Steps, run_to_end
from playground.errors import DataError, PlaygroundError
from playground.interpret.activations.receptive_field import get_steps_up_to
from playground.interpret.model import Model

Array = NDArray[np.float32]

_BATCH_SIZE = 100  # small, since a server keeps the memory of the feature maps
_EQUALITY_TOLERANCE = 1e-6  # of the largest value: more than a layer's rounding errors
_MIN_VARIANCE_RATIO = 1e-12  # of the first axis's variance: less is rounding error
_MIN_ROWS = 4
_MIN_ITERATIONS = 250  # scikit-learn's early exaggeration takes so many
_POLL_INTERVAL_S = 0.05
_TSNE_LOCK = threading.Lock()  # its process uses a core and some hundred MB
_STAGE = "Computing t-SNE"
_ITERATION_PATTERN = re.compile(r"\[t-SNE\] Iteration (\d+): error")
_TSNE_ENVIRONMENT = {
    "PYTHONUNBUFFERED": "1",
    **dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1"),
}


def extract_layer_features(model: Model, images: Tensor, layer_index: int, *, max_values: int = 2048) -> Array:
    """Compute a layer's output, after its activation function, as one row per image: (count, values) float32.

    ``images``: uint8 (count, channels, height, width). Feature maps of more than ``max_values`` values in all, also
    flattened ones, are average-pooled to fit, at least to one value per map. Raises PlaygroundError for a layer that
    does not exist or is disabled.
    """
    return run_to_end(extract_layer_features_in_steps(model, images, layer_index, max_values=max_values))


def extract_layer_features_in_steps(
    model: Model, images: Tensor, layer_index: int, *, max_values: int = 2048
) -> Steps[Array]:
    """Compute the features of ``extract_layer_features`` in steps."""
    steps = get_steps_up_to(model.architecture, layer_index)
    step_index = len(steps) - 1
    layers = model.module[: list_module_ranges(model.architecture)[step_index].stop]
    maps = _find_feature_map_shape(steps, step_index)
    size = _compute_pooled_size(maps, max_values) if maps else (1, 1)
    features: list[Array] = []
    for batch in torch.split(images, _BATCH_SIZE):
        yield Progress("Computing activations", sum(map(len, features)), len(images))
        with torch.inference_mode():
            values = layers(scale_pixels(batch))
            if maps and size != maps[1:]:
                values = functional.adaptive_avg_pool2d(values.reshape(-1, *maps), size)
            features.append(values.flatten(1).numpy())
    return np.concatenate(features)


def extract_image_layer_features(model: Model, image: Array, layer_index: int) -> Array:
    """Compute a layer's features of one image (channels, height, width), values 0 to 1: (1, values)."""
    return extract_layer_features(model, torch.tensor(image)[None].mul(255).round().to(torch.uint8), layer_index)


def _find_feature_map_shape(steps: Sequence[ResolvedLayer], step_index: int) -> Shape | None:
    """Shape of a layer's feature maps, flattened or not; None for a vector that does not come from feature maps."""
    while not is_spatial(steps[step_index].output_shape):
        layer = steps[step_index].layer
        if not (layer.is_elementwise or layer.is_view):
            return None
        if is_spatial(steps[step_index].input_shape):
            return steps[step_index].input_shape
        step_index -= 1
    return steps[step_index].output_shape


def _compute_pooled_size(map_shape: Shape, max_values: int) -> tuple[int, int]:
    """Largest height and width with at most ``max_values`` values, the longer side shortened first; at least 1×1."""
    channels, height, width = map_shape
    while channels * height * width > max_values and height * width > 1:
        height, width = (height - 1, width) if height >= width else (height, width - 1)
    return height, width


@dataclass(frozen=True)
class PcaProjection:
    """Projection of features to their first two principal components.

    ``points`` (count, 2): the fitted rows. ``explained_variance_ratio``: the share of the variance along each axis.
    ``mean`` (values,) and ``components`` (2, values) as in scikit-learn; a component without variance is all 0.
    """

    points: Array
    explained_variance_ratio: tuple[float, float]
    mean: NDArray[np.float64]
    components: NDArray[np.float64]

    @classmethod
    def fit(cls, features: Array) -> "PcaProjection":
        """Fit rows of features (count, values); the signs of the components are deterministic.

        Raises DataError for values that are not finite, or rows that are all the same.
        """
        _validate_features(features)
        rows = features.astype(np.float64)
        mean = rows.mean(axis=0)
        variances, axes = _compute_principal_axes(rows - mean)
        total = float(((rows - mean) ** 2).sum())
        # The sign of a component is arbitrary: make its largest weight positive.
        largest_weights = axes[np.arange(2), np.abs(axes).argmax(axis=1)]
        axes = axes * np.where(largest_weights < 0, -1.0, 1.0)[:, None]
        points = ((rows - mean) @ axes.T).astype(np.float32)
        return cls(points, (float(variances[0]) / total, float(variances[1]) / total), mean, axes)

    def transform(self, features: Array) -> Array:
        """Project further rows (count, values): (count, 2)."""
        points: Array = ((features.astype(np.float64) - self.mean) @ self.components.T).astype(np.float32)
        return points


def _compute_principal_axes(centered: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Compute the sums of squares (2,) along the first two principal axes, and these unit vectors (2, values).

    Uses the smaller of the two Gram matrices, which have the same nonzero eigenvalues.
    """
    count, size = centered.shape
    products = centered @ centered.T if count < size else centered.T @ centered
    values, vectors = np.linalg.eigh(products)
    variances, axes = np.zeros(2), np.zeros((2, size))
    for index in range(min(2, len(values))):
        if values[-1 - index] > _MIN_VARIANCE_RATIO * values[-1]:
            axis = vectors[:, -1 - index] @ centered if count < size else vectors[:, -1 - index]
            variances[index], axes[index] = values[-1 - index], axis / np.linalg.norm(axis)
    return variances, axes


def compute_tsne(features: Array, *, seed: int = 0, iterations: int = 500, perplexity: float = 30) -> Steps[Array]:
    """Compute the t-SNE projection of features (count, values) in steps; returns the points (count, 2).

    One projection is computed at a time. ``perplexity``, about the number of neighbors of a row, is lowered for fewer
    than three times as many rows; ``iterations`` is at least 250. Features are first reduced to 50 dimensions by PCA,
    as t-SNE's author recommends. Closing the generator ends the computation.

    Raises DataError for fewer than 4 rows, values that are not finite or rows that are all the same, PlaygroundError
    for a failed computation.
    """
    if len(features) < _MIN_ROWS:
        raise DataError(f"t-SNE needs more than {len(features)} images.", expected=f"At least {_MIN_ROWS}.")
    _validate_features(features)
    max_perplexity = min(perplexity, (len(features) - 1) / 3)
    return _run_tsne_process(features, max_perplexity, max(iterations, _MIN_ITERATIONS), seed)


@contextlib.contextmanager
def _release(lock: threading.Lock) -> Iterator[None]:
    try:
        yield
    finally:
        lock.release()


def _run_tsne_process(features: Array, perplexity: float, iterations: int, seed: int) -> Steps[Array]:
    """Run t-SNE in a child process: scikit-learn would stay in the server's memory and block other sessions."""
    yield Progress(_STAGE, 0, iterations)
    while not _TSNE_LOCK.acquire(timeout=_POLL_INTERVAL_S):
        yield Progress("Waiting for another projection")
    with _release(_TSNE_LOCK), tempfile.TemporaryDirectory(prefix="cnn-playground-tsne-") as folder:
        source, target = Path(folder) / "features.npy", Path(folder) / "points.npy"
        np.save(source, features)
        with _start_tsne_process(str(source), str(target), str(perplexity), str(iterations), str(seed)) as process:
            progress = Progress(_STAGE, 0, iterations)
            for line in _read_output_lines(process):
                if matched := _ITERATION_PATTERN.match(line):
                    progress = Progress(_STAGE, int(matched[1]), iterations)
                yield progress
            process.wait()
            if not target.exists():
                reason = process.read_last_stderr_line() or "the process was killed"
                raise PlaygroundError(
                    f"t-SNE failed: {reason}.",
                    fix="Use fewer images, or PCA.",
                )
        points: Array = np.load(target)
        return points


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
    """Project further rows by their neighbors: (count, 2), for a projection without a transform.

    ``features`` (known, values) and ``points`` (known, 2) belong to the projected images. A row gets the mean of the
    points of its ``k`` nearest neighbors, weighted by inverse distance, which shows similar images but no distances.
    """
    projected = np.empty((len(rows), 2), dtype=np.float32)
    for index, row in enumerate(rows):
        distances = np.linalg.norm(features - row, axis=1)
        nearest = np.argsort(distances, kind="stable")[:k]
        nearest_distances = distances[nearest].astype(np.float64)
        weights = 1 / np.maximum(nearest_distances, max(1e-9 * nearest_distances.max(), np.finfo(np.float32).tiny))
        projected[index] = weights @ points[nearest] / weights.sum()
    return projected


def _validate_features(features: Array) -> None:
    if not np.isfinite(features).all():
        raise DataError("Some activations of the layer are NaN or infinite.", fix="Choose an earlier step of the run.")
    spread = np.ptp(features, axis=0) if features.size else np.zeros(1)
    if spread.max() <= _EQUALITY_TOLERANCE * np.abs(features).max(initial=0):
        raise DataError(
            "The layer has the same activations for all images.",
            expected="At least two images with different activations.",
            fix="Choose another layer, or train the network.",
        )
