"""Everything a network or a run can leave the program as, by name: one table for the app and the command line."""

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from playground.codegen.keras_model import to_keras
from playground.codegen.svg_diagram import to_svg
from playground.codegen.torch_model import to_json, to_pytorch, weight_places
from playground.codegen.torch_scripts import prediction_script, training_script
from playground.core.architecture import Architecture
from playground.core.datasets import Dataset
from playground.core.recipe import Recipe
from playground.core.share_link import to_link
from playground.engine.data.registry import class_names, dataset_for
from playground.engine.runs.run import Run, snapshot_bytes
from playground.engine.runs.transfer import last_step
from playground.errors import RecipeError, UnknownNameError
from playground.export.onnx import onnx_bytes
from playground.export.report import report_html


@dataclass(frozen=True)
class Exported:
    """What is to leave: a network with the recipe it is trained by, and the run whose weights go along, if any."""

    architecture: Architecture
    recipe: Recipe
    title: str
    run: Run | None = None

    @classmethod
    def of(cls, run: Run) -> "Exported":
        """A run's network and recipe, as it began."""
        return cls(run.record.architecture, run.record.recipe, run.record.name, run)

    @property
    def class_names(self) -> tuple[str, ...]:
        """What the outputs are called."""
        return class_names(self.recipe, self.architecture)


@dataclass(frozen=True)
class Export:
    """One form: its title, the file's ending, and a sentence. ``needs_run``: it is made of a run's weights."""

    title: str
    suffix: str
    words: str
    write: Callable[[Exported], str | bytes]
    needs_run: bool = False

    def file_name(self, exported: Exported) -> str:
        """A name for the file, of letters that every disk takes."""
        stem = "".join(letter if letter.isascii() and letter.isalnum() else "-" for letter in exported.title.lower())
        return f"{stem.strip('-')[:40] or 'network'}{self.suffix}"


def written(name: str, exported: Exported) -> bytes:
    """The file's content; raises UnknownNameError for a form that there is not, or one that needs a trained run."""
    if name not in EXPORTS:
        raise UnknownNameError(f"There is no export to {name!r:.60}.", expected=f"There are: {', '.join(EXPORTS)}.")
    export = EXPORTS[name]
    if export.needs_run and exported.run is None:
        raise UnknownNameError(
            f"{export.title} is made of a run's weights.", fix="Train the network, and export the run."
        )
    content = export.write(exported)
    return content if isinstance(content, bytes) else content.encode()


def _weights(exported: Exported) -> bytes:
    return snapshot_bytes(_snapshot(exported))


def _onnx(exported: Exported) -> bytes:
    return onnx_bytes(exported.architecture, _snapshot(exported), class_names=exported.class_names)


def _snapshot(exported: Exported, *, first: bool = False) -> dict[str, Tensor]:
    assert exported.run is not None  # noqa: S101 -- seen to by ``written``
    return exported.run.snapshot(exported.run.snapshots()[0] if first else last_step(exported.run))


def _report(exported: Exported) -> str:
    assert exported.run is not None  # noqa: S101 -- seen to by ``written``
    return report_html(exported.run, link=to_link(exported.architecture, exported.recipe))


def _training(exported: Exported) -> str:
    dataset = _pictures(exported)
    code = training_script(exported.architecture, exported.recipe, title=exported.title, dataset=dataset)
    return _remark(exported) + code


def _keras(exported: Exported) -> str:
    _pictures(exported)
    return _remark(exported) + to_keras(exported.architecture, exported.recipe, title=exported.title)


def _prediction(exported: Exported) -> str:
    _pictures(exported)
    return prediction_script(exported.architecture, title=exported.title, class_names=exported.class_names)


def _pictures(exported: Exported) -> Dataset:
    dataset = dataset_for(exported.recipe, exported.architecture)
    if dataset.features is not None:
        raise RecipeError(
            f"This network reads what {dataset.features.extractor} says of pictures: a program of its own would need "
            "that net too.",
            expected="A network that reads images.",
            fix="The network as code, its weights and ONNX can be had.",
        )
    return dataset


def _remark(exported: Exported) -> str:
    """What of a run the program does not do, as a comment before it."""
    share, learns_all = exported.recipe.transferred_lr_share, not weight_places(exported.architecture, frozen=True)
    found = []
    if exported.run is not None and exported.run.record.parent and learns_all:
        found.append("# The run began with the weights of another one; this program draws its own.\n")
    if share != 1:
        found.append(f"# In the run, weights brought along learnt at {share:g} times the rate; here all learn alike.\n")
    return "".join(found)


EXPORTS: dict[str, Export] = {
    "torch": Export(
        "PyTorch network", ".py", "The network as PyTorch code.", lambda it: to_pytorch(it.architecture, title=it.title)
    ),
    "torch-train": Export("PyTorch training", "-train.py", "A program that trains it by this recipe.", _training),
    "torch-predict": Export(
        "PyTorch prediction",
        "-predict.py",
        "A program that loads its weights and says what pictures show.",
        _prediction,
    ),
    "keras": Export(
        "Keras 3",
        "-keras.py",
        "The same in Keras 3, with the training, and a function that loads these weights.",
        _keras,
    ),
    "weights": Export("Weights", ".safetensors", "The newest weights of the run.", _weights, needs_run=True),
    "first-weights": Export(
        "First weights",
        "-first.safetensors",
        "What the run began with: its training program asks for them where layers are frozen.",
        lambda it: snapshot_bytes(_snapshot(it, first=True)),
        needs_run=True,
    ),
    "onnx": Export("ONNX", ".onnx", "Network and weights for any other program.", _onnx, needs_run=True),
    "json": Export("JSON", ".json", "The architecture, to be read here again.", lambda it: to_json(it.architecture)),
    "svg": Export("Picture", ".svg", "A drawing of the network.", lambda it: to_svg(it.architecture, title=it.title)),
    "report": Export("Report", ".html", "One page: network, curves, confusion, examples.", _report, needs_run=True),
    "link": Export(
        "Link", ".txt", "Network, recipe and seed in a text.", lambda it: to_link(it.architecture, it.recipe) + "\n"
    ),
}
