"""A layer's weights: all kernels at once, one output channel, and how far they have moved since the start."""

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from playground.charts.images import Scaling, image_grid, map_grid
from playground.charts.theme import theme
from playground.engine.runs.run import Run
from playground.errors import PlaygroundError
from playground.interpret.activations.weights import (
    Order,
    Weights,
    layer_weights,
    norm_figures,
    ordered,
    relative_change,
)
from playground.interpret.editing import operated
from playground.interpret.model import Model, load_model
from playground.ui import html as markup
from playground.ui.forms import first_of_part, one_of
from playground.ui.state import app_state

Array = NDArray[np.float32]

_MOST_ROWS, _MOST_COLUMNS = 32, 64
_COLOURS = 3
_FEW_COLUMNS = 8
_ORDERS: dict[Order, str] = {"number": "by number", "norm": "strongest first", "alike": "alike ones together"}
_PARTS = ("All kernels", "One channel", "Change since the start")


def filters_view(run: Run, model: Model, index: int) -> None:
    """Everything about the weights of a layer, or that it has none."""
    norm = norm_figures(model, index)
    if norm:
        markup.hint("Each channel less its running mean, over the root of its variance, times scale, plus shift.")
        count = len(next(iter(norm.values())))
        st.dataframe(
            {"channel": list(range(1, count + 1)), **{name: values.tolist() for name, values in norm.items()}},
            hide_index=True,
            width=560,
        )
        return
    found = layer_weights(model, index)
    if not found:
        title = model.architecture.layers[index].title
        markup.line(f"{title} has no weights of its own to show. Convolutions and linear layers have.")
        return
    part, order, scaling = _choose()
    for weights in found:
        if weights.name:
            markup.title(weights.name)
        if part == _PARTS[2]:
            _change(run, model, index, weights)
        elif part == _PARTS[1] or not weights.on_maps:
            _one_channel(weights, scaling)
        else:
            if _sees_colours(model, index, weights):
                _in_colour(weights, order, scaling)
            _all_kernels(weights, order, scaling)


def _choose() -> tuple[str, Order, Scaling]:
    with st.container(horizontal=True, vertical_alignment="center", gap="medium"):
        part = one_of("Show", _PARTS, key="filters-part")
        order = st.selectbox(
            "Order",
            list(_ORDERS),
            key="filters-order",
            format_func=lambda name: _ORDERS[name],
            label_visibility="collapsed",
            width=190,
            persist_state="session",
            help="Alike: each beside the one whose weights point most the same way.",
        )
        scale = one_of("Colour scale", ("one scale", "a scale for each kernel"), key="filters-scale")
    return part, order, "layer" if scale == "one scale" else "map"


def _sees_colours(model: Model, index: int, weights: Weights) -> bool:
    """Whether what the kernels look at is a colour image itself, or one that was only made smaller."""
    below = (step.layer for step in model.architecture.steps() if step.index < index)
    colours = model.architecture.input.channels == weights.kernels.shape[1] == _COLOURS
    return colours and not any(layer.has_weights or layer.kind == "residual" for layer in below)


def _in_colour(weights: Weights, order: Order, scaling: Scaling) -> None:
    """One tile a kernel, as the image's own colours."""
    every = ordered(weights.kernels, order)
    kernels = weights.kernels[list(every)]
    largest = np.abs(kernels).max(axis=(1, 2, 3) if scaling == "map" else None, keepdims=True)
    colours = theme(st.context.theme.type)
    grid = image_grid(
        0.5 + kernels / np.maximum(2 * largest, np.finfo(np.float32).tiny),
        columns=16,
        tile_size=42,
        gap=6,
        gap_colour=colours.gap,
    )
    markup.hint(f"Kernels {_numbers(list(every))} as red, green and blue; mid-grey is 0.")
    st.image(grid.png, width=grid.width, alt="Every kernel in the image's colours")


def _all_kernels(weights: Weights, order: Order, scaling: Scaling) -> None:
    """One row an output channel, one column a channel below; the other way round where those are few."""
    outputs, inputs, height, _ = weights.kernels.shape
    every = ordered(weights.kernels, order)
    key = f"filters-{weights.name}"
    first = first_of_part("rows", outputs, _MOST_ROWS, key=f"{key}-rows") if inputs > 1 else 0
    from_column = first_of_part("columns", inputs, _MOST_COLUMNS, key=f"{key}-columns")
    if inputs == 1:
        shown, columns, size = list(every), min(outputs, 8), 64
        markup.hint(f"{outputs} kernels, one an output channel: {_numbers(shown)}.")
        maps = weights.kernels[shown, 0]
    else:
        shown = list(every[first : first + _MOST_ROWS])
        part = weights.kernels[shown, from_column : from_column + _MOST_COLUMNS]
        outside = f"output channels {_numbers(shown)}"
        inside = f"the channels below, {from_column + 1} to {from_column + part.shape[1]} of {inputs}"
        if inputs < _FEW_COLUMNS:
            part, rows, along = part.swapaxes(0, 1), inside, outside
        else:
            rows, along = outside, inside
        columns = part.shape[1]
        size = max(height, min(7 * height, 900 // columns - 2))
        markup.hint(f"Rows: {rows}. Columns: {along}.")
        maps = part.reshape(-1, *part.shape[2:])
    _picture(maps, columns, size, scaling, gap=2 if inputs > 1 else 6)
    norms = np.linalg.norm(weights.kernels.reshape(outputs, -1), axis=1)
    markup.table(
        [
            ("Strongest channel", f"{int(norms.argmax()) + 1}, length {norms.max():.3g}"),
            ("Weakest channel", f"{int(norms.argmin()) + 1}, length {norms.min():.3g}"),
            *_bias_row(weights),
        ]
    )


def _numbers(places: list[int]) -> str:
    if places == list(range(places[0], places[0] + len(places))):
        return f"{places[0] + 1} to {places[-1] + 1}"
    return ", ".join(str(place + 1) for place in places)


def _one_channel(weights: Weights, scaling: Scaling) -> None:
    outputs, inputs = weights.kernels.shape[:2]
    if not weights.on_maps:
        markup.hint(f"{outputs} rows, one a value of the layer; {inputs} columns, one a value below.")
        maps, columns, size = weights.kernels.reshape(1, outputs, inputs), 1, 640
    else:
        chosen = _choose_output(outputs, weights.name)
        maps, columns, size = weights.kernels[chosen], min(inputs, 8), 64
        what = "one an input channel" if weights.kind == "convolution" else "laid back onto the maps below"
        markup.hint(f"Output {chosen + 1} of {outputs}: its {inputs} kernels, {what}.")
    _picture(maps, columns, size, scaling, gap=6)
    markup.table(
        [
            ("Smallest, largest", f"{float(maps.min()):.4g}, {float(maps.max()):.4g}"),
            ("Mean", f"{float(maps.mean()):.4g}"),
            *_bias_row(weights),
        ]
    )


def _bias_row(weights: Weights) -> list[tuple[str, str]]:
    if weights.bias is None:
        return []
    return [("Biases", f"{float(weights.bias.min()):.4g} to {float(weights.bias.max()):.4g}")]


def _choose_output(outputs: int, name: str) -> int:
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


def _picture(maps: Array, columns: int, size: int, scaling: Scaling, *, gap: int) -> None:
    colours = theme(st.context.theme.type)
    grid = map_grid(
        maps,
        palette=colours.diverging,
        columns=columns,
        tile_size=size if len(maps) > 1 else max(size, 64),
        gap=gap,
        scaling=scaling,
        gap_colour=colours.gap,
    )
    alt = f"Weights from {float(maps.min()):.3g} to {float(maps.max()):.3g}"
    st.image(grid.png, width=grid.width, alt=alt)
    if scaling == "layer":
        markup.legend(colours.diverging, grid.low, grid.high)


def _change(run: Run, model: Model, index: int, weights: Weights) -> None:
    """One channel's kernels at the start, now, and what was added in between."""
    first = min(run.snapshots(), default=model.step)
    if first == model.step:
        markup.line("This is the first moment there is: nothing has changed yet. Choose a later one.")
        return
    try:
        then_model = operated(load_model(run, first), app_state().edits.get(run.id, ()))
        before = {found.name: found for found in layer_weights(then_model, index)}[weights.name]
    except PlaygroundError as problem:
        markup.problem(problem)
        return
    moved = relative_change(weights.kernels, before.kernels)
    most = int(moved.argmax())
    markup.hint(
        f"From step {first:,} to step {model.step:,} the channels' weights moved by {moved.min():.0%} to "
        f"{moved.max():.0%} of their length, {np.median(moved):.0%} in the middle; channel {most + 1} the most."
    )
    chosen = _choose_output(len(moved), weights.name)
    then, now = before.kernels[chosen], weights.kernels[chosen]
    if not weights.on_maps:
        then, now = (array.reshape(1, 1, -1) for array in (then, now))
    shown = slice(0, _MOST_ROWS)
    markup.hint(
        f"Channel {chosen + 1} moved by {moved[chosen]:.0%}. Rows: at step {first:,}, at step {model.step:,}, the "
        f"difference; columns: the channels below{'' if len(now) <= _MOST_ROWS else f', the first {_MOST_ROWS}'}."
    )
    rows = np.concatenate([then[shown], now[shown], (now - then)[shown]])
    columns = len(rows) // 3
    _picture(rows, columns, max(4 * now.shape[-2], min(64, 900 // columns)), "layer", gap=4)
