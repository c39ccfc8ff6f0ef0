"""Conformance of every layer kind: declared shapes and costs equal the built module, form bounds are valid."""

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from playground.core.architecture import Architecture
from playground.core.form_schema import build_form_fields
from playground.core.layers import (
    LAYER_KINDS,
    Activation,
    BatchNorm,
    Conv2d,
    Dropout,
    Layer,
    Linear,
    MaxPool2d,
    Output,
    Residual,
    ZeroPad2d,
)
from playground.core.summary import summarize
from playground.engine.model.build import build_model
from tests import strategies
from tests.core.layer_examples import EXAMPLE_CASES, LAYER_EXAMPLES, LayerExample, build_network_around

# PyTorch warns about every 'same' padding with an even kernel; the shapes are correct.
pytestmark = pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")


def _measured(architecture: Architecture) -> tuple[list[tuple[int, ...]], list[int], list[int]]:
    """Output shape, parameters and multiply-adds of each enabled layer, measured on the built module by hooks."""
    from playground.engine.model.build import list_module_ranges

    module = build_model(architecture).eval()
    owner: dict[nn.Module, int] = {}
    actual = list_module_ranges(architecture)
    for number, span in enumerate(actual):
        for part in module[span.start : span.stop]:
            owner |= dict.fromkeys(part.modules(), number)
    shapes: dict[int, tuple[int, ...]] = {}
    costs = [0] * len(actual)

    def count(part: nn.Module, _: Any, result: torch.Tensor) -> None:
        number = owner[part]
        if isinstance(part, nn.Conv2d):
            costs[number] += part.weight.numel() * result[0, 0].numel()
        elif isinstance(part, nn.Linear):
            costs[number] += part.weight.numel()
        shapes[number] = tuple(result.shape[1:])

    for part in owner:
        part.register_forward_hook(count)
    with torch.inference_mode():
        module(torch.zeros(2, *architecture.input.shape))
    parameters = [
        sum(weights.numel() for part in module[span.start : span.stop] for weights in part.parameters())
        for span in actual
    ]
    return [shapes[number] for number in range(len(actual))], parameters, costs


@pytest.mark.parametrize("example", EXAMPLE_CASES)
def test_build_matches_declared_shape_and_cost(example: LayerExample) -> None:
    layer = example.layer
    architecture = build_network_around(layer)
    rows = [row for row in summarize(architecture).layers if row.enabled]
    shapes, parameters, costs = _measured(architecture)
    assert [row.output_shape for row in rows] == shapes
    assert [row.parameters for row in rows] == parameters
    assert [row.multiply_adds for row in rows] == costs
    again = Architecture.from_json(architecture.to_canonical_json())
    assert again.layers == architecture.layers
    assert type(layer).model_validate_json(layer.model_dump_json()) == layer


@given(architecture=strategies.architectures())
@settings(max_examples=80)
def test_networks_match_their_declared_shapes_and_costs(architecture: Architecture) -> None:
    rows = [row for row in summarize(architecture).layers if row.enabled]
    shapes, parameters, costs = _measured(architecture)
    assert [row.output_shape for row in rows] == shapes
    assert [row.parameters for row in rows] == parameters
    assert [row.multiply_adds for row in rows] == costs


@given(architecture=strategies.frozen_architectures())
@settings(max_examples=80)
def test_trainable_parameters_equal_the_parameters_with_gradients(architecture: Architecture) -> None:
    module = build_model(architecture)
    summary = summarize(architecture)
    assert summary.trainable_parameters == sum(actual.numel() for actual in module.parameters() if actual.requires_grad)
    assert summary.parameters == sum(actual.numel() for actual in module.parameters())


@pytest.mark.parametrize("kind", LAYER_KINDS)
def test_form_of_a_layer_with_weights_has_trainable(kind: str) -> None:
    model = LAYER_KINDS[kind]
    layer = LAYER_EXAMPLES[kind][0].layer
    row = next(row for row in summarize(build_network_around(layer)).layers if row.kind == kind)
    assert model.has_weights == bool(row.parameters)
    names = [field.name for field in build_form_fields(model)]
    assert ("trainable" in names) == model.has_weights
    assert "trainable" not in names[:-1]


def test_json_contains_trainable_for_frozen_layers_only() -> None:
    assert "trainable" not in Conv2d().model_dump_json()
    assert '"trainable":false' in Conv2d(trainable=False).model_dump_json()
    block = Residual(layers=(Conv2d(trainable=False), BatchNorm()))
    assert block.model_dump_json().count("trainable") == 1
    for layer in (Conv2d(trainable=False), block):
        assert type(layer).model_validate_json(layer.model_dump_json()) == layer


@pytest.mark.parametrize("kind", LAYER_KINDS)
def test_every_bound_of_the_form_is_valid(kind: str) -> None:
    model = LAYER_KINDS[kind]
    for field in build_form_fields(model):
        assert field.help.endswith("."), f"{field.name} has no sentence of help"
        if field.control in ("integer", "number"):
            assert field.minimum is not None
            assert field.maximum is not None, f"{field.name} has no upper bound"
            values: tuple[Any, ...] = (field.minimum, field.maximum, field.default)
            assert field.minimum <= field.default <= field.maximum
        else:
            values = field.choices or (False, True)
            assert field.default in values
        for value in values:
            given_value = int(value) if field.control == "integer" else value
            layer = model.model_validate({field.name: given_value})
            assert getattr(layer, field.name) == given_value
            assert layer.kind == kind


@pytest.mark.parametrize("kind", LAYER_KINDS)
def test_values_outside_the_bounds_are_rejected(kind: str) -> None:
    for field in build_form_fields(LAYER_KINDS[kind]):
        if field.control in ("integer", "number"):
            assert field.minimum is not None
            assert field.maximum is not None
            for value in (field.minimum - 1, field.maximum + 1):
                with pytest.raises(ValueError, match=field.name):
                    LAYER_KINDS[kind].model_validate({field.name: value})


@pytest.mark.parametrize("kind", LAYER_KINDS)
def test_layer_kind_has_title_and_description(kind: str) -> None:
    model: type[Any] = LAYER_KINDS[kind]
    assert 3 <= len(model.title) <= 20
    assert model.description.endswith(".")
    assert model().kind == kind
    if build_form_fields(model) and kind != "batch_norm":
        assert model().format_arguments()


@given(layer=strategies.layers(), shape=st.tuples(st.integers(1, 600), st.integers(1, 40), st.integers(1, 40)))
@settings(max_examples=150)
def test_shapes_and_counts_are_defined_for_any_input(layer: Layer, shape: tuple[int, ...]) -> None:
    """For any input, a layer has positive shapes and counts, and its problems have messages."""
    for given_shape in (shape, shape[:1]):
        output = layer.compute_output_shape(given_shape)
        assert len(output) in (1, 3)
        assert min(output) >= 1
        assert layer.count_parameters(given_shape) >= 0
        assert layer.count_multiply_adds(given_shape) >= 0
        assert layer.count_saved_activations(given_shape) >= 1
        for problem in layer.validate_input(given_shape):
            assert problem.what.endswith(".")
            assert problem.field in type(layer).model_fields


def test_format_arguments_of_each_kind() -> None:
    assert Conv2d().format_arguments() == "32 · 3×3 · ReLU"
    full = Conv2d(out_channels=8, kernel_size=5, stride=2, padding=1, dilation=2, groups=4, activation="none")
    assert full.format_arguments() == "8 · 5×5 · stride 2 · pad 1 · dilation 2 · 4 groups"
    assert MaxPool2d(kernel_size=3, stride=2, padding=1).format_arguments() == "3×3 · stride 2 · pad 1"
    assert MaxPool2d(ceil_mode=True).format_arguments() == "2×2 · ceil mode"
    assert ZeroPad2d().format_arguments() == "1 px"
    assert ZeroPad2d(left=0, top=0).format_arguments() == "right 1 · bottom 1"
    assert Activation(activation="leaky_relu", negative_slope=0.2).format_arguments() == "Leaky ReLU · slope 0.2"
    assert Activation(activation="relu", negative_slope=0.2).format_arguments() == "ReLU"
    assert Dropout(p=0.5).format_arguments() == "50%"
    assert Linear(out_features=64, activation="tanh").format_arguments() == "64 · Tanh"
    assert Output(units=10).format_arguments() == "10 · softmax"
    projection = (Conv2d(kernel_size=1, bias=False, activation="none"), BatchNorm())
    assert Residual(layers=(Conv2d(),), projection=projection).format_arguments() == (
        "Conv 32 · 3×3 · ReLU · shortcut Conv 32 · 1×1 + Batch norm · ReLU"
    )
    assert Residual().format_arguments() == "Conv 32 · 3×3 · pad same · ReLU + Conv 32 · 3×3 · pad same · ReLU"


@pytest.mark.parametrize("kernel_size", [1, 2, 3, 5])
@pytest.mark.parametrize("stride", [1, 2, 3, 5])
def test_ceil_mode_has_the_windows_of_pytorch(kernel_size: int, stride: int) -> None:
    for padding in range(kernel_size // 2 + 1):
        layer = MaxPool2d(kernel_size=kernel_size, stride=stride, padding=padding, ceil_mode=True)
        for size in range(kernel_size, 16):
            maps = torch.rand(1, 1, size, size + 1)
            expected = torch.nn.functional.max_pool2d(maps, kernel_size, stride, padding, ceil_mode=True)
            assert layer.compute_output_shape((1, size, size + 1)) == expected.shape[1:]
            (call,) = layer.build_torch_calls((1, size, size + 1))
            assert torch.equal(nn.MaxPool2d(**call.arguments)(maps), expected)


def test_only_leaky_relu_has_a_slope_to_edit() -> None:
    assert Activation(activation="leaky_relu").inactive_fields == ()
    assert Activation(activation="relu").inactive_fields == ("negative_slope",)
    default = Activation(activation="leaky_relu")
    assert "negative_slope" not in default.model_dump()
    assert default.replace(negative_slope=0.2).build_torch_calls((3, 4, 4))[0].arguments == {"negative_slope": 0.2}
