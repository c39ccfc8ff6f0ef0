"""Predictions and feature maps in the browser read and look like those of the server."""

import io
import json
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from playground.charts.images import render_feature_maps, render_image, select_palette, to_feature_maps
from playground.charts.theme import DARK, get_colormap
from playground.interpret.evaluation.predict import prediction_from_logits
from playground.ui.remark import PredictionRemark
from tests.web.engine_runner import run_node

Array = NDArray[np.float32]
MAX_MAPS, SIZE, GAP = 32, 148, 2
SHAPES = [(1, 28, 28), (8, 26, 26), (40, 11, 11), (33, 5, 5), (3, 224, 200), (64,), (10,), (577,)]


def make_logits(count: int) -> list[Array]:
    """Make logits of every degree of confidence, of 2 to 20 classes."""
    random = np.random.default_rng(3)
    return [
        (random.normal(size=int(random.integers(2, 21))) * scale).astype(np.float32)
        for scale in np.geomspace(0.01, 30, count)
    ]


def make_values(shape: tuple[int, ...], *, has_negative: bool) -> Array:
    values = np.random.default_rng(sum(shape)).normal(size=shape).astype(np.float32)
    return values if has_negative else np.maximum(values, 0)


def run_views(
    folder: Path, predictions: list[dict[str, object]], maps: list[Array], images: Sequence[Array] = ()
) -> tuple[list[str], bytes]:
    layout = {"maxMaps": MAX_MAPS, "size": SIZE, "gap": GAP}
    content = {
        "predictions": predictions,
        "maps": [{"values": values.ravel().tolist(), "shape": values.shape, "layout": layout} for values in maps],
        "images": [{"values": image.ravel().tolist(), "shape": image.shape, "size": SIZE} for image in images],
        "colors": {
            "sequential": get_colormap("sequential").ravel().tolist(),
            "diverging": get_colormap(DARK.diverging_palette).ravel().tolist(),
            "gap": DARK.gap_color,
        },
    }
    (folder / "views.json").write_text(json.dumps(content), encoding="utf-8")
    run_node(Path(__file__).with_name("evaluate_views.mjs"), folder)
    return json.loads((folder / "texts.json").read_text(encoding="utf-8")), (folder / "pixels").read_bytes()


def test_predictions_are_described_as_on_the_server(tmp_path: Path) -> None:
    remarks = (
        PredictionRemark(),
        PredictionRemark(source="Test image 5, label 3"),
        PredictionRemark(doubts=("it is faint", "it is no digit")),
        PredictionRemark(example_hint="Draw your own above."),
    )
    predictions = [prediction_from_logits(logits) for logits in make_logits(400)]
    cases = [
        (prediction, [f"class {index}" for index in range(len(prediction.probabilities))], remarks[number % 4])
        for number, prediction in enumerate(predictions)
    ]
    texts, _ = run_views(
        tmp_path,
        [
            {
                "probabilities": prediction.probabilities,
                "names": names,
                "remark": {"doubts": remark.doubts, "source": remark.source, "exampleHint": remark.example_hint},
            }
            for prediction, names, remark in cases
        ],
        [],
    )
    expected = [remark.describe(prediction, names) for prediction, names, remark in cases]
    assert texts == expected
    first_words = {text.split()[0].rstrip(":") for text in expected}
    assert first_words == {"certain", "probable", "undecided", "unsure", "Example"}


@pytest.mark.parametrize("has_negative", [True, False])
def test_feature_maps_have_the_pixels_of_the_server(has_negative: bool, tmp_path: Path) -> None:
    maps = [make_values(shape, has_negative=has_negative) for shape in SHAPES]
    _, pixels = run_views(tmp_path, [], maps)
    offset = 0
    for values in maps:
        feature_maps = to_feature_maps(values)[:MAX_MAPS]
        columns = math.ceil(len(feature_maps) ** 0.5)
        grid = render_feature_maps(
            feature_maps,
            palette=select_palette(values, DARK.diverging_palette),
            columns=columns,
            tile_size=SIZE // columns,
            gap=0 if len(feature_maps) == 1 else GAP,
            gap_color=DARK.gap_color,
        )
        expected = np.asarray(Image.open(io.BytesIO(grid.png)).convert("RGBA"))
        actual = np.frombuffer(pixels, dtype=np.uint8, count=expected.size, offset=offset).reshape(expected.shape)
        offset += expected.size
        # A value that lies between two of 256 colors may get either.
        differing = (actual != expected).any(axis=2).mean()
        assert differing < 0.002, f"{values.shape}: {differing:.2%} of the pixels differ"
    assert offset == len(pixels)


def test_images_have_the_pixels_of_the_server(tmp_path: Path) -> None:
    random = np.random.default_rng(4)
    shapes = ((1, 28, 28), (2, 9, 5), (3, 32, 20), (4, 8, 8), (3, 224, 224))
    images = [random.random(shape, dtype=np.float32) for shape in shapes]
    _, pixels = run_views(tmp_path, [], [], images)
    offset = 0
    for image in images:
        expected = np.asarray(Image.open(io.BytesIO(render_image(image, size=SIZE))).convert("RGBA")).astype(int)
        actual = np.frombuffer(pixels, dtype=np.uint8, count=expected.size, offset=offset).reshape(expected.shape)
        offset += expected.size
        assert np.abs(actual - expected).max() <= 1
        assert (actual != expected).mean() < 0.002  # a value between two levels may get either
    assert offset == len(pixels)
