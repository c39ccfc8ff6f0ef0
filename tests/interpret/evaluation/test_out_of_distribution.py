"""Out-of-distribution scores: letters, scribbles and noise are detected, MNIST and pen digits are not."""

import json
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from playground.engine.data.pen_digits import load_pen_drawings
from playground.engine.data.rasterize import rasterize
from playground.engine.data.splits import load_test_images
from playground.interpret.drawing.preprocess import preprocess_ink
from playground.interpret.evaluation.out_of_distribution import compute_ood_score

Array = NDArray[np.float32]
STROKES = Path(__file__).parents[4] / "shared" / "data" / "strokes" / "pendigits-tra-strokes.json"


def _strange(images: list[Array]) -> float:
    return float(np.mean([not compute_ood_score(image).is_in_distribution for image in images]))


def test_mnist_test_digits_are_in_distribution() -> None:
    images = load_test_images("mnist").images[:500].numpy().astype(np.float32) / 255
    assert _strange(list(images)) <= 0.03


def test_pen_digits_are_in_distribution() -> None:
    """Of people whom the model knows, and none of the drawings that are compared with."""
    drawings = [one for place, one in enumerate(load_pen_drawings()[:3000]) if place % 8 == 5]
    assert _strange([rasterize(one["strokes"]) for one in drawings]) <= 0.02


def test_digits_of_unseen_writers_are_in_distribution() -> None:
    if not STROKES.exists():
        pytest.skip("needs the pen strokes of shared/data, which are not part of the project")
    drawings = [one for one in json.loads(STROKES.read_bytes()) if one["writer"] % 3 == 0][::10]
    assert _strange([rasterize(one["strokes"]) for one in drawings]) <= 0.02


def test_letters_are_out_of_distribution() -> None:
    images = []
    for letter in "ABDEFGHKMNPQRTWXadefghkmnptwx":  # without those that look like digits
        sheet = Image.new("L", (120, 120))
        ImageDraw.Draw(sheet).text((20, 5), letter, fill=255, font=ImageFont.load_default(size=80))
        images.append(preprocess_ink(np.asarray(sheet, dtype=np.float32) / np.float32(255)))
    assert _strange(images) >= 0.5


def test_scribbles_and_noise_are_out_of_distribution() -> None:
    source = np.random.default_rng(0)
    scribbles = [rasterize([source.uniform(0, 100, (25, 2)).tolist()]) for _ in range(30)]
    noise = [source.uniform(0, 1, (1, 28, 28)).astype(np.float32) for _ in range(10)]
    assert _strange(scribbles) >= 0.9
    assert _strange(noise) == 1.0


def test_score_has_a_positive_threshold() -> None:
    found = compute_ood_score(load_test_images("mnist").get_image(0))
    assert 0 <= found.distance <= found.threshold < 12**0.5  # three vectors of the length 1
