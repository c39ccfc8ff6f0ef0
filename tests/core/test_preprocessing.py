"""Preprocessing of image files as data: shapes of a dataset and a network, and a function for every step."""

import inspect

import numpy as np
import pytest
from PIL import Image

from playground.core.datasets import DATASETS, Dataset, ExtractedFeatures
from playground.core.preprocessing import DrawingPreprocessing, ImagePreprocessing, choose_preprocessing
from playground.engine.data import image_steps
from playground.interpret.drawing.photo import segment_photo
from playground.interpret.drawing.preprocess import preprocess_ink


@pytest.mark.parametrize("channels", [1, 3])
def test_every_step_is_a_function_with_its_arguments(channels: int) -> None:
    preprocessing = ImagePreprocessing(image_shape=(channels, 8, 6), input_shape=(channels, 8, 6))
    image = Image.new("RGB", (20, 20))
    for step in preprocessing.steps:
        function = getattr(image_steps, step.function)
        assert list(inspect.signature(function).parameters) == ["image", *step.arguments]
        image = function(image, **step.arguments)
    assert image.size == (6, 8)
    assert image.mode == ("L" if channels == 1 else "RGB")


def test_steps_of_drawings_are_functions_from_an_image_to_a_drawing() -> None:
    preprocessing = DrawingPreprocessing(input_shape=(1, 28, 28))
    image = Image.new("RGBA", (3000, 2000), "white")
    image.paste("black", (1400, 500, 1500, 1500))
    for step in preprocessing.image_steps:
        image = getattr(image_steps, step.function)(image, **step.arguments)
    assert (image.mode, image.size) == ("L", (1024, 683))
    photo = segment_photo(np.asarray(image, dtype=np.float32) / np.float32(255))
    drawing = preprocess_ink(photo.digits[0].ink)
    assert drawing.shape == preprocessing.image_shape
    rows = np.flatnonzero(drawing[0].max(axis=1) > 0.5)
    assert 18 <= rows[-1] - rows[0] + 1 <= 20  # the box of MNIST's digits
    assert [step.function for step in preprocessing.drawing_steps] == ["segment_photo", "preprocess_ink"]


def test_networks_of_drawings_find_drawings_in_images() -> None:
    assert choose_preprocessing(DATASETS["mnist"], (1, 32, 32)) == DrawingPreprocessing(input_shape=(1, 32, 32))
    assert isinstance(choose_preprocessing(DATASETS["cifar10"], (3, 32, 32)), ImagePreprocessing)
    assert "resized to 1×32×32" in DrawingPreprocessing(input_shape=(1, 32, 32)).describe()
    assert "resized to" not in DrawingPreprocessing(input_shape=(1, 28, 28)).describe()


def test_images_get_the_dataset_s_shape_and_then_the_network_s() -> None:
    preprocessing = ImagePreprocessing.from_dataset(DATASETS["cifar10"], (1, 28, 28))
    assert preprocessing.image_shape == (3, 32, 32)
    assert preprocessing.input_shape == (1, 28, 28)
    assert "resized to 1×28×28" in preprocessing.describe()
    assert "resized to 3×32×32" not in ImagePreprocessing.from_dataset(DATASETS["cifar10"], (3, 32, 32)).describe()


def test_images_whose_features_are_extracted_keep_their_shape() -> None:
    features = ExtractedFeatures("resnet18", (3, 64, 64), False, "CIFAR-10", 0.0, 1.0)
    dataset = Dataset("own:f", "Features", (512, 1, 1), ("a", "b"), 20, 2, "", features=features, gray_bits=12)
    preprocessing = ImagePreprocessing.from_dataset(dataset, (512, 1, 1))
    assert preprocessing.image_shape == preprocessing.input_shape == (3, 64, 64)
    assert preprocessing.gray_bits == 12
