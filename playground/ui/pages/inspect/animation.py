"""Animation (GIF) of a layer's activations for one input, over all snapshots of a run."""

from collections.abc import Generator

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
from playground.ui import html
from playground.ui.model_input import ModelInput
from playground.ui.progress import show_stop_button, take_turns
from playground.ui.state import get_app_state, get_run_history

Array = NDArray[np.float32]
_MAX_MAPS = 32
_ANIMATION_WIDTH = 420


def render_animation(run: Run, model_input: ModelInput, layer_index: int, title: str, *, first_map: int = 0) -> None:
    """Create, show and download the animation; renders nothing for a run with a single snapshot.

    ``first_map``: index of the first of the maps to show, up to 32.
    """
    steps = run.list_snapshot_steps()
    if len(steps) < 2:
        return
    html.render_title(
        "Animation of this layer", note=f"all {len(steps)} snapshots with this input, on a shared color scale"
    )
    edits = get_app_state().inspect.edits.get(run.id, ())
    key = (run.id, steps[-1], layer_index, model_input.image.tobytes(), edits, first_map)
    if st.button("Create animation", key="animation-start", icon=":material/movie:"):
        maps: dict[int, Array] = {}
        try:
            with show_stop_button("animation-stop") as container:
                frames = _compute_frames(run, steps, edits, model_input.image, layer_index, first_map)
                for step, values in take_turns(frames):
                    maps[step] = values
                    container.progress(len(maps) / len(steps), f"{len(maps)} of {len(steps)} snapshots")
        except PlaygroundError as error:
            html.render_error(error)
            return
        st.session_state["animation"] = (key, _encode_animation(run, maps, title))
    animation = st.session_state.get("animation")
    if animation and animation[0] == key:
        st.image(animation[1], width=_ANIMATION_WIDTH, alt=f"{title} from step {steps[0]} to step {steps[-1]}")
        st.download_button(
            "Download animation", animation[1], f"{title.lower()}-{run.id}.gif", "image/gif", key="animation-save"
        )


def _compute_frames(
    run: Run, steps: tuple[int, ...], edits: tuple[Edit, ...], image: Array, layer_index: int, first_map: int
) -> Generator[tuple[int, Array], None, None]:
    for step in steps:
        activations = compute_activations(apply_edits(load_model(run, step), edits), image)
        layer_activations = next(one for one in activations if one.layer_index == layer_index)
        yield step, to_feature_maps(layer_activations.output)[first_map : first_map + _MAX_MAPS]


def _encode_animation(run: Run, maps: dict[int, Array], title: str) -> bytes:
    all_values = np.stack(list(maps.values()))
    theme = get_theme(st.context.theme.type)
    palette, gap_color = select_palette(all_values, theme.diverging_palette), theme.gap_color
    value_limits = compute_value_range(all_values, palette)
    history = get_run_history(run)
    frames = []
    for step, values in maps.items():
        columns = min(len(values), 8)
        grid = render_feature_maps(
            values,
            palette=palette,
            columns=columns,
            tile_size=_ANIMATION_WIDTH // columns,
            gap=3,
            gap_color=gap_color,
            value_limits=value_limits,
        )
        frames.append((grid.png, f"{title}, step {step:,}, epoch {history.epoch_at(step):.2f}"))
    return encode_gif(frames, background=gap_color)
