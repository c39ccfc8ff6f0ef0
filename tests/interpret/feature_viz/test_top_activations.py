"""Top activations by hand and by brute force; receptive fields against gradients."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from playground.core.architecture import Architecture, InputShape
from playground.core.layers import (
    AvgPool2d,
    BatchNorm,
    Conv2d,
    Dropout,
    Flatten,
    GlobalAvgPool,
    Layer,
    Linear,
    MaxPool2d,
    Output,
    Residual,
)
from playground.core.shapes import ReceptiveField, is_spatial
from playground.engine.data.batch import LabeledImages, scale_pixels
from playground.engine.model.build import list_module_ranges
from playground.engine.progress import run_to_end
from playground.errors import DataError, PlaygroundError
from playground.interpret.activations.receptive_field import compute_receptive_box
from playground.interpret.feature_viz.top_activations import TopActivation, TopActivations, find_top_activations
from playground.interpret.model import Model
from tests import strategies
from tests.interpret.nets import model_of, set_weights

pytestmark = pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")


def _net(*layers: Layer, height: int = 4, width: int = 5) -> Architecture:
    return Architecture(input=InputShape(height=height, width=width), classes=2, layers=layers)


def _found(*arguments: Any, **options: Any) -> TopActivations:
    return run_to_end(find_top_activations(*arguments, **options))


def _dots(*dots: tuple[int, int, int] | None) -> LabeledImages:
    """One image of 4×5 pixels a dot (row, column, brightness), black elsewhere; labels 9, 8, …"""
    images = torch.zeros(len(dots), 1, 4, 5, dtype=torch.uint8)
    for image, dot in zip(images, dots, strict=True):
        if dot:
            image[0, dot[0], dot[1]] = dot[2]
    return LabeledImages(images, 9 - torch.arange(len(dots)))


def _two_channels() -> Model:
    """Channel 0: twice the upper left of a 2×2 window; channel 1: 1 less its lower right; then pooling 2×2."""
    model = model_of(
        _net(Conv2d(out_channels=2, kernel_size=2), Dropout(enabled=False), MaxPool2d(), Flatten(), Output())
    )
    set_weights(model.module[0], [[[[2, 0], [0, 0]]], [[[0, 0], [0, -1]]]], [0.0, 1.0])
    return model


def _round(found: TopActivation) -> TopActivation:
    return replace(found, value=round(found.value, 6))


FIVE = _dots((0, 1, 102), (2, 2, 255), None, (1, 0, 204), (2, 1, 102))


def test_five_images_by_hand() -> None:
    found = _found(_two_channels(), FIVE, 0, k=3)
    assert (found.layer_index, found.image_count, len(found.per_channel)) == (0, 5, 2)
    # Twice 255/255, 204/255 and 102/255; of the two images with 102 the earlier one. A window lies below and to the
    # right of its upper left pixel.
    assert [_round(one) for one in found.per_channel[0]] == [
        TopActivation(1, 8, 2.0, (2, 2, 4, 4)),
        TopActivation(3, 6, 1.6, (1, 0, 3, 2)),
        TopActivation(0, 9, 0.8, (0, 1, 2, 3)),
    ]
    # Every image has a window with nothing at its lower right: all are equal, and the first place of each counts;
    # no window has (0, 1) or (1, 0) there, and the first one has (1, 1).
    assert found.per_channel[1] == tuple(TopActivation(index, 9 - index, 1.0, (0, 0, 2, 2)) for index in range(3))


def test_receptive_field_of_a_pooled_value() -> None:
    found = _found(_two_channels(), FIVE, 2, k=2)
    # The pooled map is 1×2. The convolution's map is 3×4, the last row of which no window of the pooling takes: a dot
    # in row 2 has no influence, the other two lie in the first window: rows 0 and 1 of the map, rows 0 to 2 below.
    assert [_round(one) for one in found.per_channel[0]] == [
        TopActivation(3, 6, 1.6, (0, 0, 3, 3)),
        TopActivation(0, 9, 0.8, (0, 0, 3, 3)),
    ]


def test_units_of_a_vector_have_no_box() -> None:
    model = model_of(_net(Flatten(), Linear(out_features=2), Output()))
    weights = torch.zeros(2, 20)
    weights[0, 12], weights[1, 5] = 3, -1  # pixels (2, 2) and (1, 0)
    set_weights(model.module[1], weights.tolist(), [-1.0, 0.5])
    found = _found(model, FIVE, 1, k=2)
    # After the activation, so the four images of −1 are four of 0, of which the first one counts.
    assert found.per_channel[0] == (TopActivation(1, 8, 2.0, None), TopActivation(0, 9, 0.0, None))
    assert found.per_channel[1] == (TopActivation(0, 9, 0.5, None), TopActivation(1, 8, 0.5, None))
    flat = _found(model, FIVE, 0)
    assert len(flat.per_channel) == 20
    assert [exemplar.index for exemplar in flat.per_channel[12]] == [1, 0, 2, 3, 4]


def test_top_activations_come_from_all_batches() -> None:
    model = model_of(_net(Conv2d(out_channels=1, kernel_size=1), GlobalAvgPool(), Output(), height=1, width=1))
    set_weights(model.module[0], [[[[1]]]], [0.0])
    brightness = (torch.arange(250) * 101 % 250).to(torch.uint8)
    data = LabeledImages(brightness.view(-1, 1, 1, 1), torch.arange(250))
    assert [progress.fraction for progress in find_top_activations(model, data, 0)] == pytest.approx([0, 0.4, 0.8])
    found = _found(model, data, 0)
    wanted = sorted(range(250), key=lambda index: -int(brightness[index]))[:9]
    assert [exemplar.index for exemplar in found.per_channel[0]] == wanted
    assert [exemplar.value for exemplar in found.per_channel[0]] == pytest.approx(
        [(249 - place) / 255 for place in range(9)]
    )
    assert {index // 100 for index in wanted} == {0, 1, 2}


@pytest.mark.parametrize(("budget", "count"), [(0, 200), (200 * 72, 200), (251 * 72 - 1, 250), (1e9, 300)])
def test_budget_counts_the_layers_up_to_the_given_one(budget: float, count: int) -> None:
    layers = (Conv2d(out_channels=1, kernel_size=2), Conv2d(out_channels=1, kernel_size=2))
    architecture = _net(*layers, Flatten(), Linear(out_features=1000), Output())
    # 3×4 places of four weights, then 2×3: 48 + 24 = 72 for each image.
    data = LabeledImages(torch.zeros(300, 1, 4, 5, dtype=torch.uint8), torch.arange(300))
    found = _found(model_of(architecture), data, 1, budget=budget)
    assert found.image_count == count
    taken = data.sample(count).labels[:9].tolist()
    assert [exemplar.index for exemplar in found.per_channel[0]] == taken
    assert [exemplar.label for exemplar in found.per_channel[0]] == taken


@given(architecture=strategies.architectures(), draws=st.data())
@settings(max_examples=25)
def test_equals_brute_force(architecture: Architecture, draws: st.DataObject) -> None:
    model = model_of(architecture)
    place = draws.draw(st.integers(0, len(architecture.resolve_layers()) - 1))
    step = architecture.resolve_layers()[place]
    pixels = torch.randint(0, 256, (30, *architecture.input.shape), generator=torch.Generator().manual_seed(1))
    data = LabeledImages(pixels.to(torch.uint8), torch.arange(30) % 7)
    kept = {name: weight.clone() for name, weight in model.module.state_dict().items()}
    found = _found(model, data, step.index, k=4)

    values = scale_pixels(data.images)
    with torch.no_grad():
        for module in list(model.module)[: list_module_ranges(architecture)[place].stop]:
            values = module(values)
    array = values.numpy().reshape(30, step.output_shape[0], -1)
    assert len(found.per_channel) == step.output_shape[0]
    for channel, exemplar_row in enumerate(found.per_channel):
        wanted = sorted(range(30), key=lambda index: (-array[index, channel].max(), index))[:4]
        assert [exemplar.index for exemplar in exemplar_row] == wanted
        for exemplar in exemplar_row:
            own = array[exemplar.index, channel]
            assert exemplar.value == own.max()
            assert exemplar.label == exemplar.index % 7
            if is_spatial(step.output_shape):
                row, column = divmod(int(own.argmax()), step.output_shape[2])
                assert exemplar.box == compute_receptive_box(architecture, step.index, row, column)
            else:
                assert exemplar.box is None
    assert all(torch.equal(weight, kept[name]) for name, weight in model.module.state_dict().items())


def _changes(architecture: Architecture, layer_index: int, seed: int) -> None:
    """Whatever is changed outside of a value's box, the value stays; for some places, those at the edges included."""
    place = next(place for place, step in enumerate(architecture.resolve_layers()) if step.index == layer_index)
    model = model_of(architecture, seed=seed)
    maps = model.module[: list_module_ranges(architecture)[place].stop].double()
    dice = np.random.default_rng(seed)
    images = torch.from_numpy(dice.random((1, *architecture.input.shape)))
    height, width = architecture.resolve_layers()[place].output_shape[1:]
    places = {(0, 0), (height - 1, width - 1), (height // 2, width // 2), (0, width - 1)}
    with torch.no_grad():
        before = maps(images)
        for row, column in places:
            box = compute_receptive_box(architecture, layer_index, row, column)
            if box is not None:
                other = torch.from_numpy(dice.random(images.shape))
                top, left, bottom, right = box
                assert 0 <= top <= bottom <= images.shape[2]  # equal: it sees padding only
                assert 0 <= left <= right <= images.shape[3]
                other[:, :, top:bottom, left:right] = images[:, :, top:bottom, left:right]
                torch.testing.assert_close(maps(other)[..., row, column], before[..., row, column])


@given(architecture=strategies.window_stacks(), draws=st.data())
@settings(max_examples=25)
def test_pixels_outside_the_box_have_no_influence_in_window_stacks(
    architecture: Architecture, draws: st.DataObject
) -> None:
    if len(architecture.layers) > 2:
        _changes(architecture, draws.draw(st.integers(0, len(architecture.layers) - 3)), 0)


@given(architecture=strategies.architectures(most_maps=6))
@settings(max_examples=25)
def test_pixels_outside_the_box_have_no_influence_in_any_network(architecture: Architecture) -> None:
    for step in architecture.resolve_layers():
        if is_spatial(step.output_shape):
            _changes(architecture, step.index, 0)


def _influence(architecture: Architecture, layer_index: int, row: int, column: int) -> Tensor:
    """Gradient of a value with respect to the pixels, with positive weights and no inactive ReLU: (height, width)."""
    module = model_of(architecture).module
    with torch.no_grad():
        for weight in module.parameters():
            weight.fill_(0.5)
    image = torch.ones(1, *architecture.input.shape, requires_grad=True)
    module[: list_module_ranges(architecture)[layer_index].stop](image)[0, 0, row, column].backward()
    assert image.grad is not None
    return image.grad[0, 0] != 0


@given(architecture=strategies.window_stacks(), draws=st.data())
@settings(max_examples=25)
def test_box_is_minimal(architecture: Architecture, draws: st.DataObject) -> None:
    if len(architecture.layers) == 2:
        return
    last = len(architecture.layers) - 3
    height, width = architecture.resolve_layers()[last].output_shape[1:]
    row, column = draws.draw(st.integers(0, height - 1)), draws.draw(st.integers(0, width - 1))
    rows, columns = torch.nonzero(_influence(architecture, last, row, column), as_tuple=True)
    wanted = (int(rows.min()), int(columns.min()), int(rows.max()) + 1, int(columns.max()) + 1)
    box = compute_receptive_box(architecture, last, row, column)
    assert wanted == (box or (0, 0, 64, 64))
    field = ReceptiveField()
    for step in architecture.resolve_layers()[: last + 1]:
        field = step.layer.compute_receptive_field(field, step.input_shape)
    assert (wanted[0], wanted[2]) == (field.start + row * field.jump, field.start + row * field.jump + field.size)


BLOCK = (Conv2d(out_channels=2, padding=2, dilation=2), BatchNorm(), Conv2d(out_channels=3, stride=2, padding=1))


@pytest.mark.parametrize(
    ("layers", "row", "column", "box"),
    [
        ((Conv2d(),), 3, 5, (3, 5, 6, 8)),
        ((Conv2d(padding=1),), 0, 13, (0, 12, 2, 14)),
        ((Conv2d(kernel_size=4, padding="same"),), 5, 5, (4, 4, 8, 8)),  # torch pads 1 before and 2 after
        ((Conv2d(stride=2, dilation=2),), 1, 2, (2, 4, 7, 9)),
        ((Conv2d(), MaxPool2d(), Conv2d()), 0, 1, (0, 2, 8, 10)),
        ((AvgPool2d(kernel_size=3, stride=2, padding=1),), 1, 0, (1, 0, 4, 2)),
        ((Conv2d(enabled=False), Conv2d(kernel_size=1)), 4, 4, (4, 4, 5, 5)),
        # Inside: 3 wide from 2 · 3 − 1, then 2 to each side; the way around sees (6, 4) alone.
        ((Residual(layers=BLOCK),), 3, 2, (3, 1, 10, 8)),
        ((Residual(layers=(Conv2d(out_channels=1, kernel_size=1),)),), 3, 2, (3, 2, 4, 3)),
    ],
)
def test_boxes_by_hand(layers: tuple[Layer, ...], row: int, column: int, box: tuple[int, ...]) -> None:
    architecture = _net(*layers, Flatten(), Output(), height=12, width=14)
    assert compute_receptive_box(architecture, len(layers) - 1, row, column) == box


def test_residual_block_with_different_strides() -> None:
    # Both ways make two values of four, one in steps of 3, the other of 2: the spec's field knows one step alone.
    block = Residual(layers=(Conv2d(out_channels=2, kernel_size=1, stride=3),), activation="none")
    architecture = _net(block, Conv2d(out_channels=1, kernel_size=1), Flatten(), Output(), height=4, width=4)
    assert [compute_receptive_box(architecture, 0, place, place) for place in (0, 1)] == [(0, 0, 1, 1), (2, 2, 4, 4)]
    assert torch.nonzero(_influence(architecture, 0, 1, 1)).tolist() == [[2, 2], [3, 3]]
    _changes(architecture, 0, 0)
    # The inner one has padding enough to keep the size in spite of its stride; the way around is the identity.
    wide = Residual(layers=(Conv2d(out_channels=1, kernel_size=1, stride=2, padding=2),), activation="none")
    architecture = _net(wide, Flatten(), Output(), height=4, width=4)
    assert compute_receptive_box(architecture, 0, 1, 2) == (0, 2, 2, 3)
    _changes(architecture, 0, 0)


def test_values_of_the_whole_image_have_no_box() -> None:
    everything = _net(Conv2d(kernel_size=3), Conv2d(kernel_size=2), Flatten(), Output(), height=4, width=4)
    assert compute_receptive_box(everything, 0, 0, 0) == (0, 0, 3, 3)
    assert compute_receptive_box(everything, 1, 0, 0) is None
    assert compute_receptive_box(everything, 2, 0, 0) is None
    # All rows, but not all columns: there is something to show.
    assert compute_receptive_box(_net(Conv2d(kernel_size=4), Flatten(), Output()), 0, 0, 1) == (0, 1, 4, 5)


def test_inference_mode_does_not_leak_between_batches() -> None:
    search = find_top_activations(_two_channels(), FIVE, 0)
    next(search)
    assert not torch.is_inference_mode_enabled()
    assert torch.is_grad_enabled()


@pytest.mark.parametrize("layer_index", [-1, 1, 5])
def test_unknown_layer_raises_at_once(layer_index: int) -> None:
    model = _two_channels()
    with pytest.raises(PlaygroundError, match=f"no layer {layer_index + 1} in"):
        find_top_activations(model, FIVE, layer_index)
    with pytest.raises(PlaygroundError, match=f"no layer {layer_index + 1} "):
        compute_receptive_box(model.architecture, layer_index, 0, 0)


def test_images_of_another_shape_raise_at_once() -> None:
    with pytest.raises(DataError, match=r"2 of 1×5×4.*of 1×4×5"):
        find_top_activations(
            _two_channels(), LabeledImages(torch.zeros(2, 1, 5, 4, dtype=torch.uint8), torch.zeros(2)), 0
        )
    with pytest.raises(DataError, match="0 of 1×4×5"):
        find_top_activations(_two_channels(), _dots(), 0)
