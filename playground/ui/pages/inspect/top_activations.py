"""What a channel reacts to most: test images with the part that excites it, and an image made for it."""

from collections.abc import Iterator, Sequence
from typing import get_args

import streamlit as st

from playground.charts.images import render_image
from playground.core.summary import LayerSummary
from playground.engine.data.batch import LabeledImages
from playground.engine.progress import Progress
from playground.engine.runs.run import Run
from playground.errors import PlaygroundError
from playground.interpret.evaluation.predictions import load_run_test_images
from playground.interpret.feature_viz.maximize import (
    OBJECTIVES,
    MaximizationResult,
    MaximizationSettings,
    Objective,
    Parameterization,
    maximize_activation,
)
from playground.interpret.feature_viz.top_activations import TopActivations, find_top_activations
from playground.interpret.model import Model
from playground.ui import html as markup
from playground.ui.components.gallery import Tile, render_gallery
from playground.ui.progress import rerun_fragment_or_page, run_with_progress, show_stop_button
from playground.ui.state import AppState

_IMAGE_SIZE = 168
_SMALL_RECEPTIVE_FIELD = 8


def render_top_activations_view(
    state: AppState, run: Run, model: Model, row: LayerSummary, strongest_channel: int
) -> None:
    """For a channel of a layer: its nine most exciting test images, and the image that maximises it."""
    channel = choose_channel(state, run, row, strongest_channel, key="excites-channel")
    data = load_run_test_images(run)
    found = _find_top_activations(model, data, row.index)
    _render_top_activations(state, found, data, channel, row, run.get_dataset().class_names)
    _render_maximization(model, row, channel)


def choose_channel(state: AppState, run: Run, row: LayerSummary, strongest_channel: int, *, key: str) -> int:
    """A number field for the channel that Look inside is about; the output's are its classes.

    Until one is chosen it is ``strongest_channel``, which the input excites most.
    """
    channels = row.output_shape[0]
    present = strongest_channel if state.inspect.channel is None else min(state.inspect.channel, channels - 1)
    names = run.get_dataset().class_names
    if row.layer_class.is_output and len(names) == channels:
        st.session_state[f"{key}-class"] = present

        def store_class() -> None:
            state.inspect.channel = st.session_state[f"{key}-class"]

        st.selectbox(
            "Class",
            list(range(channels)),
            key=f"{key}-class",
            format_func=lambda place: names[place],
            on_change=store_class,
            width=160,
        )
        return present
    st.session_state[key] = present + 1

    def store_choice() -> None:
        state.inspect.channel = min(channels, max(1, int(st.session_state[key] or 1))) - 1

    st.number_input(
        f"Channel, 1 to {channels}", step=1, key=key, on_change=store_choice, width=160, help="Of this layer's output."
    )
    return present


def _find_top_activations(model: Model, data: LabeledImages, layer_index: int) -> TopActivations:
    asked, kept = st.session_state.setdefault("exemplars", (model, {}))
    if asked is not model:
        asked, kept = st.session_state["exemplars"] = (model, {})
    if layer_index in kept:
        before: TopActivations = kept[layer_index]
        return before
    found = run_with_progress(find_top_activations(model, data, layer_index))
    kept[layer_index] = found
    return found


def _render_top_activations(
    state: AppState,
    top_activations: TopActivations,
    data: LabeledImages,
    channel: int,
    row: LayerSummary,
    class_names: Sequence[str],
) -> None:
    best = top_activations.per_channel[channel]
    markup.render_title(
        "The test images that excite it most",
        note=f"of {top_activations.image_count:,}; outlined: what the most excited value sees. Click one to look at it.",
    )
    if not best or best[0].value == best[-1].value == 0:
        markup.render_message(
            "No test image excites this channel: its value is 0 for all of them. It may be dead.", severity="warn"
        )
        return
    height, width = data.images.shape[2:]
    tiles = [
        Tile(
            name=str(one.index),
            png=render_image(data.get_image(one.index), size=84),
            caption=f"{one.value:.3g}\n{class_names[one.label]}",
            alt=f"Test image {one.index}, {class_names[one.label]}: {one.value:.3g}",
            box=one.box and (one.box[0] / height, one.box[1] / width, one.box[2] / height, one.box[3] / width),
        )
        for one in best
    ]
    clicked = render_gallery(tiles, key=f"exemplars-{row.id}", size=84)
    if clicked:
        state.inspect.open_test_image(int(clicked))
        state.inspect.view = "Maps"
        rerun_fragment_or_page()


# The image made for a channel


def _render_maximization(model: Model, row: LayerSummary, channel: int) -> None:
    markup.render_title("The image that maximises it", note="found by climbing the gradient from faint noise")
    is_output = row.layer_class.is_output
    objectives = [name for name in get_args(Objective) if (name == "class") == is_output]
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small", key="dream-controls"):
        # The mean of a first layer's map says little: white, black or edges. One value shows its kernel.
        sees_little = not is_output and max(row.receptive_field) < _SMALL_RECEPTIVE_FIELD
        objective = st.selectbox(
            "What is maximised",
            objectives,
            index=objectives.index("center") if sees_little else 0,
            key=f"dream-objective-{is_output}-{sees_little}",
            format_func=lambda name: OBJECTIVES[name][0],
            width=220,
            help="\n\n".join(f"**{OBJECTIVES[name][0]}**: {OBJECTIVES[name][1]}" for name in objectives),
        )
        steps = st.selectbox("Steps", [64, 128, 256, 512], index=1, key="dream-steps", width=100)
        painting: Parameterization = st.selectbox(
            "Painted in",
            get_args(Parameterization),
            key="dream-parameterisation",
            width=130,
            help="fourier: in waves, which gives smoother images. pixel: each pixel for itself.",
        )
        jitter = st.selectbox("Jitter", [0, 1, 2, 4], index=2, key="dream-jitter", width=90, help="Pixels of shaking.")
        begin = st.button("Find it", key="dream-start", type="primary")
    key = (model, row.id, channel, objective)
    if begin:
        settings = MaximizationSettings(steps=steps, parameterization=painting, jitter=jitter)
        st.session_state["dream"] = (
            key,
            _run_maximization(maximize_activation(model, row.index, channel, objective, settings)),
        )
    kept = st.session_state.get("dream")
    if kept and kept[0] == key and kept[1] is not None:
        _render_maximized_image(kept[1])


def _run_maximization(steps: Iterator[tuple[Progress, MaximizationResult]]) -> MaximizationResult | None:
    """Show how it comes about; Stop, like any other click, ends the script here and keeps nothing."""
    found: MaximizationResult | None = None
    try:
        with show_stop_button("dream-stop") as place:
            for progress, found in steps:
                with place.container():
                    st.progress(progress.fraction, progress.stage)
                    st.image(render_image(found.image, size=_IMAGE_SIZE), width=_IMAGE_SIZE)
    except PlaygroundError as problem:
        markup.render_error(problem)
    return found


def _render_maximized_image(result: MaximizationResult) -> None:
    alt = f"The image found: {result.score:.4g}"
    st.image(render_image(result.image, size=_IMAGE_SIZE), width=_IMAGE_SIZE, alt=alt)
    shut = " Even so the channel stays shut: it may be dead." if result.score <= 0 else ""
    markup.render_hint(
        f"From {result.initial_score:.4g} for the noise to {result.score:.4g} for this image, {result.steps} steps.{shut}"
    )
