"""Weights of a layer: all kernels, one output channel, and the change since the start of training."""

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from playground.charts.images import Scaling, render_feature_maps, render_image_grid
from playground.charts.theme import get_theme
from playground.engine.runs.run import Run
from playground.errors import PlaygroundError
from playground.interpret.activations.weights import (
    ChannelOrder,
    ModuleWeights,
    NormalizationParameters,
    compute_relative_change,
    get_layer_weights,
    get_normalization_parameters,
    order_channels,
)
from playground.interpret.editing import apply_edits
from playground.interpret.model import Model, load_model
from playground.ui import html
from playground.ui.controls import choose_number
from playground.ui.forms import choose_one, choose_page_start
from playground.ui.state import get_app_state

Array = NDArray[np.float32]

_MAX_ROWS, _MAX_COLUMNS = 32, 64
_COLOR_CHANNELS = 3
_MIN_COLUMNS = 8
_ORDER_LABELS: dict[ChannelOrder, str] = {
    "number": "By number",
    "norm": "Largest norm first",
    "alike": "Similar together",
}
_PARTS = ("All kernels", "One channel", "Change since start")


def render_weights_view(run: Run, model: Model, layer_index: int) -> None:
    """Render the weights of a layer, or a message if it has none."""
    layer_weights = get_layer_weights(model, layer_index)
    normalizations = get_normalization_parameters(model, layer_index)
    for normalization in normalizations:
        _render_normalization(normalization)
    if normalizations and not layer_weights:
        return
    if not layer_weights:
        title = model.architecture.layers[layer_index].title
        html.render_message(f"{title} has no weights. Select a convolution or a linear layer.")
        return
    part, order, scaling = _choose_display()
    for weights in layer_weights:
        if weights.name:
            html.render_title(weights.name)
        if part == _PARTS[2]:
            _render_weight_change(run, model, layer_index, weights)
        elif part == _PARTS[1] or not weights.is_spatial:
            _render_one_channel(weights, scaling)
        else:
            if _has_color_input(model, layer_index, weights):
                _render_color_kernels(weights, order, scaling)
            _render_all_kernels(weights, order, scaling)


def _render_normalization(normalization: NormalizationParameters) -> None:
    """Render the parameters of a normalization, a row per channel."""
    values = normalization.values
    if normalization.name:
        html.render_title(normalization.name)
    kind = "running" if "running mean" in values else "group"
    html.render_hint(f"Per channel: (value − {kind} mean) / √({kind} variance + ε) × scale + shift.")
    count = len(next(iter(values.values())))
    st.dataframe(
        {"channel": list(range(1, count + 1)), **{name: numbers.tolist() for name, numbers in values.items()}},
        hide_index=True,
        width=560,
    )


def _choose_display() -> tuple[str, ChannelOrder, Scaling]:
    with st.container(horizontal=True, vertical_alignment="center", gap="medium"):
        part = choose_one("Show", _PARTS, key="filters-part")
        order = st.selectbox(
            "Order",
            list(_ORDER_LABELS),
            key="filters-order",
            format_func=lambda name: _ORDER_LABELS[name],
            label_visibility="collapsed",
            width=190,
            persist_state="session",
            help="Similar: each kernel next to the one with the highest cosine similarity.",
        )
        scales = ("Shared scale", "Scale per kernel")
        scale = choose_one("Color scale", scales, key="filters-scale")
    return part, order, "layer" if scale == scales[0] else "map"


def _has_color_input(model: Model, layer_index: int, weights: ModuleWeights) -> bool:
    """Return True if the kernels read a color image, directly or after layers without weights."""
    previous_layers = (step.layer for step in model.architecture.resolve_layers() if step.index < layer_index)
    is_color = model.architecture.input.channels == weights.kernels.shape[1] == _COLOR_CHANNELS
    return is_color and not any(layer.has_weights for layer in previous_layers)


def _render_color_kernels(weights: ModuleWeights, order: ChannelOrder, scaling: Scaling) -> None:
    """Render each kernel as an RGB tile."""
    channels = list(order_channels(weights.kernels, order))
    kernels = weights.kernels[channels]
    largest = np.abs(kernels).max(axis=(1, 2, 3) if scaling == "map" else None, keepdims=True)
    theme = get_theme(st.context.theme.type)
    grid = render_image_grid(
        0.5 + kernels / np.maximum(2 * largest, np.finfo(np.float32).tiny),
        columns=16,
        tile_size=42,
        gap=6,
        gap_color=theme.gap_color,
    )
    html.render_hint(f"Kernels {_format_channel_numbers(channels)} as red, green and blue; mid-gray is 0.")
    st.image(grid.png, width=grid.width, alt="All kernels as RGB tiles")


def _render_all_kernels(weights: ModuleWeights, order: ChannelOrder, scaling: Scaling) -> None:
    """Render a row per output channel and a column per input channel; transposed for few input channels."""
    outputs, inputs, height, _ = weights.kernels.shape
    channels = order_channels(weights.kernels, order)
    key = f"filters-{weights.name}"
    first = choose_page_start("rows", outputs, _MAX_ROWS, key=f"{key}-rows") if inputs > 1 else 0
    first_column = choose_page_start("columns", inputs, _MAX_COLUMNS, key=f"{key}-columns")
    if inputs == 1:
        columns, size = min(outputs, 8), 64
        html.render_hint(f"{outputs} kernels, one per output channel: {_format_channel_numbers(list(channels))}.")
        maps = weights.kernels[list(channels), 0]
    else:
        visible = list(channels[first : first + _MAX_ROWS])
        part = weights.kernels[visible, first_column : first_column + _MAX_COLUMNS]
        output_text = f"output channels {_format_channel_numbers(visible)}"
        input_text = f"input channels {first_column + 1} to {first_column + part.shape[1]} of {inputs}"
        if inputs < _MIN_COLUMNS:
            part, row_text, column_text = part.swapaxes(0, 1), input_text, output_text
        else:
            row_text, column_text = output_text, input_text
        columns = part.shape[1]
        size = max(height, min(7 * height, 900 // columns - 2))
        html.render_hint(f"Rows: {row_text}. Columns: {column_text}.")
        maps = part.reshape(-1, *part.shape[2:])
    _render_kernels(maps, columns, size, scaling, gap=2 if inputs > 1 else 6)
    norms = np.linalg.norm(weights.kernels.reshape(outputs, -1), axis=1)
    html.render_key_value_table(
        [
            ("Largest norm", f"channel {int(norms.argmax()) + 1}: {norms.max():.3g}"),
            ("Smallest norm", f"channel {int(norms.argmin()) + 1}: {norms.min():.3g}"),
            *_make_bias_rows(weights),
        ]
    )


def _format_channel_numbers(indices: list[int]) -> str:
    if indices == list(range(indices[0], indices[0] + len(indices))):
        return f"{indices[0] + 1} to {indices[-1] + 1}"
    return ", ".join(str(index + 1) for index in indices)


def _render_one_channel(weights: ModuleWeights, scaling: Scaling) -> None:
    outputs, inputs = weights.kernels.shape[:2]
    if not weights.is_spatial:
        html.render_hint(f"Rows: {outputs} output values. Columns: {inputs} inputs.")
        maps, columns, size = weights.kernels.reshape(1, outputs, inputs), 1, 640
    else:
        channel = _choose_output_channel(outputs, weights.name)
        maps, columns, size = weights.kernels[channel], min(inputs, 8), 64
        meaning = (
            "one per input channel" if weights.kind == "convolution" else "its weights, reshaped to the input maps"
        )
        html.render_hint(f"Output {channel + 1} of {outputs}: {inputs} kernels, {meaning}.")
    _render_kernels(maps, columns, size, scaling, gap=6)
    html.render_key_value_table(
        [
            ("Minimum, maximum", f"{float(maps.min()):.4g}, {float(maps.max()):.4g}"),
            ("Mean", f"{float(maps.mean()):.4g}"),
            *_make_bias_rows(weights),
        ]
    )


def _make_bias_rows(weights: ModuleWeights) -> list[tuple[str, str]]:
    if weights.bias is None:
        return []
    return [("Biases", f"{float(weights.bias.min()):.4g} to {float(weights.bias.max()):.4g}")]


def _choose_output_channel(outputs: int, name: str) -> int:
    number = choose_number(
        "Output channel",
        1,
        name=f"inside-output-{outputs}-{name}",
        minimum=1,
        maximum=outputs,
        width=160,
        help="Each output channel has one kernel per input channel.",
    )
    return number - 1


def _render_kernels(maps: Array, columns: int, size: int, scaling: Scaling, *, gap: int) -> None:
    theme = get_theme(st.context.theme.type)
    grid = render_feature_maps(
        maps,
        palette=theme.diverging_palette,
        columns=columns,
        tile_size=size if len(maps) > 1 else max(size, 64),
        gap=gap,
        scaling=scaling,
        gap_color=theme.gap_color,
    )
    alt = f"Weights from {float(maps.min()):.3g} to {float(maps.max()):.3g}"
    st.image(grid.png, width=grid.width, alt=alt)
    if scaling == "layer":
        html.render_legend(theme.diverging_palette, grid.min_value, grid.max_value)


def _render_weight_change(run: Run, model: Model, layer_index: int, weights: ModuleWeights) -> None:
    """Render a channel's kernels in the first snapshot, in the selected one, and their difference."""
    first = min(run.list_snapshot_steps(), default=model.step)
    if first == model.step:
        html.render_message("This is the first snapshot, so nothing has changed yet. Select a later step.")
        return
    try:
        first_model = apply_edits(load_model(run, first), get_app_state().inspect.edits.get(run.id, ()))
        first_weights = {one.name: one for one in get_layer_weights(first_model, layer_index)}[weights.name]
    except PlaygroundError as error:
        html.render_error(error)
        return
    changes = compute_relative_change(weights.kernels, first_weights.kernels)
    html.render_hint(
        f"Change of each channel's weights from step {first:,} to step {model.step:,}, relative to their norm: "
        f"{changes.min():.0%} to {changes.max():.0%}, median {np.median(changes):.0%}; "
        f"largest in channel {int(changes.argmax()) + 1}."
    )
    channel = _choose_output_channel(len(changes), weights.name)
    before, after = first_weights.kernels[channel], weights.kernels[channel]
    if not weights.is_spatial:
        before, after = (array.reshape(1, 1, -1) for array in (before, after))
    visible = slice(0, _MAX_ROWS)
    html.render_hint(
        f"Channel {channel + 1} changed by {changes[channel]:.0%}. Rows: step {first:,}, step {model.step:,}, "
        f"difference. Columns: input channels{'' if len(after) <= _MAX_ROWS else f', the first {_MAX_ROWS}'}."
    )
    rows = np.concatenate([before[visible], after[visible], (after - before)[visible]])
    columns = len(rows) // 3
    _render_kernels(rows, columns, max(4 * after.shape[-2], min(64, 900 // columns)), "layer", gap=4)
