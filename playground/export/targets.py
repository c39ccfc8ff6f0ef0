"""Registry of export targets. The command line's help and the UI's buttons are made from it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from torch import Tensor

from playground.codegen.keras_model import to_keras
from playground.codegen.svg_diagram import to_svg
from playground.codegen.torch_model import list_weight_module_names, to_json, to_pytorch
from playground.codegen.torch_scripts import generate_prediction_script, generate_training_script
from playground.core.architecture import Architecture
from playground.core.datasets import Dataset
from playground.core.recipe import Recipe
from playground.core.share_link import encode_link
from playground.engine.data.dataset_lookup import get_class_names, resolve_dataset
from playground.engine.runs.run import Run
from playground.engine.runs.run_files import serialize_snapshot
from playground.engine.runs.transfer import get_last_snapshot_step
from playground.errors import RecipeError, UnknownNameError
from playground.export.onnx import export_onnx
from playground.export.report import render_report


@dataclass(frozen=True)
class ExportSource:
    """Network to export with its recipe, and the run that trained it, if there is one."""

    architecture: Architecture
    recipe: Recipe
    title: str
    run: Run | None = None

    @classmethod
    def from_run(cls, run: Run) -> "ExportSource":
        """Return the source for a run: its network, its name and the recipe that it started with."""
        return cls(run.record.architecture, run.record.recipe, run.record.name, run)

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names of the network's outputs."""
        return get_class_names(self.recipe, self.architecture)


MediaType = Literal[
    "application/json",
    "application/octet-stream",
    "application/x-onnx",
    "image/svg+xml",
    "text/html",
    "text/plain",
    "text/x-python",
]


@dataclass(frozen=True)
class ExportTarget:
    """Format that a network or a run can be exported to.

    ``suffix`` ends the file name; it includes the extension. ``needs_weights``: only runs with a snapshot can be
    exported.
    """

    title: str
    suffix: str
    media_type: MediaType
    help: str
    render: Callable[[ExportSource], str | bytes]
    needs_weights: bool = False
    is_binary: bool = False

    def build_file_name(self, source: ExportSource) -> str:
        """Return a file name of ASCII letters, digits and hyphens, followed by the suffix."""
        stem = "".join(letter if letter.isascii() and letter.isalnum() else "-" for letter in source.title.lower())
        return f"{stem.strip('-')[:40] or 'network'}{self.suffix}"


def find_export_target(name: str) -> ExportTarget:
    """Return the target with this name; raises UnknownNameError if there is none."""
    if name not in EXPORT_TARGETS:
        raise UnknownNameError(f"Unknown export target {name!r:.60}.", expected=f"One of: {', '.join(EXPORT_TARGETS)}.")
    return EXPORT_TARGETS[name]


def render_export(name: str, source: ExportSource) -> bytes:
    """Return the content of the exported file.

    Raises UnknownNameError for an unknown target, or for a target that needs weights if the source has none.
    """
    target = find_export_target(name)
    if target.needs_weights and (source.run is None or not source.run.list_snapshot_steps()):
        raise UnknownNameError(
            f"{target.title} cannot be exported without trained weights.",
            expected="A run with at least one snapshot.",
            fix="Train the network and export the run.",
        )
    content = target.render(source)
    return content if isinstance(content, bytes) else content.encode()


def _render_weights(source: ExportSource) -> bytes:
    return serialize_snapshot(_load_snapshot(source))


def _render_onnx(source: ExportSource) -> bytes:
    return export_onnx(source.architecture, _load_snapshot(source), class_names=source.class_names)


def _load_snapshot(source: ExportSource, *, first: bool = False) -> dict[str, Tensor]:
    assert source.run is not None  # noqa: S101 -- checked by ``render_export``
    return source.run.load_snapshot(
        source.run.list_snapshot_steps()[0] if first else get_last_snapshot_step(source.run)
    )


def _render_report(source: ExportSource) -> str:
    assert source.run is not None  # noqa: S101 -- checked by ``render_export``
    return render_report(source.run, link=encode_link(source.architecture, source.recipe))


def _render_training(source: ExportSource) -> str:
    dataset = _require_image_dataset(source)
    code = generate_training_script(source.architecture, source.recipe, title=source.title, dataset=dataset)
    return _render_transfer_comment(source) + code


def _render_keras(source: ExportSource) -> str:
    _require_image_dataset(source)
    return _render_transfer_comment(source) + to_keras(source.architecture, source.recipe, title=source.title)


def _render_prediction(source: ExportSource) -> str:
    _require_image_dataset(source)
    return generate_prediction_script(source.architecture, title=source.title, class_names=source.class_names)


def _require_image_dataset(source: ExportSource) -> Dataset:
    dataset = resolve_dataset(source.recipe, source.architecture)
    if dataset.features is not None:
        raise RecipeError(
            f"The input of this network is features of {dataset.features.extractor}; a standalone program would need "
            "that network too.",
            expected="A network whose input is images.",
            fix="Export the network as PyTorch code, weights or ONNX instead.",
        )
    return dataset


def _render_transfer_comment(source: ExportSource) -> str:
    """Return comments on the parts of the run's training that the exported program does not repeat."""
    lr_scale = source.recipe.transferred_lr_scale
    has_frozen_weights = bool(list_weight_module_names(source.architecture, only_frozen=True))
    comments = []
    if source.run is not None and source.run.record.parent and not has_frozen_weights:
        comments.append("# The run started from the weights of another run; this program initializes its own.\n")
    if lr_scale != 1:
        comments.append(
            f"# The run trained transferred weights at {lr_scale:g} times the learning rate; this program trains all "
            "weights at the same rate.\n"
        )
    return "".join(comments)


EXPORT_TARGETS: dict[str, ExportTarget] = {
    "torch": ExportTarget(
        "PyTorch network",
        ".py",
        "text/x-python",
        "PyTorch code that defines the network.",
        lambda source: to_pytorch(source.architecture, title=source.title),
    ),
    "torch-train": ExportTarget(
        "PyTorch training",
        "-train.py",
        "text/x-python",
        "PyTorch program that trains the network with this recipe.",
        _render_training,
    ),
    "torch-predict": ExportTarget(
        "PyTorch prediction",
        "-predict.py",
        "text/x-python",
        "PyTorch program that loads the weights and classifies images.",
        _render_prediction,
    ),
    "keras": ExportTarget(
        "Keras 3",
        "-keras.py",
        "text/x-python",
        "Keras 3 program with the network, its training, and a function that loads the exported weights.",
        _render_keras,
    ),
    "weights": ExportTarget(
        "Weights",
        ".safetensors",
        "application/octet-stream",
        "Weights of the run's newest snapshot, as safetensors.",
        _render_weights,
        needs_weights=True,
        is_binary=True,
    ),
    "first-weights": ExportTarget(
        "Initial weights",
        "-first.safetensors",
        "application/octet-stream",
        "Weights that the run started with. The exported training program needs them if layers are frozen.",
        lambda source: serialize_snapshot(_load_snapshot(source, first=True)),
        needs_weights=True,
        is_binary=True,
    ),
    "onnx": ExportTarget(
        "ONNX",
        ".onnx",
        "application/x-onnx",
        "Network and weights for ONNX Runtime and other programs.",
        _render_onnx,
        needs_weights=True,
        is_binary=True,
    ),
    "json": ExportTarget(
        "JSON",
        ".json",
        "application/json",
        "The architecture as JSON; it can be imported again.",
        lambda source: to_json(source.architecture),
    ),
    "svg": ExportTarget(
        "Diagram",
        ".svg",
        "image/svg+xml",
        "Diagram of the network as SVG.",
        lambda source: to_svg(source.architecture, title=source.title),
    ),
    "report": ExportTarget(
        "Report",
        ".html",
        "text/html",
        "HTML page with the network, learning curves, confusion matrix and example images.",
        _render_report,
        needs_weights=True,
    ),
    "link": ExportTarget(
        "Link",
        ".txt",
        "text/plain",
        "Share link text with the network, recipe and seed.",
        lambda source: encode_link(source.architecture, source.recipe) + "\n",
    ),
}
