"""Programs in PyTorch and Keras."""

from playground.codegen.keras_model import to_keras
from playground.codegen.torch_model import list_weight_module_names, to_pytorch
from playground.codegen.torch_scripts import generate_prediction_script, generate_training_script
from playground.core.datasets import Dataset
from playground.engine.data.dataset_lookup import resolve_dataset
from playground.errors import RecipeError
from playground.export.targets.base import ExportSource, export_target


@export_target(
    "torch",
    title="PyTorch network",
    suffix=".py",
    media_type="text/x-python",
    help="PyTorch code that defines the network.",
    menu_order=10,
)
def render_torch_network(source: ExportSource) -> str:
    """Render the definition of the network."""
    return to_pytorch(source.architecture, title=source.title)


@export_target(
    "torch-train",
    title="PyTorch training",
    suffix="-train.py",
    media_type="text/x-python",
    help="PyTorch program that trains the network with this recipe.",
    menu_order=20,
)
def render_torch_training(source: ExportSource) -> str:
    """Render the program that trains the network."""
    dataset = _require_image_dataset(source)
    code = generate_training_script(source.architecture, source.recipe, title=source.title, dataset=dataset)
    return _render_transfer_comment(source) + code


@export_target(
    "torch-predict",
    title="PyTorch prediction",
    suffix="-predict.py",
    media_type="text/x-python",
    help="PyTorch program that loads the weights and classifies images.",
    menu_order=30,
)
def render_torch_prediction(source: ExportSource) -> str:
    """Render the program that classifies images."""
    dataset = _require_image_dataset(source)
    return generate_prediction_script(
        source.architecture,
        title=source.title,
        class_names=source.class_names,
        dataset=dataset,
    )


@export_target(
    "keras",
    title="Keras 3",
    suffix="-keras.py",
    media_type="text/x-python",
    help="Keras 3 program with the network, its training, and a function that loads the exported weights.",
    menu_order=40,
)
def render_keras(source: ExportSource) -> str:
    """Render the program that defines and trains the network."""
    dataset = _require_image_dataset(source)
    code = to_keras(source.architecture, source.recipe, title=source.title, dataset=dataset)
    return _render_transfer_comment(source) + code


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
