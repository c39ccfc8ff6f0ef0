"""A film of a layer: what it makes of one input, from the first snapshot to the last."""

from collections.abc import Iterator

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from playground.charts.gif import encode_gif
from playground.charts.images import compute_value_range, render_feature_maps, select_palette, to_feature_maps
from playground.charts.theme import get_theme
from playground.engine.runs.run import Run
from playground.errors import PlaygroundError
from playground.interpret.activations.activations import compute_activations
from playground.interpret.editing import Edit, apply_edits
from playground.interpret.model import load_model
from playground.ui import html as markup
from playground.ui.model_input import ModelInput
from playground.ui.progress import show_stop_button
from playground.ui.state import get_app_state, get_run_history

Array = NDArray[np.float32]
_MAX_MAPS = 32
_FILM_WIDTH = 420


def render_layer_film(run: Run, model_input: ModelInput, layer_index: int, title: str) -> None:
    """Make it, show it, and offer it as a file; nothing for a run with a single moment."""
    steps = run.list_snapshot_steps()
    if len(steps) < 2:
        return
    markup.render_title(
        "A film of this layer", note=f"its {len(steps)} moments, with this input, on one scale of colours"
    )
    edits = get_app_state().inspect.edits.get(run.id, ())
    key = (run.id, steps[-1], layer_index, model_input.image.tobytes(), edits)
    if st.button("Make the film", key="film-start", icon=":material/movie:"):
        maps: dict[int, Array] = {}
        try:
            with show_stop_button("film-stop") as place:
                for step, values in _compute_frames(run, steps, edits, model_input.image, layer_index):
                    maps[step] = values
                    place.progress(len(maps) / len(steps), f"{len(maps)} of {len(steps)} moments")
        except PlaygroundError as problem:
            markup.render_error(problem)
            return
        st.session_state["film"] = (key, _encode_film(run, maps, title))
    kept = st.session_state.get("film")
    if kept and kept[0] == key:
        st.image(kept[1], width=_FILM_WIDTH, alt=f"{title} from step {steps[0]} to step {steps[-1]}")
        st.download_button("Save the film", kept[1], f"{title.lower()}-{run.id}.gif", "image/gif", key="film-save")


def _compute_frames(
    run: Run, steps: tuple[int, ...], edits: tuple[Edit, ...], image: Array, layer_index: int
) -> Iterator[tuple[int, Array]]:
    for step in steps:
        found = compute_activations(apply_edits(load_model(run, step), edits), image)
        values = next(values for values in found if values.layer_index == layer_index)
        yield step, to_feature_maps(values.output)[:_MAX_MAPS]


def _encode_film(run: Run, maps: dict[int, Array], title: str) -> bytes:
    every = np.stack(list(maps.values()))
    colours = get_theme(st.context.theme.type)
    palette, gap = select_palette(every, colours.diverging_palette), colours.gap_color
    ends = compute_value_range(every, palette)
    history = get_run_history(run)
    frames = []
    for step, values in maps.items():
        columns = min(len(values), 8)
        grid = render_feature_maps(
            values,
            palette=palette,
            columns=columns,
            tile_size=_FILM_WIDTH // columns,
            gap=3,
            gap_color=gap,
            value_limits=ends,
        )
        frames.append((grid.png, f"{title}, step {step:,}, epoch {history.epoch_at(step):.2f}"))
    return encode_gif(frames, background=gap)
