"""Conformance of every layer kind in every consumer: engines, exporters, importers, interpretation and screens."""

from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from playground.code_import.read_code import parse_code
from playground.codegen.keras_model import to_keras
from playground.codegen.svg_diagram import to_svg
from playground.codegen.torch_model import list_weight_module_names, to_pytorch
from playground.core.architecture import Architecture
from playground.core.form_schema import build_form_fields
from playground.core.layers import LAYER_KINDS, TorchCall
from playground.core.summary import summarize
from playground.core.validation import validate
from playground.engine.model.build import build_model
from playground.engine.model.device import DeviceConfig
from playground.engine.model.flat_parameters import FlatParameters
from playground.engine.training.cost_model import estimate_training_cost
from playground.export.onnx import export_onnx
from playground.interpret.activations.activations import compute_activations
from playground.interpret.activations.breakdown import explain_channel
from playground.interpret.activations.weights import get_layer_weights, get_normalization_parameters
from playground.interpret.editing import ChannelScale, apply_edits, has_editable_channels
from playground.interpret.model import Model
from tests.codegen.exported_code import executed
from tests.core.layer_examples import (
    EXAMPLE_CASES,
    LAYER_EXAMPLES,
    NUMBERED_EXAMPLES,
    LayerExample,
    build_network_around,
)
from tests.web.compare_networks import compare_models

pytestmark = [
    pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel"),
    # Keras's variables on torch do not support NumPy 2's copy keyword.
    pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning"),
]
every_example = pytest.mark.parametrize("example", EXAMPLE_CASES)


def _train_briefly(architecture: Architecture) -> nn.Sequential:
    """The network in eval mode with parameters and running statistics unlike the initial ones."""
    module = build_model(architecture, seed=3).eval()
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for name, tensor in module.state_dict().items():
            if "running_var" in name:
                tensor.uniform_(0.5, 2, generator=generator)
            elif tensor.dtype.is_floating_point and tensor.ndim == 1:
                tensor.normal_(generator=generator)
    return module


def _make_images(architecture: Architecture, count: int = 2) -> Tensor:
    return torch.rand((count, *architecture.input.shape), generator=torch.Generator().manual_seed(1))


def _compute_logits(module: nn.Module, images: Tensor) -> Tensor:
    with torch.inference_mode():
        logits: Tensor = module(images)
    return logits


def _get_layer_index(architecture: Architecture, example: LayerExample) -> int:
    return next(i for i, layer in enumerate(architecture.layers) if layer.kind == example.layer.kind)


def _make_model(architecture: Architecture) -> Model:
    return Model("run", 0, architecture, _train_briefly(architecture).requires_grad_(False))


def _list_torch_calls(architecture: Architecture) -> list[TorchCall]:
    return [call for step in architecture.resolve_layers() for call in step.layer.build_torch_calls(step.input_shape)]


def test_every_kind_has_examples() -> None:
    assert set(LAYER_EXAMPLES) == set(LAYER_KINDS)


@every_example
def test_layer_builds_with_positive_cost(example: LayerExample) -> None:
    architecture = build_network_around(example.layer)
    assert validate(architecture) == ()
    summary = summarize(architecture)
    row = summary.layers[_get_layer_index(architecture, example)]
    assert row.layer_class is type(example.layer)
    assert row.activation_bytes > 0
    without = architecture.toggle_layer(row.index)
    difference = estimate_training_cost(summary, 32) - estimate_training_cost(summarize(without), 32)
    assert difference > 0 or example.layer.is_view or example.layer.is_output or row.output_shape != row.input_shape


@every_example
def test_pytorch_code_computes_the_same_logits(example: LayerExample) -> None:
    architecture = build_network_around(example.layer)
    module = _train_briefly(architecture)
    exported = executed(to_pytorch(architecture))["make_model"]().eval()
    exported.load_state_dict(module.state_dict())
    images = _make_images(architecture)
    assert torch.equal(_compute_logits(exported, images), _compute_logits(module, images))
    names = {name.rpartition(".")[0] for name, _ in module.named_parameters()}
    assert set(list_weight_module_names(architecture)) == names


@every_example
def test_keras_code_computes_the_same_logits(example: LayerExample, tmp_path: Path) -> None:
    architecture = build_network_around(example.layer)
    module = _train_briefly(architecture)
    namespace = executed(to_keras(architecture))
    model = namespace["make_model"](logits=True)
    save_file(module.state_dict(), tmp_path / "0.safetensors")
    namespace["load_weights"](model, tmp_path / "0.safetensors")
    images = _make_images(architecture)
    logits = np.asarray(model.predict(images.permute(0, 2, 3, 1).numpy(), verbose=0))
    np.testing.assert_allclose(logits, _compute_logits(module, images).numpy(), atol=1e-4)


@every_example
def test_onnx_file_computes_the_same_logits(example: LayerExample) -> None:
    architecture = build_network_around(example.layer)
    module = _train_briefly(architecture)
    content = export_onnx(architecture, module.state_dict())
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    images = _make_images(architecture)
    (logits,) = session.run(["scores"], {"image": images.numpy()})
    np.testing.assert_allclose(np.asarray(logits), _compute_logits(module, images).numpy(), atol=1e-4)


@pytest.fixture(scope="module")
def browser_errors(tmp_path_factory: pytest.TempPathFactory) -> list[float]:
    """The largest error of the browser engine on each example, all computed by one Node process."""
    models = [_make_model(build_network_around(example.layer)) for example in NUMBERED_EXAMPLES.values()]
    return compare_models(models, tmp_path_factory.mktemp("browser"))


@pytest.mark.parametrize("number", range(len(NUMBERED_EXAMPLES)), ids=NUMBERED_EXAMPLES)
def test_browser_engine_computes_the_same_values(number: int, browser_errors: list[float]) -> None:
    assert browser_errors[number] < 1e-4


@every_example
def test_pytorch_code_is_imported_as_the_same_architecture(example: LayerExample) -> None:
    architecture = build_network_around(example.layer)
    imported = parse_code(to_pytorch(architecture), input_shape=architecture.input).architecture
    expected = build_network_around(*(example.torch_import or (example.layer,)))
    assert _list_torch_calls(imported) == _list_torch_calls(architecture)
    assert [layer.kind for layer in imported.layers] == [layer.kind for layer in expected.layers]


@every_example
def test_keras_code_is_imported_as_the_same_architecture(example: LayerExample) -> None:
    architecture = build_network_around(example.layer)
    imported = parse_code(to_keras(architecture), input_shape=architecture.input).architecture
    assert _list_torch_calls(imported) == _list_torch_calls(architecture)
    assert [layer.kind for layer in imported.layers] == [layer.kind for layer in architecture.layers]


@every_example
def test_arithmetic_of_every_channel_equals_pytorch(example: LayerExample) -> None:
    architecture = build_network_around(example.layer)
    model, image = _make_model(architecture), _make_images(architecture)[0].numpy()
    index = _get_layer_index(architecture, example)
    activations = next(item for item in compute_activations(model, image) if item.layer_index == index)
    for channel in range(0, len(activations.output), max(1, len(activations.output) // 5)):
        explanation = explain_channel(model, image, index, channel)
        expected = activations.output[channel].reshape(explanation.output.shape)
        for row, column in {(0, 0), (expected.shape[0] // 2, expected.shape[1] - 1)}:
            value = explanation.explain_value(row, column)
            assert value.output == pytest.approx(float(expected[row, column]), abs=1e-4)


@every_example
def test_value_depends_on_its_receptive_box_only(example: LayerExample) -> None:
    architecture = build_network_around(example.layer)
    model, image = _make_model(architecture), _make_images(architecture)[0]
    index = _get_layer_index(architecture, example)
    explanation = explain_channel(model, image.numpy(), index, 0)
    position = explanation.output.shape[0] // 2, explanation.output.shape[1] - 1
    top, left, bottom, right = explanation.compute_receptive_box(*position)
    outside = torch.rand(image.shape, generator=torch.Generator().manual_seed(2))
    outside[:, top:bottom, left:right] = image[:, top:bottom, left:right]
    same = explain_channel(model, outside.numpy(), index, 0).output[position]
    assert same == pytest.approx(float(explanation.output[position]), abs=1e-5)


@every_example
def test_weights_view_shows_every_tensor(example: LayerExample) -> None:
    architecture = build_network_around(example.layer)
    model = _make_model(architecture)
    index = _get_layer_index(architecture, example)
    shown = 0
    for weights in get_layer_weights(model, index):
        shown += weights.kernels.size + (0 if weights.bias is None else weights.bias.size)
    for normalization in get_normalization_parameters(model, index):
        shown += sum(values.size for name, values in normalization.values.items() if "running" not in name)
    assert shown == summarize(architecture).layers[index].parameters


@every_example
def test_scaling_a_channel_changes_that_channel_only(example: LayerExample) -> None:
    architecture = build_network_around(example.layer)
    index = _get_layer_index(architecture, example)
    has_parameters = summarize(architecture).layers[index].parameters > 0
    assert has_editable_channels(architecture, index) == (has_parameters and not example.layer.inner_layers)
    if not has_editable_channels(architecture, index):
        return
    model, image = _make_model(architecture), _make_images(architecture)[0].numpy()
    edited = apply_edits(model, (ChannelScale(index, 0, -1.0),))
    (before, after) = (
        next(item.output for item in compute_activations(network, image) if item.layer_index == index)
        for network in (model, edited)
    )
    assert not np.allclose(before[0], after[0])
    np.testing.assert_array_equal(before[1:], after[1:])


@every_example
def test_form_and_diagram_show_the_layer(example: LayerExample) -> None:
    layer = example.layer
    fields = {field.name for field in build_form_fields(type(layer))}
    assert set(layer.block_form_fields) <= fields
    assert ("trainable" in fields) == layer.has_weights
    if layer.width_field:
        assert layer.with_width(8).compute_output_shape((3, 13, 11))[0] == 8
    svg = to_svg(build_network_around(layer))
    assert f">{layer.title}</text>" in svg


@every_example
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_training_step_computes_the_same_logits(example: LayerExample, precision: str) -> None:
    architecture = build_network_around(example.layer.replace(trainable=True))
    module = _train_briefly(architecture)
    images = _make_images(architecture)
    expected = _compute_logits(module, images)
    flat = FlatParameters(module, DeviceConfig(torch.device("cpu"), is_bfloat16=precision == "bfloat16"))
    logits = flat.forward(images)
    tolerance = 1e-5 if precision == "float32" else 0.05 * float(expected.abs().max()) + 0.02
    torch.testing.assert_close(logits.detach(), expected, atol=tolerance, rtol=0)
    flat.backward(logits.square().mean())
    assert all(group.grad is not None for group in flat.parameter_groups.values())


@every_example
def test_frozen_layer_has_no_gradient(example: LayerExample) -> None:
    if not example.layer.has_weights:
        return
    architecture = build_network_around(example.layer.replace(trainable=False))
    row = summarize(architecture).layers[_get_layer_index(architecture, example)]
    assert row.trainable_parameters == 0
    frozen = [weights.numel() for weights in build_model(architecture).parameters() if not weights.requires_grad]
    assert sum(frozen) == row.parameters
