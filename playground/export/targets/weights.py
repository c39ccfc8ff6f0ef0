"""Weights of a run, alone and as an ONNX model."""

from torch import Tensor

from playground.core.preprocessing import choose_preprocessing
from playground.engine.data.dataset_lookup import resolve_dataset
from playground.engine.runs.run_files import serialize_snapshot
from playground.engine.runs.transfer import get_last_snapshot_step
from playground.export.onnx import export_onnx
from playground.export.targets.base import ExportSource, export_target


@export_target(
    "weights",
    title="Weights",
    suffix=".safetensors",
    media_type="application/octet-stream",
    help="Weights of the run's newest snapshot, as safetensors.",
    menu_order=50,
    needs_weights=True,
    is_binary=True,
)
def render_weights(source: ExportSource) -> bytes:
    """Render the newest snapshot as safetensors."""
    return serialize_snapshot(_load_snapshot(source))


@export_target(
    "first-weights",
    title="Initial weights",
    suffix="-first.safetensors",
    media_type="application/octet-stream",
    help="Weights that the run started with. The exported training program needs them if layers are frozen.",
    menu_order=60,
    needs_weights=True,
    is_binary=True,
)
def render_first_weights(source: ExportSource) -> bytes:
    """Render the first snapshot as safetensors."""
    return serialize_snapshot(_load_snapshot(source, first=True))


@export_target(
    "onnx",
    title="ONNX",
    suffix=".onnx",
    media_type="application/x-onnx",
    help="Network and weights for ONNX Runtime and other programs.",
    menu_order=70,
    needs_weights=True,
    is_binary=True,
)
def render_onnx(source: ExportSource) -> bytes:
    """Render the network with the weights of the newest snapshot."""
    dataset = resolve_dataset(source.recipe, source.architecture)
    preprocessing = None if dataset.features else choose_preprocessing(dataset, source.architecture.input.shape)
    return export_onnx(
        source.architecture, _load_snapshot(source), class_names=source.class_names, preprocessing=preprocessing
    )


def _load_snapshot(source: ExportSource, *, first: bool = False) -> dict[str, Tensor]:
    assert source.run is not None  # noqa: S101 -- checked by ``render_export``
    return source.run.load_snapshot(
        source.run.list_snapshot_steps()[0] if first else get_last_snapshot_step(source.run)
    )
