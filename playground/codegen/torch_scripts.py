"""WRITE a run as programs of one file each: one trains the network by the recipe, one says what pictures show."""

from collections.abc import Sequence
from dataclasses import dataclass

from playground.codegen.text import file_text, plain, tuple_text
from playground.codegen.torch_model import model_code, weight_places
from playground.codegen.torch_training import scores_text, training_code
from playground.core.architecture import Architecture
from playground.core.datasets import Dataset
from playground.core.recipe import Recipe
from playground.core.shapes import Shape
from playground.errors import RecipeError


@dataclass(frozen=True)
class TorchvisionSource:
    """How torchvision gives a data set: its class, the arguments that choose the part, and what to read from ``data``.

    All three are code; ``train`` is a name in it. Images come as uint8 (count, channels, height, width).
    """

    name: str
    arguments: str = "train=train"
    images: str = "data.data.unsqueeze(1)"
    labels: str = "data.targets"
    comment: str = ""


_CIFAR = "torch.from_numpy(data.data).permute(0, 3, 1, 2)"

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
        "QMNIST", labels="data.targets[:, 0]", comment="The other columns say who wrote the digit, and when."
    ),
    "usps": TorchvisionSource(
        "USPS", images="torch.from_numpy(data.data).unsqueeze(1)", labels="torch.tensor(data.targets)"
    ),
    "svhn": TorchvisionSource(
        "SVHN",
        'split="train" if train else "test"',
        "torch.from_numpy(data.data)",
        "torch.from_numpy(data.labels)",
    ),
    "cifar10": TorchvisionSource("CIFAR10", images=_CIFAR, labels="torch.tensor(data.targets)"),
    "cifar100": TorchvisionSource("CIFAR100", images=_CIFAR, labels="torch.tensor(data.targets)"),
}

_STANDARD_IMPORTS = {"argparse.": "import argparse", "Path(": "from pathlib import Path"}
_IMPORTS = {
    "numpy.": "import numpy",
    "torch.": "import torch",
    "Image.": "from PIL import Image, ImageOps",
    "load_file(": "from safetensors.torch import load_file",
    "nn.": "from torch import nn",
    "functional.": "from torch.nn import functional",
    "lr_scheduler.": "from torch.optim import lr_scheduler",
    "datasets.": "from torchvision import datasets",
}
_TRAINING = """Weights go to ``weights.safetensors``, or to ``weights.pt`` where safetensors is not installed.
The last line is the share of right answers on the test images, which are used for nothing else."""
_FOLDERS = """The data are one folder for each class, below ``train`` and below ``test``, with its pictures in it.
"""
_PREDICTION = """Run it with a file of weights and with pictures: ``weights.safetensors one.png two.png``.
The middle of a picture is taken and resized; it must look like the images that the network was trained on."""


def training_script(architecture: Architecture, recipe: Recipe, *, title: str = "A network", dataset: Dataset) -> str:
    """A program that trains the network by the recipe and prints its accuracy on the test images as its last line.

    It needs torch and torchvision. Raises ArchitectureError for a network that cannot be built, RecipeError for one
    that does not fit the data.
    """
    model = model_code(architecture)
    if architecture.classes != len(dataset.class_names):
        raise RecipeError(
            f"The network has {architecture.classes} classes, {dataset.title} has {len(dataset.class_names)}.",
            fix=f'Set "classes" to {len(dataset.class_names)}.',
        )
    frozen = weight_places(architecture, frozen=True)
    constants = [f"FROZEN = {tuple_text(frozen)}  # layers that do not learn"] if frozen else []
    source = TORCHVISION_SOURCES.get(dataset.name)
    return _program(
        f"{plain(title)}: a program that trains it on {plain(dataset.title)}, written by CNN Playground.",
        _TRAINING if source else _FOLDERS + _TRAINING,
        "\n".join(constants if source else [*constants, _class_names(dataset.class_names)]),
        model,
        _load_images(source, dataset.input_shape, architecture.input.shape) if source else _load_folders(architecture),
        training_code(architecture, recipe),
    )


def prediction_script(architecture: Architecture, *, title: str = "A network", class_names: Sequence[str]) -> str:
    """A program that says what each of some picture files shows, and how sure the network is of it.

    It needs torch, safetensors, numpy and Pillow. Raises ArchitectureError for a network that cannot be built.
    """
    return _program(
        f"{plain(title)}: a program that says what pictures show, written by CNN Playground.",
        _PREDICTION,
        _class_names(class_names),
        model_code(architecture),
        _read_picture(architecture),
        _predict(architecture),
    )


def _program(title: str, description: str, constants: str, *sections: str) -> str:
    """A file with the imports that its sections use."""
    code = file_text(*sections)
    parts = [f'"""{title}\n\n{description}\n"""']
    for imports in (_STANDARD_IMPORTS, _IMPORTS):
        parts.append("\n".join(line for use, line in imports.items() if use in code))
    return file_text("\n\n".join([*parts, constants]), code)


def _predict(architecture: Architecture) -> str:
    return f"""if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("weights", help="a file of a run's snapshots folder, or what a training program wrote")
    parser.add_argument("pictures", nargs="+")
    arguments = parser.parse_args()
    model = make_model().eval()
    model.load_state_dict(load_file(arguments.weights))
    for path in arguments.pictures:
        with torch.inference_mode():
            scores = {scores_text(architecture, "read_picture(path)[None] / 255")}
        probability, answer = scores.softmax(1)[0].max(0)
        print(f"{{path}}: {{CLASS_NAMES[answer]}}, {{probability:.4f}}")"""


def _class_names(names: Sequence[str]) -> str:
    return f"CLASS_NAMES = {tuple_text(names)}"


def _read_picture(architecture: Architecture) -> str:
    channels, height, width = architecture.input.shape
    return f'''def read_picture(path: str) -> torch.Tensor:
    """The middle of a picture as uint8 ({channels}, {height}, {width})."""
    with Image.open(path) as picture:
        upright = ImageOps.exif_transpose(picture).convert("{"RGB" if channels == 3 else "L"}")
    values = torch.from_numpy(numpy.array(ImageOps.fit(upright, ({width}, {height}))))
    return {"values.permute(2, 0, 1)" if channels == 3 else f"values.expand({channels}, -1, -1)"}'''


def _load_images(source: TorchvisionSource, given: Shape, wanted: Shape) -> str:
    comment = f"    # {source.comment}\n" if source.comment else ""
    same = given == wanted
    images = source.images if same else f"torch.cat([resized(part) for part in {source.images}.split(1000)])"
    load_images = f'''def load_images(folder: str, train: bool) -> tuple[torch.Tensor, torch.Tensor]:
    """Images, uint8 (count, {", ".join(map(str, wanted))}), and labels (count,); fetched the first time."""
    data = datasets.{source.name}(folder, {source.arguments}, download=True)
{comment}    return {images}, {source.labels}'''
    return file_text(load_images, "" if same else _resized(given, wanted))


def _resized(given: Shape, wanted: Shape) -> str:
    lines = []
    if given[0] == 3 and wanted[0] != 3:
        lines.append("values = (values * torch.tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)).sum(1, keepdim=True)")
    if given[1:] != wanted[1:]:
        lines.append(f'values = functional.interpolate(values, {wanted[1:]}, mode="bilinear", antialias=True)')
    if wanted[0] not in (1, given[0]):
        lines.append(f"values = values[:, :1].repeat(1, {wanted[0]}, 1, 1)")
    changes = "\n    ".join(lines)
    return f'''def resized(images: torch.Tensor) -> torch.Tensor:
    """Images in the size and the colours that the network takes."""
    values = images.float()
    {changes}
    return values.round().clamp(0, 255).to(torch.uint8)'''


def _load_folders(architecture: Architecture) -> str:
    channels, height, width = architecture.input.shape
    load_images = f'''def load_images(folder: str, train: bool) -> tuple[torch.Tensor, torch.Tensor]:
    """Images, uint8 (count, {channels}, {height}, {width}), and labels (count,)."""
    pictures = datasets.ImageFolder(Path(folder) / ("train" if train else "test"), loader=read_picture)
    labels = torch.tensor([CLASS_NAMES.index(pictures.classes[label]) for label in pictures.targets])
    return torch.stack([image for image, _ in pictures]), labels'''
    return file_text(_read_picture(architecture), load_images)
