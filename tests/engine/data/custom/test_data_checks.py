"""Warnings on images that mislead: of one color, copied, or invisible on white."""

import numpy as np

from playground.engine.data.custom.image_folder import CustomImages, read_image_folder
from tests.engine.data.custom.picture_files import FOUR, VARIED, encoded, noise, plain, zipped


def read(files: dict[str, bytes]) -> CustomImages:
    return read_image_folder(zipped(files), height=8, width=8, channels=1)


def warnings(files: dict[str, bytes]) -> str:
    return " ".join(read(files).warnings)


def test_set_without_flaws_has_no_warning() -> None:
    assert warnings(VARIED) == ""
    assert read(VARIED).remarks == ("One sixth of the images of each class is used for testing.",)


def test_images_of_one_color_are_named() -> None:
    assert "Images of one color: 1 of 7, such as ant/3.png." in warnings(VARIED | {"ant/3.png": plain(255)})
    assert "Images of one color: 4 of 4, such as cat/1.png." in warnings(FOUR)


def test_classes_without_test_images_are_named() -> None:
    files = {f"train/{name}": content for name, content in VARIED.items()}
    assert warnings(files | {"test/bear/1.png": noise(100)}) == (
        "Classes without test images: ant. The test accuracy does not cover them."
    )


def test_copies_across_the_splits_and_the_classes_are_named() -> None:
    files = {f"train/{name}": content for name, content in VARIED.items()}
    files |= {f"test/{name}": noise(100 + index) for index, name in enumerate(VARIED)}
    assert warnings(files) == ""
    assert warnings(files | {"test/ant/9.png": VARIED["ant/0.png"]}) == (
        "Test images that are training images, too: 1, such as test/ant/9.png. The test accuracy will be too high."
    )
    mixed = warnings(files | {"train/bear/9.png": VARIED["ant/0.png"]})
    assert mixed == "Images in several classes: 1. train/ant/0.png in ant is train/bear/9.png in bear."
    repeated = warnings(files | {"train/ant/9.png": VARIED["ant/0.png"]})
    assert repeated == "Copies of other images: 1, such as train/ant/9.png."


def test_white_icons_on_transparency_are_visible_and_said_to_be_on_black() -> None:
    icon = np.full((8, 8, 4), 255, dtype=np.uint8)
    icon[:, :4, 3] = 0
    files = VARIED | {"ant/4.png": encoded(icon)}
    own = read(files)
    assert own.train.images[3, 0, 0].tolist() == [0] * 4 + [255] * 4
    assert any("are on black: 1, such as ant/4.png." in one for one in own.warnings)
