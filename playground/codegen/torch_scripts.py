"""WRITE a run as programs of one file each: one trains the network by the recipe, one says what pictures show."""

from collections.abc import Sequence
from dataclasses import dataclass

from playground.codegen.text import format_tuple, join_sections, sanitize_text
from playground.codegen.torch_model import generate_model_code, list_weight_module_names
from playground.codegen.torch_training import format_logits, generate_training_code
from playground.core.architecture import Architecture
from playground.core.datasets import Dataset
from playground.core.recipe import Recipe
from playground.core.shapes import Shape
from playground.errors import RecipeError


@dataclass(frozen=True)
class TorchvisionSource:
    """How torchvision gives a data set: its class, the arguments that choose the part, and what to read from ``images``.

    All three are code; ``train`` is a name in it. Images come as uint8 (count, channels, height, width).
    """

    class_name: str
    arguments_code: str = "train=train"
    images_code: str = "data.data.unsqueeze(1)"
    labels_code: str = "data.targets"
    comment: str = ""


_CIFAR_IMAGES_CODE = "torch.from_numpy(data.data).permute(0, 3, 1, 2)"

TORCHVISION_SOURCES: dict[str, TorchvisionSource] = {
    "mnist": TorchvisionSource("MNIST"),
    "mnist+pen": TorchvisionSource(
        "MNIST", comment="The run also trained on drawings that come with CNN Playground only."
    ),
    "fashion-mnist": TorchvisionSource("FashionMNIST"),
    "kmnist": TorchvisionSource("KMNIST"),
    "emnist-letters": TorchvisionSource(
        "EMNIST",
        'split="letters", train=train',
        "data.data.transpose(1, 2).unsqueeze(1)",
        "data.targets - 1",
        "EMNIST is stored lying on its side, and its letters are counted from 1.",
    ),
    "emnist-balanced": TorchvisionSource(
        "EMNIST",
        'split="balanced", train=train',
        "data.data.transpose(1, 2).unsqueeze(1)",
        comment="EMNIST is stored lying on its side.",
    ),
    "qmnist": TorchvisionSource(
        "QMNIST", labels_code="data.targets[:, 0]", comment="The other columns say who wrote the digit, and when."
    ),
    "usps": TorchvisionSource(
        "USPS", images_code="torch.from_numpy(data.data).unsqueeze(1)", labels_code="torch.tensor(data.targets)"
    ),
    "svhn": TorchvisionSource(
        "SVHN",
        'split="train" if train else "test"',
        "torch.from_numpy(data.data)",
        "torch.from_numpy(data.labels)",
    ),
    "cifar10": TorchvisionSource("CIFAR10", images_code=_CIFAR_IMAGES_CODE, labels_code="torch.tensor(data.targets)"),
    "cifar100": TorchvisionSource("CIFAR100", images_code=_CIFAR_IMAGES_CODE, labels_code="torch.tensor(data.targets)"),
}

_STANDARD_LIBRARY_IMPORTS = {"argparse.": "import argparse", "Path(": "from pathlib import Path"}
_THIRD_PARTY_IMPORTS = {
    "numpy.": "import numpy",
    "torch.": "import torch",
    "Image.": "from PIL import Image, ImageOps",
    "load_file(": "from safetensors.torch import load_file",
    "nn.": "from torch import nn",
    "functional.": "from torch.nn import functional",
    "lr_scheduler.": "from torch.optim import lr_scheduler",
    "datasets.": "from torchvision import datasets",
}
_TRAINING_DESCRIPTION = """Weights go to ``weights.safetensors``, or to ``weights.pt`` where safetensors is not installed.
The last line is the share of right answers on the test images, which are used for nothing else."""
_IMAGE_FOLDER_DESCRIPTION = """The data are one folder for each class, below ``train`` and below ``test``, with its pictures in it.
"""
_PREDICTION_DESCRIPTION = """Run it with a file of weights and with pictures: ``weights.safetensors one.png two.png``.
The middle of a picture is taken and resized; it must look like the images that the network was trained on."""


def generate_training_script(
    architecture: Architecture, recipe: Recipe, *, title: str = "A network", dataset: Dataset
) -> str:
    """A program that trains the network by the recipe and prints its accuracy on the test images as its last line.

    It needs torch and torchvision. Raises ArchitectureError for a network that cannot be built, RecipeError for one
    that does not fit the data.
    """
    model = generate_model_code(architecture)
    if architecture.classes != len(dataset.class_names):
        raise RecipeError(
            f"The network has {architecture.classes} classes, {dataset.title} has {len(dataset.class_names)}.",
            fix=f'Set "classes" to {len(dataset.class_names)}.',
        )
    frozen = list_weight_module_names(architecture, only_frozen=True)
    constants = [f"FROZEN = {format_tuple(frozen)}  # layers that do not learn"] if frozen else []
    source = TORCHVISION_SOURCES.get(dataset.name)
    return _assemble_script(
        f"{sanitize_text(title)}: a program that trains it on {sanitize_text(dataset.title)}, written by CNN Playground.",
        _TRAINING_DESCRIPTION if source else _IMAGE_FOLDER_DESCRIPTION + _TRAINING_DESCRIPTION,
        "\n".join(constants if source else [*constants, _generate_class_names(dataset.class_names)]),
        model,
        _generate_load_images(source, dataset.input_shape, architecture.input.shape)
        if source
        else _generate_load_image_folder(architecture),
        generate_training_code(architecture, recipe),
    )


def generate_prediction_script(
    architecture: Architecture, *, title: str = "A network", class_names: Sequence[str]
) -> str:
    """A program that says what each of some picture files shows, and how sure the network is of it.

    It needs torch, safetensors, numpy and Pillow. Raises ArchitectureError for a network that cannot be built.
    """
    return _assemble_script(
        f"{sanitize_text(title)}: a program that says what pictures show, written by CNN Playground.",
        _PREDICTION_DESCRIPTION,
        _generate_class_names(class_names),
        generate_model_code(architecture),
        _generate_read_image(architecture),
        _generate_main(architecture),
    )


def _assemble_script(title: str, description: str, constants: str, *sections: str) -> str:
    """A file with the imports that its sections use."""
    code = join_sections(*sections)
    parts = [f'"""{title}\n\n{description}\n"""']
    for imports in (_STANDARD_LIBRARY_IMPORTS, _THIRD_PARTY_IMPORTS):
        parts.append("\n".join(line for use, line in imports.items() if use in code))
    return join_sections("\n\n".join([*parts, constants]), code)


def _generate_main(architecture: Architecture) -> str:
    return f"""if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("weights", help="a file of a run's snapshots folder, or what a training program wrote")
    parser.add_argument("pictures", nargs="+")
    arguments = parser.parse_args()
    model = make_model().eval()
    model.load_state_dict(load_file(arguments.weights))
    for path in arguments.pictures:
        with torch.inference_mode():
            scores = {format_logits(architecture, "read_picture(path)[None] / 255")}
        probability, answer = scores.softmax(1)[0].max(0)
        print(f"{{path}}: {{CLASS_NAMES[answer]}}, {{probability:.4f}}")"""


def _generate_class_names(names: Sequence[str]) -> str:
    return f"CLASS_NAMES = {format_tuple(names)}"


def _generate_read_image(architecture: Architecture) -> str:
    channels, height, width = architecture.input.shape
    return f'''def read_picture(path: str) -> torch.Tensor:
    """The middle of a picture as uint8 ({channels}, {height}, {width})."""
    with Image.open(path) as picture:
        upright = ImageOps.exif_transpose(picture).convert("{"RGB" if channels == 3 else "L"}")
    values = torch.from_numpy(numpy.array(ImageOps.fit(upright, ({width}, {height}))))
    return {"values.permute(2, 0, 1)" if channels == 3 else f"values.expand({channels}, -1, -1)"}'''


def _generate_load_images(source: TorchvisionSource, source_shape: Shape, target_shape: Shape) -> str:
    comment = f"    # {source.comment}\n" if source.comment else ""
    same = source_shape == target_shape
    images = source.images_code if same else f"torch.cat([resized(part) for part in {source.images_code}.split(1000)])"
    load_images = f'''def load_images(folder: str, train: bool) -> tuple[torch.Tensor, torch.Tensor]:
    """Images, uint8 (count, {", ".join(map(str, target_shape))}), and labels (count,); fetched the first time."""
    data = datasets.{source.class_name}(folder, {source.arguments_code}, download=True)
{comment}    return {images}, {source.labels_code}'''
    return join_sections(load_images, "" if same else _generate_resize(source_shape, target_shape))


def _generate_resize(source_shape: Shape, target_shape: Shape) -> str:
    lines = []
    if source_shape[0] == 3 and target_shape[0] != 3:
        lines.append("values = (values * torch.tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)).sum(1, keepdim=True)")
    if source_shape[1:] != target_shape[1:]:
        lines.append(f'values = functional.interpolate(values, {target_shape[1:]}, mode="bilinear", antialias=True)')
    if target_shape[0] not in (1, source_shape[0]):
        lines.append(f"values = values[:, :1].repeat(1, {target_shape[0]}, 1, 1)")
    changes = "\n    ".join(lines)
    return f'''def resized(images: torch.Tensor) -> torch.Tensor:
    """Images in the size and the colours that the network takes."""
    values = images.float()
    {changes}
    return values.round().clamp(0, 255).to(torch.uint8)'''


def _generate_load_image_folder(architecture: Architecture) -> str:
    channels, height, width = architecture.input.shape
    load_images = f'''def load_images(folder: str, train: bool) -> tuple[torch.Tensor, torch.Tensor]:
    """Images, uint8 (count, {channels}, {height}, {width}), and labels (count,)."""
    pictures = datasets.ImageFolder(Path(folder) / ("train" if train else "test"), loader=read_picture)
    labels = torch.tensor([CLASS_NAMES.index(pictures.classes[label]) for label in pictures.targets])
    return torch.stack([image for image, _ in pictures]), labels'''
    return join_sections(_generate_read_image(architecture), load_images)
