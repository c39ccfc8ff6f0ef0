"""Feature maps of a layer, and the arithmetic behind every value."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from playground.charts.images import (
    Scaling,
    describe_feature_maps,
    render_feature_maps,
    select_palette,
    to_feature_maps,
)
from playground.charts.theme import get_theme
from playground.engine.runs.run import Run
from playground.interpret.activations.activations import LayerActivations, compute_statistics
from playground.interpret.activations.arithmetic import compute_softmax_steps
from playground.interpret.activations.breakdown import explain_channel
from playground.interpret.inference import infer
from playground.interpret.model import Model
from playground.ui import html
from playground.ui.components.arithmetic_view import FeatureMapGrid, arithmetic_view
from playground.ui.forms import choose_one, choose_page_start
from playground.ui.model_input import ModelInput
from playground.ui.pages.inspect.animation import render_animation
from playground.ui.progress import rerun_fragment_or_page
from playground.ui.state import AppState

Array = NDArray[np.float32]
MAPS_PER_PAGE = 32


class _MapDisplay(NamedTuple):
    """Display settings of the feature maps."""

    is_pre_activation: bool
    scaling: Scaling


def render_maps_view(state: AppState, run: Run, model: Model, model_input: ModelInput, layer_index: int) -> None:
    """Render a layer's feature maps; a click on a value shows its arithmetic."""
    all_activations = infer(model, model_input.image).activations
    activations = next(one for one in all_activations if one.layer_index == layer_index)
    layer = model.architecture.layers[layer_index]
    display = _choose_display(activations)
    values = (
        activations.pre_activation
        if display.is_pre_activation and activations.pre_activation is not None
        else activations.output
    )
    channel = get_selected_channel(state, activations)
    explanation = explain_channel(model, model_input.image, layer_index, channel)
    # Without a selected position, the one with the highest activation.
    strongest_position = np.unravel_index(int(np.argmax(explanation.output)), explanation.output.shape)
    selected = state.inspect.position
    position = selected[2:] if selected and selected[:2] == (layer.id, channel) else strongest_position
    channel_name = _name_channel(run, layer.is_output, activations.output.ndim, channel)
    map_grid = _build_map_grid(channel, layer.title, values, display.scaling)
    with st.container(key="microscope"):
        clicked = arithmetic_view(
            explanation,
            map_grid,
            model_input.image,
            position=(int(position[0]), int(position[1])),
            title=f"{layer.title}, {channel_name}{', pre-activation' if display.is_pre_activation else ''}",
            is_pre_activation=display.is_pre_activation,
            diverging_palette=get_theme(st.context.theme.type).diverging_palette,
            key=f"microscope-{model.run_id}-{layer_index}",
        )
    html.render_legend(map_grid.palette, map_grid.grid.min_value, map_grid.grid.max_value)
    if clicked and clicked.channel < len(values) and (layer.id, *clicked) != state.inspect.position:
        is_other_channel = clicked.channel != channel
        state.inspect.channel, state.inspect.position = clicked.channel, (layer.id, *clicked)
        if is_other_channel:  # a position in the same channel is shown by the browser alone
            rerun_fragment_or_page()
    if layer.is_output:
        _render_softmax(activations, run.get_dataset().class_names)
    _render_statistics(values)
    render_animation(run, model_input, layer_index, layer.title, first_map=map_grid.first_index)


def get_selected_channel(state: AppState, activations: LayerActivations) -> int:
    """Return the selected channel; without a selection, the one with the highest activation."""
    if state.inspect.channel is None:
        return find_strongest_channel(activations)
    return min(state.inspect.channel, len(activations.output) - 1)


def find_strongest_channel(activations: LayerActivations) -> int:
    """Find the channel with the highest activation."""
    output = np.nan_to_num(activations.output)
    return int(output.reshape(len(output), -1).max(axis=1).argmax())


def _name_channel(run: Run, is_output: bool, ndim: int, channel: int) -> str:
    names = run.get_dataset().class_names
    if is_output and channel < len(names):
        return f"class {names[channel]}"
    return f"channel {channel + 1}" if ndim == 3 else f"value {channel + 1}"


def _choose_display(activations: LayerActivations) -> _MapDisplay:
    with st.container(horizontal=True, vertical_alignment="center", gap="medium"):
        options = ("Activation", "Pre-activation")
        is_pre_activation = (
            activations.pre_activation is not None
            and choose_one(
                "Values",
                options,
                key="inside-before",
                help_text="Pre-activation: the value before the activation function.",
            )
            == options[1]
        )
        scales = ("Shared scale", "Scale per map")
        scale = choose_one(
            "Color scale",
            scales,
            key="inside-scale",
            help_text="A shared scale makes maps comparable. A scale per map makes weak maps visible.",
        )
    return _MapDisplay(is_pre_activation, "layer" if scale == scales[0] else "map")


def _build_map_grid(channel: int, title: str, activations: Array, scaling: Scaling) -> FeatureMapGrid:
    is_spatial = activations.ndim == 3
    first = (
        choose_page_start("maps", len(activations), MAPS_PER_PAGE, key="inside-maps", default=channel)
        if is_spatial
        else 0
    )
    maps = to_feature_maps(activations)[first : first + MAPS_PER_PAGE]
    theme = get_theme(st.context.theme.type)
    palette = select_palette(activations, theme.diverging_palette)
    grid = render_feature_maps(
        maps,
        palette=palette,
        columns=min(len(maps), 8),
        tile_size=320 if len(maps) == 1 else 96 if len(maps) > 8 else 110,
        gap=6,
        scaling=scaling,
        gap_color=theme.gap_color,
    )
    statistics = compute_statistics(activations)
    description = (
        f"Maps {first + 1} to {first + len(maps)} of {len(activations)}"
        if is_spatial
        else f"All {len(activations)} values"
    )
    return FeatureMapGrid(
        grid,
        maps if is_spatial else activations,
        first,
        describe_feature_maps(
            title, activations.shape, statistics.minimum, statistics.maximum, statistics.zero_fraction
        ),
        f"{description}. Click a value to see its arithmetic.",
        palette,
        scaling == "layer",
    )


def _render_softmax(values: LayerActivations, class_names: Sequence[str]) -> None:
    """Render the softmax step by step, from logits to probabilities."""
    steps = compute_softmax_steps(values.output)
    total = sum(step.exponential for step in steps)
    html.render_title(
        "Softmax: from logits to probabilities",
        note="e to the power of each logit, divided by the sum over all classes",
    )
    html.render_data_table(
        ("class", "logit", "e^(logit − largest)", f"÷ {total:.4f}"),
        [
            (name, f"{step.logit:+.4f}", f"{step.exponential:.4f}", f"{step.probability:.2%}")
            for name, step in zip(class_names, steps, strict=True)
        ],
    )


def _render_statistics(activations: Array) -> None:
    statistics = compute_statistics(activations)
    noun = "maps" if activations.ndim == 3 else "values"
    html.render_key_value_table(
        [
            ("Minimum, maximum", f"{statistics.minimum:.4g}, {statistics.maximum:.4g}"),
            ("Mean", f"{statistics.mean:.4g}"),
            ("Exactly zero", f"{statistics.zero_fraction:.1%} of the values"),
            ("Inactive for this input", f"{statistics.dead_channels} of {len(activations)} {noun}"),
        ]
    )
