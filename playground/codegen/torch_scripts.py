"""Standalone PyTorch programs: training of a network with a recipe, and prediction for image files."""

from collections.abc import Sequence

from playground.codegen.image_files import (
    DRAWN_IMAGES_DESCRIPTION,
    generate_drawing_reader,
    generate_folder_constants,
    generate_folder_reader,
    generate_image_reader,
)
from playground.codegen.templating import render_template
from playground.codegen.text import ensure_same_classes, format_tuple, join_sections, sanitize_text
from playground.codegen.torch_model import generate_model_code, list_weight_module_names
from playground.codegen.torch_training import format_logits, generate_training_code
from playground.core.architecture import Architecture
from playground.core.datasets import Dataset
from playground.core.preprocessing import DrawingPreprocessing, ImagePreprocessing, choose_preprocessing
from playground.core.recipe import Recipe

_STANDARD_LIBRARY_IMPORTS = {
    "argparse.": "import argparse",
    "math.": "import math",
    "unicodedata.": "import unicodedata",
    "Sequence[": "from collections.abc import Sequence",
    "@dataclass": "from dataclasses import dataclass",
    "Path": "from pathlib import Path",
    "NamedTuple)": "from typing import NamedTuple",
}
_THIRD_PARTY_IMPORTS = {
    "np.": "import numpy as np",
    "torch.": "import torch",
    "NDArray[": "from numpy.typing import NDArray",
    "Image.": "from PIL import Image",
    "ImageOps.": "from PIL import Image, ImageOps",  # instead of the line above
    "load_file(": "from safetensors.torch import load_file",
    "ndimage.": "from scipy import ndimage",
    "nn.": "from torch import nn",
    "functional.": "from torch.nn import functional",
    "lr_scheduler.": "from torch.optim import lr_scheduler",
    "datasets.": "from torchvision import datasets",
}
_TRAINING_DESCRIPTION = """\
Weights go to ``weights.safetensors``, or to ``weights.pt`` where safetensors is not installed.
The last line of output is the accuracy on the test images, which are used for nothing else."""
_IMAGE_FOLDER_DESCRIPTION = """\
The dataset is one folder of images for each class, below ``train`` and below ``test``.
Image files are read as CNN Playground reads them.
"""
_PREDICTION_DESCRIPTION = """\
Run it with a file of weights and with image files: ``weights.safetensors one.png two.png``.
Image files are read as CNN Playground reads them. They must look like those that the network was trained on."""
_DRAWING_DESCRIPTION = """\
Run it with a file of weights and with image files: ``weights.safetensors one.png two.png``.
The drawing in an image, a photo for example, is found and fitted as CNN Playground does it; of several the largest is
used. This needs SciPy."""


def generate_training_script(
    architecture: Architecture, recipe: Recipe, *, title: str = "A network", dataset: Dataset
) -> str:
    """Generate a program that trains the network with the recipe and prints its test accuracy in the last line.

    The program needs torch and torchvision. Raises ArchitectureError for a network that cannot be built, RecipeError
    for one whose number of classes is not the dataset's.
    """
    model = generate_model_code(architecture)
    ensure_same_classes(architecture, dataset)
    frozen = list_weight_module_names(architecture, only_frozen=True)
    constants = [f"FROZEN_MODULES = {format_tuple(frozen)}  # not trained"] if frozen else []
    source = dataset.origin.torchvision
    preprocessing = ImagePreprocessing.from_dataset(dataset, architecture.input.shape)
    folder_description = _IMAGE_FOLDER_DESCRIPTION + (DRAWN_IMAGES_DESCRIPTION if dataset.has_strokes else "")
    return _assemble_script(
        f"{sanitize_text(title)}: trains the network on {sanitize_text(dataset.title)}. Exported by CNN Playground.",
        _TRAINING_DESCRIPTION if source else folder_description + _TRAINING_DESCRIPTION,
        "\n".join(constants if source else [*constants, generate_folder_constants(dataset.class_names)]),
        model,
        "" if source else join_sections(generate_image_reader(preprocessing), generate_folder_reader()),
        render_template(
            "torch_data.py.j2",
            part="load_images",
            source=source,
            missing_images_remark=dataset.origin.missing_images_remark,
            source_shape=dataset.input_shape if source else preprocessing.image_shape,
            shape=architecture.input.shape,
        ),
        generate_training_code(architecture, recipe, reads_folders=source is None),
    )


def generate_prediction_script(
    architecture: Architecture,
    *,
    title: str = "A network",
    class_names: Sequence[str],
    dataset: Dataset,
) -> str:
    """Generate a program that prints the predicted class of image files and its probability.

    The program needs torch, safetensors, numpy and Pillow, and SciPy for drawings. Raises ArchitectureError for a
    network that cannot be built.
    """
    preprocessing = choose_preprocessing(dataset, architecture.input.shape)
    reads_drawings = isinstance(preprocessing, DrawingPreprocessing)
    return _assemble_script(
        f"{sanitize_text(title)}: predicts the classes of image files. Exported by CNN Playground.",
        _DRAWING_DESCRIPTION if reads_drawings else _PREDICTION_DESCRIPTION,
        f"CLASS_NAMES = {format_tuple(class_names)}",
        generate_model_code(architecture),
        generate_drawing_reader(preprocessing)
        if isinstance(preprocessing, DrawingPreprocessing)
        else generate_image_reader(preprocessing),
        render_template(
            "torch_data.py.j2",
            part="prepare_drawing" if reads_drawings else "prepare_pixels",
            source_shape=preprocessing.image_shape,
            shape=preprocessing.input_shape,
        ),
        render_template(
            "torch_prediction.py.j2",
            reads_drawings=reads_drawings,
            logits=lambda images_code: format_logits(architecture, images_code),
        ),
    )


def _assemble_script(title: str, description: str, constants: str, *sections: str) -> str:
    """Join a docstring, the imports that the sections use, constants and sections to a file."""
    code = join_sections(*sections)
    parts = [f'"""{title}\n\n{description}\n"""']
    for imports in (_STANDARD_LIBRARY_IMPORTS, _THIRD_PARTY_IMPORTS):
        lines = [line for use, line in imports.items() if use in code]
        parts.append("\n".join(line for line in lines if f"{line}, ImageOps" not in lines))
    return join_sections("\n\n".join([*parts, constants]), code)
