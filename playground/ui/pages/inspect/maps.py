"""A layer's maps, and the arithmetic behind any of their values."""

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
from playground.ui import html as markup
from playground.ui.components.arithmetic_view import FeatureMapGrid, arithmetic_view
from playground.ui.forms import choose_one, choose_page_start
from playground.ui.model_input import ModelInput
from playground.ui.pages.inspect.film import render_layer_film
from playground.ui.progress import rerun_fragment_or_page
from playground.ui.state import AppState

Array = NDArray[np.float32]
MAPS_PER_PAGE = 32


class _MapDisplay(NamedTuple):
    """How the maps are shown."""

    is_pre_activation: bool
    scaling: Scaling


def render_maps_view(state: AppState, run: Run, model: Model, model_input: ModelInput, layer_index: int) -> None:
    """The maps of a layer; a click on a value puts its arithmetic under the microscope."""
    every = infer(model, model_input.image).activations
    place = next(place for place, found in enumerate(every) if found.layer_index == layer_index)
    values = every[place]
    layer = model.architecture.layers[layer_index]
    look = _choose_display(values)
    shown = values.pre_activation if look.is_pre_activation and values.pre_activation is not None else values.output
    number = get_selected_channel(state, values)
    channel = explain_channel(model, model_input.image, layer_index, number)
    chosen = (layer.id, number)
    # Until a place is chosen, the one that the channel finds most exciting.
    best = np.unravel_index(int(np.argmax(channel.output)), channel.output.shape)
    place_shown = (
        state.inspect.position[2:] if state.inspect.position and state.inspect.position[:2] == chosen else best
    )
    below = model.architecture.layers[every[place - 1].layer_index].title if place else "input"
    name = _name_channel(run, layer.is_output, values.output.ndim, number)
    picture = _build_map_grid(number, layer.title, shown, look.scaling)
    with st.container(key="microscope"):
        clicked = arithmetic_view(
            channel,
            picture,
            model_input.image.mean(axis=0),
            position=(int(place_shown[0]), int(place_shown[1])),
            titles={"output": f"{layer.title}, {name}{', before' if look.is_pre_activation else ''}", "below": below},
            is_pre_activation=look.is_pre_activation,
            diverging_palette=get_theme(st.context.theme.type).diverging_palette,
            key=f"microscope-{model.run_id}-{layer_index}",
        )
    markup.render_legend(picture.palette, picture.grid.min_value, picture.grid.max_value)
    if clicked and clicked.channel < len(shown) and (layer.id, *clicked) != state.inspect.position:
        is_other = clicked.channel != number
        state.inspect.channel, state.inspect.position = clicked.channel, (layer.id, *clicked)
        if is_other:  # else the browser shows it already
            rerun_fragment_or_page()
    if layer.is_output:
        _render_softmax(values, run.get_dataset().class_names)
    _render_statistics(shown)
    render_layer_film(run, model_input, layer_index, layer.title)


def get_selected_channel(state: AppState, values: LayerActivations) -> int:
    """The channel that Look inside is about; until one is chosen, the one that this input excites most."""
    if state.inspect.channel is None:
        return find_strongest_channel(values)
    return min(state.inspect.channel, len(values.output) - 1)


def find_strongest_channel(values: LayerActivations) -> int:
    """Return the channel with the highest activation."""
    return int(np.nan_to_num(values.output).reshape(len(values.output), -1).max(axis=1).argmax())


def _name_channel(run: Run, is_output: bool, ndim: int, channel: int) -> str:
    names = run.get_dataset().class_names
    if is_output and channel < len(names):
        return f"class {names[channel]}"
    return f"channel {channel + 1}" if ndim == 3 else f"value {channel + 1}"


def _choose_display(values: LayerActivations) -> _MapDisplay:
    with st.container(horizontal=True, vertical_alignment="center", gap="medium"):
        moments = ("after activation", "before activation")
        before = values.pre_activation is not None and choose_one("Values", moments, key="inside-before") == moments[1]
        scale = choose_one(
            "Colour scale",
            ("one scale", "a scale for each map"),
            key="inside-scale",
            help_text="One scale: maps can be compared. A scale for each: faint ones show too.",
        )
    return _MapDisplay(before, "layer" if scale == "one scale" else "map")


def _build_map_grid(channel: int, title: str, activations: Array, scaling: Scaling) -> FeatureMapGrid:
    is_map = activations.ndim == 3
    first = (
        choose_page_start("maps", len(activations), MAPS_PER_PAGE, key="inside-maps", default=channel) if is_map else 0
    )
    maps = to_feature_maps(activations)[first : first + MAPS_PER_PAGE]
    colours = get_theme(st.context.theme.type)
    palette = select_palette(activations, colours.diverging_palette)
    grid = render_feature_maps(
        maps,
        palette=palette,
        columns=min(len(maps), 8),
        tile_size=320 if len(maps) == 1 else 96 if len(maps) > 8 else 110,
        gap=6,
        scaling=scaling,
        gap_color=colours.gap_color,
    )
    figures = compute_statistics(activations)
    many = (
        f"Maps {first + 1} to {first + len(maps)} of {len(activations)}" if is_map else f"All {len(activations)} values"
    )
    return FeatureMapGrid(
        grid,
        maps if is_map else activations,
        first,
        describe_feature_maps(title, activations.shape, figures.minimum, figures.maximum, figures.zero_fraction),
        f"{many}. Click any value to see where it comes from.",
        palette,
        scaling == "layer",
    )


def _render_softmax(values: LayerActivations, class_names: Sequence[str]) -> None:
    """From each class's score to its probability, step by step."""
    steps = compute_softmax_steps(values.output)
    total = sum(step.exponential for step in steps)
    markup.render_title(
        "From scores to probabilities", note="softmax: e to the power of each score, over the sum of all"
    )
    markup.render_data_table(
        ("class", "score", "e^(score − largest)", f"÷ {total:.4f}"),
        [
            (name, f"{step.logit:+.4f}", f"{step.exponential:.4f}", f"{step.probability:.2%}")
            for name, step in zip(class_names, steps, strict=True)
        ],
    )


def _render_statistics(activations: Array) -> None:
    figures = compute_statistics(activations)
    noun = "maps" if activations.ndim == 3 else "values"
    markup.render_key_value_table(
        [
            ("Smallest, largest", f"{figures.minimum:.4g}, {figures.maximum:.4g}"),
            ("Mean", f"{figures.mean:.4g}"),
            ("Exactly zero", f"{figures.zero_fraction:.1%} of the values"),
            ("Silent for this input", f"{figures.dead_channels} of {len(activations)} {noun}"),
        ]
    )
