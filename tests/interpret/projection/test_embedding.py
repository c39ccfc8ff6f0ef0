"""Projections: features by hand and for any network, PCA against an SVD, t-SNE on clusters."""

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from numpy.typing import NDArray

from playground.core.architecture import Architecture, InputShape
from playground.core.layers import Conv2d, Dropout, Flatten, Linear, MaxPool2d, Output
from playground.engine.child_process import ChildProcess
from playground.engine.progress import Progress, Steps, run_to_end
from playground.errors import DataError, PlaygroundError
from playground.interpret.activations.activations import compute_activations
from playground.interpret.model import Model
from playground.interpret.projection import embedding
from playground.interpret.projection.embedding import (
    PcaProjection,
    compute_tsne,
    extract_layer_features,
    project_by_neighbors,
)
from tests import strategies
from tests.interpret.nets import model_of, set_weights

pytestmark = pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")

Array = NDArray[np.float32]


def _images(count: int, *shape: int) -> torch.Tensor:
    return torch.randint(0, 256, (count, *shape), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))


def _rows(count: int, values: int, seed: int = 0) -> Array:
    return np.random.default_rng(seed).standard_normal((count, values)).astype(np.float32)


def _two_clusters(count: int = 30, values: int = 20) -> Array:
    far = np.zeros(values, dtype=np.float32)
    far[:3] = 40
    return np.concatenate([_rows(count, values), _rows(count, values, 1) + far])


def _doubling(*layers: Flatten | Dropout | MaxPool2d) -> Model:
    """A convolution that doubles every pixel and, in a second map, takes 1 from what is left of 1."""
    first = Conv2d(out_channels=2, kernel_size=1)
    architecture = Architecture(input=InputShape(height=4, width=4), classes=2, layers=(first, *layers, Output()))
    model = model_of(architecture)
    set_weights(model.module[0], [[[[2]]], [[[-1]]]], [0.0, 1.0])
    return model


def test_features_by_hand() -> None:
    images = torch.zeros(3, 1, 4, 4, dtype=torch.uint8)
    images[1, 0, 0, 1] = 255
    images[2] = 51
    found = extract_layer_features(_doubling(Flatten()), images, 0)
    assert (found.dtype, found.shape) == (np.dtype(np.float32), (3, 32))
    np.testing.assert_array_equal(found[0], [0.0] * 16 + [1.0] * 16)
    np.testing.assert_array_equal(found[1], [0, 2, *[0] * 14, 1, 0, *[1] * 14])
    np.testing.assert_allclose(found[2], [0.4] * 16 + [0.8] * 16, rtol=1e-6)


def test_large_feature_maps_are_pooled() -> None:
    images = torch.arange(16, dtype=torch.uint8).view(1, 1, 4, 4)
    corners = np.array([2.5, 4.5, 10.5, 12.5]) / 255  # the means of the four quarters
    wanted = np.concatenate([2 * corners, 1 - corners])
    model = _doubling(Flatten(), Dropout())
    for layer_index in (0, 1, 2):
        found = extract_layer_features(model, images, layer_index, max_values=8)
        np.testing.assert_allclose(found, [wanted], rtol=1e-5)
    np.testing.assert_allclose(extract_layer_features(model, images, 0, max_values=7).shape, (1, 4))  # 2 maps of 2×1
    np.testing.assert_allclose(
        extract_layer_features(model, images, 0, max_values=1), [[15 / 255, 1 - 7.5 / 255]], rtol=1e-5
    )


def test_vectors_are_not_pooled() -> None:
    layers = (Flatten(), Linear(out_features=9), Dropout(), Output())
    model = model_of(Architecture(input=InputShape(height=4, width=4), layers=layers))
    images = _images(2, 1, 4, 4)
    for layer_index in (1, 2):
        np.testing.assert_array_equal(
            extract_layer_features(model, images, layer_index, max_values=3),
            extract_layer_features(model, images, layer_index),
        )
    assert extract_layer_features(model, images, 3, max_values=3).shape == (2, 10)


def test_features_keep_the_order_of_the_images() -> None:
    model, images = _doubling(MaxPool2d(), Flatten()), _images(230, 1, 4, 4)
    found = extract_layer_features(model, images, 1)
    assert found.shape == (230, 8)
    for place in (0, 99, 100, 229):
        np.testing.assert_allclose(
            found[place], extract_layer_features(model, images[place : place + 1], 1)[0], rtol=1e-6
        )


@pytest.mark.parametrize("layer_index", [-1, 1, 4])
def test_unknown_layer_has_no_features(layer_index: int) -> None:
    model = _doubling(Dropout(enabled=False), Flatten())
    with pytest.raises(PlaygroundError, match="no layer"):
        extract_layer_features(model, _images(1, 1, 4, 4), layer_index)


@given(architecture=strategies.architectures())
@settings(max_examples=20)
def test_features_equal_the_layer_outputs(architecture: Architecture) -> None:
    model = model_of(architecture)
    images = _images(3, *architecture.input.shape)
    wanted = [compute_activations(model, (image / 255).numpy()) for image in images]
    for place, step in enumerate(architecture.resolve_layers()):
        whole = extract_layer_features(model, images, step.index, max_values=10**9)
        for row, values in zip(whole, wanted, strict=True):
            np.testing.assert_allclose(row, values[place].output.ravel(), rtol=1e-4, atol=1e-5)
        few = extract_layer_features(model, images, step.index, max_values=20)
        assert len(few) == 3
        if len(step.output_shape) == 3:
            assert few.shape[1] <= max(20, step.output_shape[0])
            # Parts that overlap weigh some values twice; no mean of any of them leaves the range of all.
            assert few.min() >= whole.min() - 1e-5
            assert few.max() <= whole.max() + 1e-5
        if whole.shape[1] <= 20:
            np.testing.assert_array_equal(few, whole)
    assert not model.module.training


def test_pca_by_hand() -> None:
    rows = np.array([[5, 1, 2], [-1, 1, 2], [2, 2, 2], [2, 0, 2]], dtype=np.float32)
    fitted = PcaProjection.fit(rows)
    np.testing.assert_allclose(fitted.points, [[3, 0], [-3, 0], [0, 1], [0, -1]], atol=1e-6)
    assert fitted.explained_variance_ratio == pytest.approx((0.9, 0.1))
    np.testing.assert_allclose(fitted.transform(np.array([[2, 1, 9], [4, 3, 0]], dtype=np.float32)), [[0, 0], [2, 2]])


@pytest.mark.parametrize("shape", [(40, 7), (12, 300), (2, 5), (5, 2)])
def test_pca_equals_an_svd(shape: tuple[int, int]) -> None:
    rows = _rows(*shape) * np.linspace(1, 3, shape[1], dtype=np.float32) + 7
    fitted = PcaProjection.fit(rows)
    left, sizes, axes = np.linalg.svd((rows - rows.mean(0)).astype(np.float64), full_matrices=False)
    for place in range(2):
        if sizes[place] < 1e-4 * sizes[0]:  # two rows span one axis
            np.testing.assert_array_equal(fitted.points[:, place], 0)
            continue
        sign = np.sign(axes[place][np.abs(axes[place]).argmax()])
        np.testing.assert_allclose(fitted.points[:, place], sign * left[:, place] * sizes[place], atol=1e-4)
    np.testing.assert_allclose(fitted.explained_variance_ratio, sizes[:2] ** 2 / (sizes**2).sum(), atol=1e-9)
    assert fitted.points.dtype == np.float32
    np.testing.assert_array_equal(fitted.transform(rows), fitted.points)


@pytest.mark.parametrize("count", [3, 50])
def test_rows_along_a_line_have_one_axis(count: int) -> None:
    along = np.linspace(-1, 1, count, dtype=np.float32)
    fitted = PcaProjection.fit(along[:, None] * np.array([3, -4, 0, 0, 0], dtype=np.float32))
    np.testing.assert_allclose(fitted.points, np.stack([-5 * along, 0 * along], axis=1), atol=1e-5)
    assert fitted.explained_variance_ratio == pytest.approx((1, 0))


def test_one_value_an_image_has_one_axis() -> None:
    fitted = PcaProjection.fit(np.array([[1], [2], [6]], dtype=np.float32))
    np.testing.assert_allclose(fitted.points, [[-2, 0], [-1, 0], [3, 0]])


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (np.full((9, 4), 0.3), "same activations"),
        (np.zeros((9, 4)), "same activations"),
        (np.ones((1, 4)), "same activations"),
        (np.ones((9, 0)), "same activations"),
        (np.array([[1, 2], [np.nan, 3], [0, 1], [1, 1]]), "NaN or infinite"),
        (np.array([[1, 2], [np.inf, 3], [0, 1], [1, 1]]), "NaN or infinite"),
    ],
)
def test_features_without_variance_or_not_finite_raise(rows: Array, message: str) -> None:
    rows = rows.astype(np.float32)
    with pytest.raises(DataError, match=message):
        PcaProjection.fit(rows)
    if len(rows) > 1:
        with pytest.raises(DataError, match=message):
            compute_tsne(rows)


def test_too_few_rows_for_tsne_raise() -> None:
    with pytest.raises(DataError, match="more than 3"):
        compute_tsne(_rows(3, 5))


@pytest.fixture
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that temporary files go to."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[ChildProcess]:
    """The programs that were started."""
    found: list[ChildProcess] = []
    start = embedding._start_tsne_process

    def recorded(*arguments: str) -> ChildProcess:
        found.append(start(*arguments))
        return found[-1]

    monkeypatch.setattr(embedding, "_start_tsne_process", recorded)
    return found


def _final(course: Steps[Array]) -> Array:
    return run_to_end(course)


def test_tsne_separates_two_clusters(scratch: Path) -> None:
    reported: list[float] = []
    course = compute_tsne(_two_clusters(), iterations=300)
    while True:
        try:
            reported.append(next(course).fraction)
        except StopIteration as end:
            points = end.value
            break
    assert reported[0] == 0
    assert reported == sorted(reported)
    assert len(set(reported)) >= 4
    assert (points.dtype, points.shape) == (np.float32, (60, 2))
    one, other = points[:30], points[30:]
    apart = np.linalg.norm(one.mean(0) - other.mean(0))
    assert apart > np.linalg.norm(one - one.mean(0), axis=1).max() + np.linalg.norm(other - other.mean(0), axis=1).max()
    assert not list(scratch.iterdir())


def test_tsne_of_few_rows_is_deterministic() -> None:
    # The second seed is more than scikit-learn takes, and stands for the first.
    first, second = (_final(compute_tsne(_rows(4, 3), seed=seed, iterations=250)) for seed in (3, 3 + 2**32))
    assert first.shape == (4, 2)
    assert np.isfinite(first).all()
    np.testing.assert_array_equal(first, second)


def test_tsne_of_one_feature_with_ties() -> None:
    points = _final(compute_tsne(np.repeat(_rows(3, 1), 3, axis=0), iterations=250))
    assert points.shape == (9, 2)
    assert np.isfinite(points).all()


def test_closing_the_generator_ends_the_process(scratch: Path, started: list[ChildProcess]) -> None:
    course = compute_tsne(_rows(200, 60), iterations=10**6)
    assert next(course) == next(course) == Progress("Computing t-SNE", 0, 10**6)
    assert len(list(scratch.iterdir())) == 1
    progress = next(progress for progress in course if progress.completed)
    assert 0 < progress.fraction < 1
    (process,) = started
    assert process.is_alive()
    course.close()
    assert process.wait(0) == -signal.SIGKILL  # at once, not when it next has something to say
    with pytest.raises(ProcessLookupError):
        os.kill(process.pid, 0)
    assert not list(scratch.iterdir())


def test_killed_tsne_process_raises(scratch: Path, started: list[ChildProcess]) -> None:
    course = compute_tsne(_rows(20, 5))
    next(course)
    next(course)
    started[0].kill()
    with pytest.raises(PlaygroundError, match=r"t-SNE failed: the process was killed"):
        list(course)
    assert not list(scratch.iterdir())


def test_failed_tsne_process_reports_its_error(scratch: Path) -> None:
    course = compute_tsne(_rows(20, 5), perplexity=-1)
    with pytest.raises(PlaygroundError, match=r"t-SNE failed: .*perplexity"):
        list(course)
    assert not list(scratch.iterdir())


def test_the_server_does_not_load_scikit_learn() -> None:
    code = (
        "import playground.interpret.projection.embedding, sys; print('sklearn' in sys.modules, 'scipy' in sys.modules)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.split() == ["False", "False"]


def test_the_program_does_not_load_torch() -> None:
    code = "import playground.interpret.projection.tsne, sys; print('torch' in sys.modules)"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.split() == ["False"]


def test_project_by_neighbors_by_hand() -> None:
    known = np.array([[0.0], [3.0], [100.0]], dtype=np.float32)
    points = np.array([[10, 0], [20, 6], [-90, -90]], dtype=np.float32)
    # From 1 it is 1 to the first and 2 to the second: weights 2/3 and 1/3.
    placed = project_by_neighbors(known, points, np.array([[1.0], [1.5]], dtype=np.float32), k=2)
    np.testing.assert_allclose(placed, [[40 / 3, 2.0], [15.0, 3.0]], rtol=1e-6)
    everything = project_by_neighbors(known, points, np.array([[50.0]], dtype=np.float32), k=9)
    weights = 1 / np.array([50, 47, 50])
    np.testing.assert_allclose(everything[0], weights @ points / weights.sum(), rtol=1e-5)


def test_known_rows_keep_their_points() -> None:
    known, points = _rows(30, 8), _rows(30, 2, 5)
    np.testing.assert_allclose(project_by_neighbors(known, points, known), points, atol=1e-5)
    twice = np.repeat(known[:1], 6, axis=0)
    np.testing.assert_allclose(
        project_by_neighbors(twice, points[:6], known[:1], k=6)[0], points[:6].mean(0), atol=1e-5
    )
    assert project_by_neighbors(known, points, known[:0]).shape == (0, 2)
