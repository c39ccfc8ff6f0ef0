"""Preview of a dataset: classes, counts and sample images before any dataset is made."""

import numpy as np
import pytest

from playground.engine.data.custom.preview import preview_image_folder
from playground.errors import InvalidDatasetError
from tests.engine.data.custom.picture_files import FOUR, VARIED, encoded, noise, plain, zipped


def test_preview_counts_files_and_shows_some_of_each_class() -> None:
    files = {f"train/{name}": content for name, content in VARIED.items()} | {"test/ant/1.png": noise(77)}
    preview = preview_image_folder(zipped(files | {"notes.txt": b"?"}), height=6, width=5, channels=3)
    assert preview.class_names == ("ant", "bear")
    assert preview.train_counts == (3, 3)
    assert preview.test_counts == (1, 0)
    assert [[sample.shape for sample in samples] for samples in preview.samples] == [[(3, 6, 5)] * 3] * 2
    assert preview.remarks == ("Skipped files: 1. For example, notes.txt is not in a class folder.",)
    assert preview.name_encoding is None


def test_preview_shows_12_bit_images_as_they_will_be_read() -> None:
    values = np.tile(np.linspace(0, 4095, 8).astype(np.uint16), (8, 1))
    files = {f"{name}/{number}.png": encoded(values) for name in ("ant", "bear") for number in (0, 1)}
    preview = preview_image_folder(zipped(files), height=8, width=8, channels=1)
    assert all(sample.max() == 255 for samples in preview.samples for sample in samples)


def test_preview_refuses_what_reading_refuses() -> None:
    with pytest.raises(InvalidDatasetError, match="only one class"):
        preview_image_folder(zipped({"cat/1.png": plain(1)}), height=8, width=8, channels=1)
    with pytest.raises(InvalidDatasetError, match="is not supported"):
        preview_image_folder(zipped(FOUR), height=0, width=8, channels=1)


def test_preview_leaves_out_files_that_are_no_images() -> None:
    files = VARIED | {"ant/0.png": b"?", "bear/0.png": b"?", "bear/1.png": b"?"}
    preview = preview_image_folder(zipped(files), height=8, width=8, channels=1)
    assert [len(samples) for samples in preview.samples] == [2, 1]
    assert preview.warnings == (
        "Of the first 6 images, 3 cannot be read. For example, ant/0.png is not an image (PNG, JPEG, GIF, BMP, WEBP, "
        "TIFF).",
    )


def test_preview_warns_of_images_of_one_color_and_of_classes_without_test_images() -> None:
    files = {f"train/{name}/{number}.png": plain(number) for name in ("ant", "bear") for number in (0, 1)}
    preview = preview_image_folder(zipped(files | {"test/bear/1.png": noise(3)}), height=8, width=8, channels=3)
    assert preview.warnings == (
        "Of the 4 images shown, 4 have a single color, such as train/ant/0.png.",
        "Classes without test images: ant. The test accuracy does not cover them.",
    )
    assert preview_image_folder(zipped(VARIED), height=8, width=8, channels=3).warnings == ()
