"""A layer's weights: all kernels at once, one output channel, and how far they have moved since the start."""

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
from playground.ui import html as markup
from playground.ui.forms import choose_one, choose_page_start
from playground.ui.state import get_app_state

Array = NDArray[np.float32]

_MAX_ROWS, _MAX_COLUMNS = 32, 64
_COLOR_CHANNELS = 3
_MIN_COLUMNS = 8
_ORDER_LABELS: dict[ChannelOrder, str] = {
    "number": "by number",
    "norm": "strongest first",
    "alike": "alike ones together",
}
_PARTS = ("All kernels", "One channel", "Change since the start")


def render_weights_view(run: Run, model: Model, layer_index: int) -> None:
    """Everything about the weights of a layer, or that it has none."""
    found = get_layer_weights(model, layer_index)
    normalizations = get_normalization_parameters(model, layer_index)
    for normalization in normalizations:
        _render_normalization(normalization)
    if normalizations and not found:
        return
    if not found:
        title = model.architecture.layers[layer_index].title
        markup.render_message(f"{title} has no weights of its own to show. Convolutions and linear layers have.")
        return
    part, order, scaling = _choose_display()
    for weights in found:
        if weights.name:
            markup.render_title(weights.name)
        if part == _PARTS[2]:
            _render_weight_change(run, model, layer_index, weights)
        elif part == _PARTS[1] or not weights.is_spatial:
            _render_one_channel(weights, scaling)
        else:
            if _has_color_input(model, layer_index, weights):
                _render_color_kernels(weights, order, scaling)
            _render_all_kernels(weights, order, scaling)


def _render_normalization(normalization: NormalizationParameters) -> None:
    """A table of a normalization's parameters, one row per channel."""
    values = normalization.values
    if normalization.name:
        markup.render_title(normalization.name)
    measured = "running mean" if "running mean" in values else "mean of its group"
    markup.render_hint(f"Each channel less its {measured}, over the root of the variance, times scale, plus shift.")
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
            help="Alike: each beside the one whose weights point most the same way.",
        )
        scale = choose_one("Colour scale", ("one scale", "a scale for each kernel"), key="filters-scale")
    return part, order, "layer" if scale == "one scale" else "map"


def _has_color_input(model: Model, layer_index: int, weights: ModuleWeights) -> bool:
    """Whether what the kernels look at is a colour image itself, or one that was only made smaller."""
    below = (step.layer for step in model.architecture.resolve_layers() if step.index < layer_index)
    colours = model.architecture.input.channels == weights.kernels.shape[1] == _COLOR_CHANNELS
    return colours and not any(layer.has_weights for layer in below)


def _render_color_kernels(weights: ModuleWeights, order: ChannelOrder, scaling: Scaling) -> None:
    """One tile a kernel, as the image's own colours."""
    every = order_channels(weights.kernels, order)
    kernels = weights.kernels[list(every)]
    largest = np.abs(kernels).max(axis=(1, 2, 3) if scaling == "map" else None, keepdims=True)
    colours = get_theme(st.context.theme.type)
    grid = render_image_grid(
        0.5 + kernels / np.maximum(2 * largest, np.finfo(np.float32).tiny),
        columns=16,
        tile_size=42,
        gap=6,
        gap_color=colours.gap_color,
    )
    markup.render_hint(f"Kernels {_format_channel_numbers(list(every))} as red, green and blue; mid-grey is 0.")
    st.image(grid.png, width=grid.width, alt="Every kernel in the image's colours")


def _render_all_kernels(weights: ModuleWeights, order: ChannelOrder, scaling: Scaling) -> None:
    """One row an output channel, one column a channel below; the other way round where those are few."""
    outputs, inputs, height, _ = weights.kernels.shape
    every = order_channels(weights.kernels, order)
    key = f"filters-{weights.name}"
    first = choose_page_start("rows", outputs, _MAX_ROWS, key=f"{key}-rows") if inputs > 1 else 0
    from_column = choose_page_start("columns", inputs, _MAX_COLUMNS, key=f"{key}-columns")
    if inputs == 1:
        shown, columns, size = list(every), min(outputs, 8), 64
        markup.render_hint(f"{outputs} kernels, one an output channel: {_format_channel_numbers(shown)}.")
        maps = weights.kernels[shown, 0]
    else:
        shown = list(every[first : first + _MAX_ROWS])
        part = weights.kernels[shown, from_column : from_column + _MAX_COLUMNS]
        outside = f"output channels {_format_channel_numbers(shown)}"
        inside = f"the channels below, {from_column + 1} to {from_column + part.shape[1]} of {inputs}"
        if inputs < _MIN_COLUMNS:
            part, rows, along = part.swapaxes(0, 1), inside, outside
        else:
            rows, along = outside, inside
        columns = part.shape[1]
        size = max(height, min(7 * height, 900 // columns - 2))
        markup.render_hint(f"Rows: {rows}. Columns: {along}.")
        maps = part.reshape(-1, *part.shape[2:])
    _render_kernels(maps, columns, size, scaling, gap=2 if inputs > 1 else 6)
    norms = np.linalg.norm(weights.kernels.reshape(outputs, -1), axis=1)
    markup.render_key_value_table(
        [
            ("Strongest channel", f"{int(norms.argmax()) + 1}, length {norms.max():.3g}"),
            ("Weakest channel", f"{int(norms.argmin()) + 1}, length {norms.min():.3g}"),
            *_make_bias_rows(weights),
        ]
    )


def _format_channel_numbers(indices: list[int]) -> str:
    if indices == list(range(indices[0], indices[0] + len(indices))):
        return f"{indices[0] + 1} to {indices[-1] + 1}"
    return ", ".join(str(place + 1) for place in indices)


def _render_one_channel(weights: ModuleWeights, scaling: Scaling) -> None:
    outputs, inputs = weights.kernels.shape[:2]
    if not weights.is_spatial:
        markup.render_hint(f"{outputs} rows, one a value of the layer; {inputs} columns, one a value below.")
        maps, columns, size = weights.kernels.reshape(1, outputs, inputs), 1, 640
    else:
        chosen = _choose_output_channel(outputs, weights.name)
        maps, columns, size = weights.kernels[chosen], min(inputs, 8), 64
        what = "one an input channel" if weights.kind == "convolution" else "laid back onto the maps below"
        markup.render_hint(f"Output {chosen + 1} of {outputs}: its {inputs} kernels, {what}.")
    _render_kernels(maps, columns, size, scaling, gap=6)
    markup.render_key_value_table(
        [
            ("Smallest, largest", f"{float(maps.min()):.4g}, {float(maps.max()):.4g}"),
            ("Mean", f"{float(maps.mean()):.4g}"),
            *_make_bias_rows(weights),
        ]
    )


def _make_bias_rows(weights: ModuleWeights) -> list[tuple[str, str]]:
    if weights.bias is None:
        return []
    return [("Biases", f"{float(weights.bias.min()):.4g} to {float(weights.bias.max()):.4g}")]


def _choose_output_channel(outputs: int, name: str) -> int:
    number = st.number_input(
        "Output channel",
        1,
        outputs,
        1,
        key=f"inside-output-{outputs}-{name}",
        width=160,
        help="Every output channel has one kernel for each channel below.",
    )
    return int(number or 1) - 1


def _render_kernels(maps: Array, columns: int, size: int, scaling: Scaling, *, gap: int) -> None:
    colours = get_theme(st.context.theme.type)
    grid = render_feature_maps(
        maps,
        palette=colours.diverging_palette,
        columns=columns,
        tile_size=size if len(maps) > 1 else max(size, 64),
        gap=gap,
        scaling=scaling,
        gap_color=colours.gap_color,
    )
    alt = f"Weights from {float(maps.min()):.3g} to {float(maps.max()):.3g}"
    st.image(grid.png, width=grid.width, alt=alt)
    if scaling == "layer":
        markup.render_legend(colours.diverging_palette, grid.min_value, grid.max_value)


def _render_weight_change(run: Run, model: Model, layer_index: int, weights: ModuleWeights) -> None:
    """One channel's kernels at the start, now, and what was added in between."""
    first = min(run.list_snapshot_steps(), default=model.step)
    if first == model.step:
        markup.render_message("This is the first moment there is: nothing has changed yet. Choose a later one.")
        return
    try:
        then_model = apply_edits(load_model(run, first), get_app_state().inspect.edits.get(run.id, ()))
        before = {found.name: found for found in get_layer_weights(then_model, layer_index)}[weights.name]
    except PlaygroundError as problem:
        markup.render_error(problem)
        return
    moved = compute_relative_change(weights.kernels, before.kernels)
    most = int(moved.argmax())
    markup.render_hint(
        f"From step {first:,} to step {model.step:,} the channels' weights moved by {moved.min():.0%} to "
        f"{moved.max():.0%} of their length, {np.median(moved):.0%} in the middle; channel {most + 1} the most."
    )
    chosen = _choose_output_channel(len(moved), weights.name)
    then, now = before.kernels[chosen], weights.kernels[chosen]
    if not weights.is_spatial:
        then, now = (array.reshape(1, 1, -1) for array in (then, now))
    shown = slice(0, _MAX_ROWS)
    markup.render_hint(
        f"Channel {chosen + 1} moved by {moved[chosen]:.0%}. Rows: at step {first:,}, at step {model.step:,}, the "
        f"difference; columns: the channels below{'' if len(now) <= _MAX_ROWS else f', the first {_MAX_ROWS}'}."
    )
    rows = np.concatenate([then[shown], now[shown], (now - then)[shown]])
    columns = len(rows) // 3
    _render_kernels(rows, columns, max(4 * now.shape[-2], min(64, 900 // columns)), "layer", gap=4)
