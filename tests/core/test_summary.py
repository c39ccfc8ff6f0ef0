"""Summary of a network compared with values computed by hand and with PyTorch's gradients."""

import pytest
import torch
from hypothesis import given, settings
from torch import nn

from playground.core.architecture import Architecture, InputShape
from playground.core.layers import BatchNorm, Conv2d, Flatten, GlobalAvgPool, Linear, MaxPool2d, Output, Residual
from playground.core.presets import ARCHITECTURE_PRESETS, get_architecture_preset
from playground.core.shapes import format_shape
from playground.core.summary import summarize
from playground.engine.model.build import build_model
from tests import strategies


def test_summary_of_the_guide_network_by_hand() -> None:
    summary = summarize(get_architecture_preset("guide").architecture)
    rows = summary.layers
    assert [format_shape(row.output_shape) for row in rows] == [
        "32×26×26",
        "32×13×13",
        "64×11×11",
        "64×5×5",
        "64×3×3",
        "576",
        "64",
        "10",
    ]
    assert [row.parameters for row in rows] == [
        32 * (1 * 3 * 3 + 1),
        0,
        64 * (32 * 3 * 3 + 1),
        0,
        64 * (64 * 3 * 3 + 1),
        0,
        64 * (576 + 1),
        10 * (64 + 1),
    ]
    assert [row.multiply_adds for row in rows] == [
        26 * 26 * 32 * 1 * 3 * 3,
        0,
        11 * 11 * 64 * 32 * 3 * 3,
        0,
        3 * 3 * 64 * 64 * 3 * 3,
        0,
        576 * 64,
        64 * 10,
    ]
    assert summary.parameters == 93_322
    assert summary.multiply_adds == 194_688 + 2_230_272 + 331_776 + 36_864 + 640
    assert [row.receptive_field[0] for row in rows[:5]] == [3, 4, 8, 10, 18]
    assert all(row.receptive_field[0] == row.receptive_field[1] for row in rows)
    assert rows[6].receptive_field == rows[7].receptive_field == (28, 28)
    assert summary.receptive_field == (18, 18)
    assert rows[0].activation_bytes == 32 * 26 * 26 * 4
    assert [row.arguments_text for row in rows[:2]] == ["32 · 3×3 · ReLU", "2×2"]


@pytest.mark.parametrize(
    ("name", "parameters"), [("guide", 93_322), ("lenet5", 61_706), ("tiny", 3_738), ("residual", 77_658)]
)
def test_parameters_of_presets(name: str, parameters: int) -> None:
    architecture = get_architecture_preset(name).architecture
    assert summarize(architecture).parameters == parameters
    assert sum(weights.numel() for weights in build_model(architecture).parameters()) == parameters


def test_tiny_preset_has_few_parameters() -> None:
    assert summarize(ARCHITECTURE_PRESETS["tiny"].architecture).parameters < 5_000


def test_disabled_layer_costs_nothing() -> None:
    layers = (Conv2d(out_channels=4), Conv2d(out_channels=99, enabled=False), Flatten(), Output())
    rows = summarize(Architecture(layers=layers)).layers
    assert rows[1].output_shape == rows[1].input_shape == rows[0].output_shape == (4, 26, 26)
    assert (rows[1].parameters, rows[1].multiply_adds, rows[1].activation_bytes) == (0, 0, 0)
    assert rows[1].receptive_field == rows[0].receptive_field
    assert not rows[1].enabled


def test_frozen_layers_have_no_trainable_parameters() -> None:
    block = Residual(layers=(Conv2d(out_channels=4, padding=1, trainable=False), BatchNorm()))
    layers = (Conv2d(out_channels=2, trainable=False), block, Flatten(), Output())
    summary = summarize(Architecture(layers=layers))
    inner, norm, around, output = 4 * (2 * 9 + 1), 2 * 4, 4 * (2 + 1), 10 * (4 * 26 * 26 + 1)
    assert [row.parameters for row in summary.layers] == [2 * 10, inner + norm + around, 0, output]
    assert [row.trainable_parameters for row in summary.layers] == [0, norm + around, 0, output]
    assert summary.trainable_parameters == norm + around + output
    frozen = summarize(Architecture(layers=(*layers[:1], block.replace(trainable=False), *layers[2:])))
    assert (frozen.parameters, frozen.trainable_parameters) == (summary.parameters, output)


def test_training_bytes_by_hand() -> None:
    summary = summarize(Architecture(layers=(Flatten(), Linear(out_features=3), Output(units=2)), classes=2))
    weights = 3 * 785 + 2 * 4
    values = 784 + 3 + 2
    assert summary.parameters == weights
    assert summary.activation_bytes == values * 4
    flattened = 2 * 784 * 4  # from the image to what the first layer with weights keeps
    assert summary.estimate_training_bytes(10) == weights * 16 + (int((784 + 3 + 2) * 4 * 2.5) + flattened) * 10


def test_frozen_prefix_needs_memory_for_its_weights_only() -> None:
    layers = (Conv2d(out_channels=4), MaxPool2d(), Flatten(), Linear(out_features=3), Output(units=2))
    net = Architecture(layers=layers, classes=2)
    assert summarize(net).frozen_prefix == ()
    summary = summarize(net.freeze_up_to(0))
    assert [row.kind for row in summary.frozen_prefix] == ["conv2d", "max_pool2d", "flatten"]
    learning = 3 * (4 * 13 * 13 + 1) + 2 * 4
    kept = 784 + 3 + 2
    assert (
        summary.estimate_training_bytes(10)
        == (40 + 4 * learning) * 4 + (int(kept * 4 * 2.5) + 2 * 4 * 26 * 26 * 4) * 10
    )
    assert summary.estimate_training_bytes(10) < summarize(net).estimate_training_bytes(10)


def test_receptive_field_is_clipped_to_the_image() -> None:
    rows = summarize(Architecture(input=InputShape(height=9, width=20), layers=(Conv2d(kernel_size=31),))).layers
    assert rows[0].receptive_field == (9, 20)
    whole = summarize(Architecture(layers=(Conv2d(), GlobalAvgPool()))).layers
    assert whole[1].receptive_field == (28, 28)
    assert summarize(Architecture()).receptive_field == (1, 1)


def test_receptive_field_of_a_residual_block_is_that_of_its_layers() -> None:
    rows = summarize(Architecture(layers=(Residual(), MaxPool2d(), Residual()))).layers
    # Two 3×3 convolutions: 5; pooling: 6 at a jump of 2; two more convolutions: 6 + 4 · 2.
    assert [row.receptive_field[0] for row in rows] == [5, 6, 14]


def _seen(architecture: Architecture) -> tuple[int, int]:
    """Extent of the pixels with a gradient from the central value of the last map; all weights are positive."""
    module = build_model(architecture)
    maps = nn.Sequential(*list(module)[:-3])  # less the global pooling's two modules and the output
    with torch.no_grad():
        for weights in maps.parameters():
            weights.fill_(0.5)
    image = torch.ones(1, *architecture.input.shape, requires_grad=True)
    values = maps(image)
    values[0, 0, values.shape[2] // 2, values.shape[3] // 2].backward()
    assert image.grad is not None
    rows, columns = torch.nonzero(image.grad[0, 0], as_tuple=True)
    return int(rows.max() - rows.min() + 1), int(columns.max() - columns.min() + 1)


@given(architecture=strategies.window_stacks())
@settings(max_examples=60)
def test_receptive_fields_match_pytorch_gradients(architecture: Architecture) -> None:
    if len(architecture.layers) > 2:
        assert _seen(architecture) == summarize(architecture).receptive_field


def test_padded_and_residual_receptive_fields_match_pytorch_gradients() -> None:
    image = InputShape(height=41, width=41)
    inside = (Conv2d(out_channels=3, kernel_size=3, dilation=2, padding=2), Conv2d(out_channels=3, stride=2, padding=1))
    for layers in (
        (Conv2d(out_channels=2, kernel_size=5, padding="same"), Conv2d(out_channels=2, padding=1, stride=2)),
        (Residual(layers=inside, activation="none"), Conv2d(out_channels=1)),
        (Conv2d(out_channels=2, stride=2), Residual(layers=inside)),
    ):
        architecture = Architecture(input=image, layers=(*layers, GlobalAvgPool(), Output()))
        assert _seen(architecture) == summarize(architecture).receptive_field


def test_label_has_no_trailing_space_without_arguments() -> None:
    labels = [row.label for row in summarize(get_architecture_preset("guide").architecture).layers]
    assert labels[0].startswith("Conv 32")
    assert "Flatten" in labels
    assert all(label == label.strip() for label in labels)
