"""A film of a layer: what it makes of one input, from the first snapshot to the last."""

from collections.abc import Iterator

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from playground.charts.gif import animated
from playground.charts.images import as_maps, map_grid, suitable_palette, value_range
from playground.charts.theme import theme
from playground.engine.runs.run import Run
from playground.errors import PlaygroundError
from playground.interpret.activations.activations import layer_values
from playground.interpret.editing import Edit, operated
from playground.interpret.model import load_model
from playground.ui import html as markup
from playground.ui.model_input import Subject
from playground.ui.progress import stoppable
from playground.ui.state import app_state, run_history

Array = NDArray[np.float32]
_MOST_MAPS = 32
_WIDTH = 420


def film_of_layer(run: Run, subject: Subject, index: int, title: str) -> None:
    """Make it, show it, and offer it as a file; nothing for a run with a single moment."""
    steps = run.snapshots()
    if len(steps) < 2:
        return
    markup.title("A film of this layer", note=f"its {len(steps)} moments, with this input, on one scale of colours")
    edits = app_state().edits.get(run.id, ())
    key = (run.id, steps[-1], index, subject.image.tobytes(), edits)
    if st.button("Make the film", key="film-start", icon=":material/movie:"):
        maps: dict[int, Array] = {}
        try:
            with stoppable("film-stop") as place:
                for step, values in _frames(run, steps, edits, subject.image, index):
                    maps[step] = values
                    place.progress(len(maps) / len(steps), f"{len(maps)} of {len(steps)} moments")
        except PlaygroundError as problem:
            markup.problem(problem)
            return
        st.session_state["film"] = (key, _film(run, maps, title))
    kept = st.session_state.get("film")
    if kept and kept[0] == key:
        st.image(kept[1], width=_WIDTH, alt=f"{title} from step {steps[0]} to step {steps[-1]}")
        st.download_button("Save the film", kept[1], f"{title.lower()}-{run.id}.gif", "image/gif", key="film-save")


def _frames(
    run: Run, steps: tuple[int, ...], edits: tuple[Edit, ...], image: Array, index: int
) -> Iterator[tuple[int, Array]]:
    for step in steps:
        found = layer_values(operated(load_model(run, step), edits), image)
        values = next(values for values in found if values.layer_index == index)
        yield step, as_maps(values.after)[:_MOST_MAPS]


def _film(run: Run, maps: dict[int, Array], title: str) -> bytes:
    every = np.stack(list(maps.values()))
    colours = theme(st.context.theme.type)
    palette, gap = suitable_palette(every, colours.diverging), colours.gap
    ends = value_range(every, palette)
    history = run_history(run)
    frames = []
    for step, values in maps.items():
        columns = min(len(values), 8)
        grid = map_grid(
            values, palette=palette, columns=columns, tile_size=_WIDTH // columns, gap=3, gap_colour=gap, ends=ends
        )
        frames.append((grid.png, f"{title}, step {step:,}, epoch {history.epoch_at(step):.2f}"))
    return animated(frames, background=gap)
