"""Code that reads image files as the app does: the functions of the preprocessing steps, and folders of classes."""

from collections.abc import Sequence

from playground.codegen.package_code import extract_package_code
from playground.codegen.templating import render_template
from playground.codegen.text import format_tuple, join_sections
from playground.core.image_formats import IMAGE_SUFFIXES
from playground.core.preprocessing import (
    DRAWING_STEP_MODULES,
    IMAGE_STEP_MODULES,
    SYSTEM_FILE_NAMES,
    DrawingPreprocessing,
    ImagePreprocessing,
)

DRAWN_IMAGES_DESCRIPTION = """\
They are drawings as in MNIST: light on black, 28×28 pixels, scaled to a box of 20 pixels, centered by mass.
"""
"""Description of the image files that a network of drawings is trained on."""

_FORMATS = format_tuple(tuple(IMAGE_SUFFIXES))


def generate_image_reader(preprocessing: ImagePreprocessing) -> str:
    """Generate ``read_pixels``, which returns an image file as uint8 (height, width, channels), and its steps."""
    return join_sections(
        extract_package_code(IMAGE_STEP_MODULES, [step.function for step in preprocessing.steps]),
        render_template("image_files.py.j2", part="read_pixels", preprocessing=preprocessing, formats=_FORMATS),
    )


def generate_drawing_reader(preprocessing: DrawingPreprocessing) -> str:
    """Generate ``read_drawing``, which finds the drawing in an image file, and the steps of this."""
    return join_sections(
        extract_package_code(
            IMAGE_STEP_MODULES + DRAWING_STEP_MODULES, [step.function for step in preprocessing.steps]
        ),
        render_template("image_files.py.j2", part="read_drawing", preprocessing=preprocessing, formats=_FORMATS),
    )


def generate_folder_reader() -> str:
    """Generate ``read_class_folders``, which reads the images of a split; it needs the constants below."""
    return render_template("image_files.py.j2", part="read_class_folders")


def generate_folder_constants(class_names: Sequence[str]) -> str:
    """Generate the constants that ``read_class_folders`` needs."""
    return f"CLASS_NAMES = {format_tuple(class_names)}\nSYSTEM_FILE_NAMES = {format_tuple(SYSTEM_FILE_NAMES)}"
