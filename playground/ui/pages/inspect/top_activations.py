"""Top activations of a channel in the test images, and activation maximization."""

from collections.abc import Generator, Sequence
from typing import get_args

import streamlit as st

from playground.charts.images import render_image
from playground.core.summary import LayerSummary
from playground.engine.data.batch import LabeledImages
from playground.engine.progress import Progress
from playground.engine.runs.run import Run
from playground.errors import PlaygroundError
from playground.interpret.editing import ChannelScale, Edit
from playground.interpret.evaluation.dataset_predictions import load_run_test_images
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
from playground.ui import html
from playground.ui.components.gallery import Tile, render_gallery
from playground.ui.controls import bind, render_number
from playground.ui.progress import rerun_fragment_or_page, run_with_progress, show_stop_button, take_turns
from playground.ui.state import AppState

_IMAGE_SIZE = 168
_SMALL_RECEPTIVE_FIELD = 8


def render_top_activations_view(
    state: AppState, run: Run, model: Model, row: LayerSummary, strongest_channel: int
) -> None:
    """Render the test images with the highest activation of a channel, and activation maximization."""
    channel = choose_channel(state, run, row, strongest_channel, key="excites-channel")
    data = load_run_test_images(run)
    top_activations = run_with_progress(find_top_activations(model, data, row.index))
    inactivity = _explain_inactivity(state.inspect.edits.get(run.id, ()), row.index, channel)
    _render_top_activations(state, top_activations, data, channel, row, run.get_dataset().class_names, inactivity)
    _render_maximization(model, row, channel, inactivity)


def _explain_inactivity(edits: tuple[Edit, ...], layer_index: int, channel: int) -> str:
    """Return the likely reason why a channel is 0 for every image."""
    for edit in edits:
        if isinstance(edit, ChannelScale) and (edit.layer_index, edit.channel, edit.factor) == (
            layer_index,
            channel,
            0,
        ):
            return "you switched it off"
    return "your edits may be the reason" if edits else "it may be dead"


def choose_channel(state: AppState, run: Run, row: LayerSummary, strongest_channel: int, *, key: str) -> int:
    """Render the choice of a channel, or of a class at the output layer; at first ``strongest_channel``."""
    channels = row.output_shape[0]
    channel = strongest_channel if state.inspect.channel is None else min(state.inspect.channel, channels - 1)
    names = run.get_dataset().class_names
    if row.layer_class.is_output and len(names) == channels:

        def store_class(index: int) -> None:
            state.inspect.channel = index

        st.selectbox(
            "Class",
            list(range(channels)),
            **bind(f"{key}-class", channel, store_class),
            format_func=lambda index: names[index],
            width=160,
        )
        return channel

    def store_choice(number: int) -> None:
        state.inspect.channel = number - 1

    render_number(
        f"Channel (1–{channels})",
        channel + 1,
        store_choice,
        name=key,
        minimum=1,
        maximum=channels,
        width=160,
        help="Output channel of this layer (filter in Keras).",
    )
    return channel


def _render_top_activations(
    state: AppState,
    top_activations: TopActivations,
    data: LabeledImages,
    channel: int,
    row: LayerSummary,
    class_names: Sequence[str],
    inactivity: str,
) -> None:
    best = top_activations.per_channel[channel]
    html.render_title(
        "Top activations",
        note=f"in {top_activations.image_count:,} test images; outlined: receptive field of the highest value. "
        "Click an image to inspect it.",
    )
    if not best or best[0].value == best[-1].value == 0:
        html.render_message(f"This channel is 0 for every test image: {inactivity}.", severity="warn")
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
        state.inspect.view = "Feature maps"
        rerun_fragment_or_page()


def _render_maximization(model: Model, row: LayerSummary, channel: int, inactivity: str) -> None:
    html.render_title("Activation maximization", note="gradient ascent on the image, from faint noise")
    is_output = row.layer_class.is_output
    objectives = [name for name in get_args(Objective) if (name == "class") == is_output]
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small", key="dream-controls"):
        # For a small receptive field the mean of the map gives a flat image; a single value shows the kernel.
        is_small_field = not is_output and max(row.receptive_field) < _SMALL_RECEPTIVE_FIELD
        objective = st.selectbox(
            "Objective",
            objectives,
            index=objectives.index("center") if is_small_field else 0,
            key=f"dream-objective-{is_output}-{is_small_field}",
            format_func=lambda name: OBJECTIVES[name][0],
            width=220,
            help="\n\n".join(f"**{OBJECTIVES[name][0]}**: {OBJECTIVES[name][1]}" for name in objectives),
        )
        steps = st.selectbox("Steps", [64, 128, 256, 512], index=1, key="dream-steps", width=100)
        parameterization: Parameterization = st.selectbox(
            "Parameterization",
            get_args(Parameterization),
            key="dream-parameterisation",
            format_func=str.capitalize,
            width=150,
            help="Fourier: frequencies, for smoother images. Pixel: every pixel independently.",
        )
        jitter = st.selectbox(
            "Jitter", [0, 1, 2, 4], index=2, key="dream-jitter", width=90, help="Random shift per step, in pixels."
        )
        is_started = st.button("Generate", key="dream-start", type="primary")
    key = (model, row.id, channel, objective)
    if is_started:
        settings = MaximizationSettings(steps=steps, parameterization=parameterization, jitter=jitter)
        st.session_state["dream"] = (
            key,
            _run_maximization(maximize_activation(model, row.index, channel, objective, settings)),
        )
    stored = st.session_state.get("dream")
    if stored and stored[0] == key and stored[1] is not None:
        _render_maximized_image(stored[1], inactivity)


def _run_maximization(
    steps: Generator[tuple[Progress, MaximizationResult], None, None],
) -> MaximizationResult | None:
    """Run the optimization and show its progress; a click on Stop ends the script and discards the result."""
    result: MaximizationResult | None = None
    try:
        with show_stop_button("dream-stop") as placeholder:
            for progress, result in take_turns(steps):
                with placeholder.container():
                    st.progress(progress.fraction, progress.stage)
                    st.image(render_image(result.image, size=_IMAGE_SIZE), width=_IMAGE_SIZE)
    except PlaygroundError as error:
        html.render_error(error)
    return result


def _render_maximized_image(result: MaximizationResult, inactivity: str) -> None:
    alt = f"Generated image, objective {result.score:.4g}"
    st.image(render_image(result.image, size=_IMAGE_SIZE), width=_IMAGE_SIZE, alt=alt)
    remark = f" The channel stays inactive: {inactivity}." if result.score <= 0 else ""
    html.render_hint(
        f"Objective: {result.initial_score:.4g} for the noise, {result.score:.4g} for this image after "
        f"{result.steps} steps.{remark}"
    )
