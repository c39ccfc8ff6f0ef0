"""Everything a network or a run can leave the program as, by name: one table for the app and the command line."""

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from playground.codegen.keras_model import to_keras
from playground.codegen.svg_diagram import to_svg
from playground.codegen.torch_model import list_weight_module_names, to_json, to_pytorch
from playground.codegen.torch_scripts import generate_prediction_script, generate_training_script
from playground.core.architecture import Architecture
from playground.core.datasets import Dataset
from playground.core.recipe import Recipe
from playground.core.share_link import encode_link
from playground.engine.data.registry import get_class_names, resolve_dataset
from playground.engine.runs.run import Run
from playground.engine.runs.run_files import serialize_snapshot
from playground.engine.runs.transfer import get_last_snapshot_step
from playground.errors import RecipeError, UnknownNameError
from playground.export.onnx import export_onnx
from playground.export.report import render_report


@dataclass(frozen=True)
class ExportSource:
    """What is to leave: a network with the recipe it is trained by, and the run whose weights go along, if any."""

    architecture: Architecture
    recipe: Recipe
    title: str
    run: Run | None = None

    @classmethod
    def from_run(cls, run: Run) -> "ExportSource":
        """A run's network and recipe, as it began."""
        return cls(run.record.architecture, run.record.recipe, run.record.name, run)

    @property
    def class_names(self) -> tuple[str, ...]:
        """What the outputs are called."""
        return get_class_names(self.recipe, self.architecture)


@dataclass(frozen=True)
class ExportTarget:
    """One form: its title, the file's ending, and a sentence. ``needs_run``: it is made of a run's weights."""

    title: str
    suffix: str
    description: str
    render: Callable[[ExportSource], str | bytes]
    needs_run: bool = False

    def build_file_name(self, source: ExportSource) -> str:
        """A name for the file, of letters that every disk takes."""
        stem = "".join(letter if letter.isascii() and letter.isalnum() else "-" for letter in source.title.lower())
        return f"{stem.strip('-')[:40] or 'network'}{self.suffix}"


def render_export(name: str, source: ExportSource) -> bytes:
    """The file's content; raises UnknownNameError for a form that there is not, or one that needs a trained run."""
    if name not in EXPORT_TARGETS:
        raise UnknownNameError(
            f"There is no export to {name!r:.60}.", expected=f"There are: {', '.join(EXPORT_TARGETS)}."
        )
    export = EXPORT_TARGETS[name]
    if export.needs_run and source.run is None:
        raise UnknownNameError(
            f"{export.title} is made of a run's weights.", fix="Train the network, and export the run."
        )
    content = export.render(source)
    return content if isinstance(content, bytes) else content.encode()


def _render_weights(source: ExportSource) -> bytes:
    return serialize_snapshot(_load_snapshot(source))


def _render_onnx(source: ExportSource) -> bytes:
    return export_onnx(source.architecture, _load_snapshot(source), class_names=source.class_names)


def _load_snapshot(source: ExportSource, *, first: bool = False) -> dict[str, Tensor]:
    assert source.run is not None  # noqa: S101 -- seen to by ``render_export``
    return source.run.load_snapshot(
        source.run.list_snapshot_steps()[0] if first else get_last_snapshot_step(source.run)
    )


def _render_report(source: ExportSource) -> str:
    assert source.run is not None  # noqa: S101 -- seen to by ``render_export``
    return render_report(source.run, link=encode_link(source.architecture, source.recipe))


def _render_training(source: ExportSource) -> str:
    dataset = _require_image_dataset(source)
    code = generate_training_script(source.architecture, source.recipe, title=source.title, dataset=dataset)
    return _render_remark(source) + code


def _render_keras(source: ExportSource) -> str:
    _require_image_dataset(source)
    return _render_remark(source) + to_keras(source.architecture, source.recipe, title=source.title)


def _render_prediction(source: ExportSource) -> str:
    _require_image_dataset(source)
    return generate_prediction_script(source.architecture, title=source.title, class_names=source.class_names)


def _require_image_dataset(source: ExportSource) -> Dataset:
    dataset = resolve_dataset(source.recipe, source.architecture)
    if dataset.features is not None:
        raise RecipeError(
            f"This network reads what {dataset.features.extractor} says of pictures: a program of its own would need "
            "that net too.",
            expected="A network that reads images.",
            fix="The network as code, its weights and ONNX can be had.",
        )
    return dataset


def _render_remark(source: ExportSource) -> str:
    """What of a run the program does not do, as a comment before it."""
    share, learns_all = (
        source.recipe.transferred_lr_scale,
        not list_weight_module_names(source.architecture, only_frozen=True),
    )
    found = []
    if source.run is not None and source.run.record.parent and learns_all:
        found.append("# The run began with the weights of another one; this program draws its own.\n")
    if share != 1:
        found.append(f"# In the run, weights brought along learnt at {share:g} times the rate; here all learn alike.\n")
    return "".join(found)


EXPORT_TARGETS: dict[str, ExportTarget] = {
    "torch": ExportTarget(
        "PyTorch network", ".py", "The network as PyTorch code.", lambda it: to_pytorch(it.architecture, title=it.title)
    ),
    "torch-train": ExportTarget(
        "PyTorch training", "-train.py", "A program that trains it by this recipe.", _render_training
    ),
    "torch-predict": ExportTarget(
        "PyTorch prediction",
        "-predict.py",
        "A program that loads its weights and says what pictures show.",
        _render_prediction,
    ),
    "keras": ExportTarget(
        "Keras 3",
        "-keras.py",
        "The same in Keras 3, with the training, and a function that loads these weights.",
        _render_keras,
    ),
    "weights": ExportTarget(
        "Weights", ".safetensors", "The newest weights of the run.", _render_weights, needs_run=True
    ),
    "first-weights": ExportTarget(
        "First weights",
        "-first.safetensors",
        "What the run began with: its training program asks for them where layers are frozen.",
        lambda it: serialize_snapshot(_load_snapshot(it, first=True)),
        needs_run=True,
    ),
    "onnx": ExportTarget("ONNX", ".onnx", "Network and weights for any other program.", _render_onnx, needs_run=True),
    "json": ExportTarget(
        "JSON", ".json", "The architecture, to be read here again.", lambda it: to_json(it.architecture)
    ),
    "svg": ExportTarget(
        "Picture", ".svg", "A drawing of the network.", lambda it: to_svg(it.architecture, title=it.title)
    ),
    "report": ExportTarget(
        "Report", ".html", "One page: network, curves, confusion, examples.", _render_report, needs_run=True
    ),
    "link": ExportTarget(
        "Link", ".txt", "Network, recipe and seed in a text.", lambda it: encode_link(it.architecture, it.recipe) + "\n"
    ),
}
