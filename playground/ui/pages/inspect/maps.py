"""A layer's maps, and the arithmetic behind any of their values."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from playground.charts.images import Scaling, alternative_text, as_maps, map_grid, suitable_palette
from playground.charts.theme import theme
from playground.engine.runs.run import Run
from playground.interpret.activations.activations import LayerValues, layer_values, statistics
from playground.interpret.activations.arithmetic import class_steps
from playground.interpret.activations.breakdown import look_at_channel
from playground.interpret.model import Model
from playground.ui import html as markup
from playground.ui.components.arithmetic_view import MapGrid, arithmetic_view
from playground.ui.forms import first_of_part, one_of
from playground.ui.model_input import Subject
from playground.ui.pages.inspect.film import film_of_layer
from playground.ui.progress import redraw
from playground.ui.state import AppState

Array = NDArray[np.float32]
SHOWN_AT_ONCE = 32


class _Look(NamedTuple):
    """How the maps are shown."""

    before: bool
    scaling: Scaling


def maps_view(state: AppState, run: Run, model: Model, subject: Subject, index: int) -> None:
    """The maps of a layer; a click on a value puts its arithmetic under the microscope."""
    every = layer_values(model, subject.image)
    place = next(place for place, found in enumerate(every) if found.layer_index == index)
    values = every[place]
    layer = model.architecture.layers[index]
    look = _choose_look(values)
    shown = values.before if look.before and values.before is not None else values.after
    number = chosen_channel(state, values)
    channel = look_at_channel(model, subject.image, index, number)
    chosen = (layer.id, number)
    # Until a place is chosen, the one that the channel finds most exciting.
    best = np.unravel_index(int(np.argmax(channel.after)), channel.after.shape)
    place_shown = state.inside_place[2:] if state.inside_place and state.inside_place[:2] == chosen else best
    below = model.architecture.layers[every[place - 1].layer_index].title if place else "input"
    name = _name(run, layer.kind, values.after.ndim, number)
    picture = _picture(number, layer.title, shown, look.scaling)
    with st.container(key="microscope"):
        clicked = arithmetic_view(
            channel,
            picture,
            subject.image.mean(axis=0),
            place=(int(place_shown[0]), int(place_shown[1])),
            titles={"output": f"{layer.title}, {name}{', before' if look.before else ''}", "below": below},
            before=look.before,
            around_zero=theme(st.context.theme.type).diverging,
            key=f"microscope-{model.run_id}-{index}",
        )
    markup.legend(picture.palette, picture.grid.low, picture.grid.high)
    if clicked and clicked.channel < len(shown) and (layer.id, *clicked) != state.inside_place:
        is_other = clicked.channel != number
        state.inside_channel, state.inside_place = clicked.channel, (layer.id, *clicked)
        if is_other:  # else the browser shows it already
            redraw()
    if layer.kind == "output":
        _softmax(values, run.dataset().class_names)
    _figures(shown)
    film_of_layer(run, subject, index, layer.title)


def chosen_channel(state: AppState, values: LayerValues) -> int:
    """The channel that Look inside is about; until one is chosen, the one that this input excites most."""
    if state.inside_channel is None:
        return int(np.nan_to_num(values.after).reshape(len(values.after), -1).max(axis=1).argmax())
    return min(state.inside_channel, len(values.after) - 1)


def _name(run: Run, kind: str, dimensions: int, number: int) -> str:
    names = run.dataset().class_names
    if kind == "output" and number < len(names):
        return f"class {names[number]}"
    return f"channel {number + 1}" if dimensions == 3 else f"value {number + 1}"


def _choose_look(values: LayerValues) -> _Look:
    with st.container(horizontal=True, vertical_alignment="center", gap="medium"):
        moments = ("after activation", "before activation")
        before = values.before is not None and one_of("Values", moments, key="inside-before") == moments[1]
        scale = one_of(
            "Colour scale",
            ("one scale", "a scale for each map"),
            key="inside-scale",
            help="One scale: maps can be compared. A scale for each: faint ones show too.",
        )
    return _Look(before, "layer" if scale == "one scale" else "map")


def _picture(channel: int, title: str, shown: Array, scaling: Scaling) -> MapGrid:
    is_map = shown.ndim == 3
    first = first_of_part("maps", len(shown), SHOWN_AT_ONCE, key="inside-maps", default=channel) if is_map else 0
    maps = as_maps(shown)[first : first + SHOWN_AT_ONCE]
    colours = theme(st.context.theme.type)
    palette = suitable_palette(shown, colours.diverging)
    grid = map_grid(
        maps,
        palette=palette,
        columns=min(len(maps), 8),
        tile_size=320 if len(maps) == 1 else 96 if len(maps) > 8 else 110,
        gap=6,
        scaling=scaling,
        gap_colour=colours.gap,
    )
    figures = statistics(shown)
    many = f"Maps {first + 1} to {first + len(maps)} of {len(shown)}" if is_map else f"All {len(shown)} values"
    return MapGrid(
        grid,
        maps if is_map else shown,
        first,
        alternative_text(title, shown.shape, figures.minimum, figures.maximum, figures.zeros),
        f"{many}. Click any value to see where it comes from.",
        palette,
        scaling == "layer",
    )


def _softmax(values: LayerValues, names: Sequence[str]) -> None:
    """From each class's score to its probability, step by step."""
    steps = class_steps(values.after)
    total = sum(step.exponential for step in steps)
    markup.title("From scores to probabilities", note="softmax: e to the power of each score, over the sum of all")
    markup.columns_table(
        ("class", "score", "e^(score − largest)", f"÷ {total:.4f}"),
        [
            (name, f"{step.score:+.4f}", f"{step.exponential:.4f}", f"{step.probability:.2%}")
            for name, step in zip(names, steps, strict=True)
        ],
    )


def _figures(shown: Array) -> None:
    figures = statistics(shown)
    noun = "maps" if shown.ndim == 3 else "values"
    markup.table(
        [
            ("Smallest, largest", f"{figures.minimum:.4g}, {figures.maximum:.4g}"),
            ("Mean", f"{figures.mean:.4g}"),
            ("Exactly zero", f"{figures.zeros:.1%} of the values"),
            ("Silent for this input", f"{figures.silent} of {len(shown)} {noun}"),
        ]
    )
