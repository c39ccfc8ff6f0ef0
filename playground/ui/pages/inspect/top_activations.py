"""What a channel reacts to most: test images with the part that excites it, and an image made for it."""

from collections.abc import Iterator, Sequence
from typing import get_args

import streamlit as st

from playground.charts.images import single_image
from playground.core.summary import Row
from playground.engine.data.batch import Images
from playground.engine.runs.run import Run
from playground.errors import PlaygroundError
from playground.interpret.evaluation.predictions import images_of
from playground.interpret.feature_viz.maximize import (
    OBJECTIVES,
    Dream,
    DreamSettings,
    Objective,
    Parameterisation,
    dream,
)
from playground.interpret.feature_viz.top_activations import Exemplars, exemplars
from playground.interpret.model import Model
from playground.ui import html as markup
from playground.ui.components.gallery import Tile, gallery
from playground.ui.progress import redraw, shown_progress, stoppable
from playground.ui.state import AppState

_IMAGE = 168
_SMALL_FIELD = 8


def excites_view(state: AppState, run: Run, model: Model, row: Row, strongest: int) -> None:
    """For a channel of a layer: its nine most exciting test images, and the image that maximises it."""
    channel = choose_channel(state, run, row, strongest, key="excites-channel")
    data = images_of(run)
    found = _exemplars(model, data, row.index)
    _images(state, found, data, channel, row, run.dataset().class_names)
    _dreams(model, row, channel)


def choose_channel(state: AppState, run: Run, row: Row, strongest: int, *, key: str) -> int:
    """A number field for the channel that Look inside is about; the output's are its classes.

    Until one is chosen it is ``strongest``, which the input excites most.
    """
    channels = row.output_shape[0]
    present = strongest if state.inside_channel is None else min(state.inside_channel, channels - 1)
    names = run.dataset().class_names
    if row.kind == "output" and len(names) == channels:
        st.session_state[f"{key}-class"] = present

        def choose_class() -> None:
            state.inside_channel = st.session_state[f"{key}-class"]

        st.selectbox(
            "Class",
            list(range(channels)),
            key=f"{key}-class",
            format_func=lambda place: names[place],
            on_change=choose_class,
            width=160,
        )
        return present
    st.session_state[key] = present + 1

    def choose() -> None:
        state.inside_channel = min(channels, max(1, int(st.session_state[key] or 1))) - 1

    st.number_input(
        f"Channel, 1 to {channels}", step=1, key=key, on_change=choose, width=160, help="Of this layer's output."
    )
    return present


def _exemplars(model: Model, data: Images, index: int) -> Exemplars:
    asked, kept = st.session_state.setdefault("exemplars", (model, {}))
    if asked is not model:
        asked, kept = st.session_state["exemplars"] = (model, {})
    if index in kept:
        before: Exemplars = kept[index]
        return before
    found = shown_progress(exemplars(model, data, index), "Showing the test images to the layer …")
    kept[index] = found
    return found


def _images(state: AppState, found: Exemplars, data: Images, channel: int, row: Row, names: Sequence[str]) -> None:
    best = found.top[channel]
    markup.title(
        "The test images that excite it most",
        note=f"of {found.count:,}; outlined: what the most excited value sees. Click one to look at it.",
    )
    if not best or best[0].value == best[-1].value == 0:
        markup.line("No test image excites this channel: its value is 0 for all of them. It may be dead.", kind="warn")
        return
    height, width = data.images.shape[2:]
    tiles = [
        Tile(
            name=str(one.index),
            png=single_image(data.image(one.index), size=84),
            caption=f"{one.value:.3g}\n{names[one.label]}",
            alt=f"Test image {one.index}, {names[one.label]}: {one.value:.3g}",
            box=one.box and (one.box[0] / height, one.box[1] / width, one.box[2] / height, one.box[3] / width),
        )
        for one in best
    ]
    clicked = gallery(tiles, key=f"exemplars-{row.id}", size=84)
    if clicked:
        state.open_test_image(int(clicked))
        state.inside_view = "Maps"
        redraw()


# The image made for a channel


def _dreams(model: Model, row: Row, channel: int) -> None:
    markup.title("The image that maximises it", note="found by climbing the gradient from faint noise")
    is_output = row.kind == "output"
    objectives = [name for name in get_args(Objective) if (name == "class") == is_output]
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small", key="dream-controls"):
        # The mean of a first layer's map says little: white, black or edges. One value shows its kernel.
        sees_little = not is_output and max(row.receptive_field) < _SMALL_FIELD
        objective = st.selectbox(
            "What is maximised",
            objectives,
            index=objectives.index("centre") if sees_little else 0,
            key=f"dream-objective-{is_output}-{sees_little}",
            format_func=lambda name: OBJECTIVES[name][0],
            width=220,
            help="\n\n".join(f"**{OBJECTIVES[name][0]}**: {OBJECTIVES[name][1]}" for name in objectives),
        )
        steps = st.selectbox("Steps", [64, 128, 256, 512], index=1, key="dream-steps", width=100)
        painting: Parameterisation = st.selectbox(
            "Painted in",
            get_args(Parameterisation),
            key="dream-parameterisation",
            width=130,
            help="fourier: in waves, which gives smoother images. pixel: each pixel for itself.",
        )
        jitter = st.selectbox("Jitter", [0, 1, 2, 4], index=2, key="dream-jitter", width=90, help="Pixels of shaking.")
        begin = st.button("Find it", key="dream-start", type="primary")
    key = (model, row.id, channel, objective)
    if begin:
        settings = DreamSettings(steps=steps, parameterisation=painting, jitter=jitter)
        st.session_state["dream"] = (key, _climb(dream(model, row.index, channel, objective, settings)))
    kept = st.session_state.get("dream")
    if kept and kept[0] == key and kept[1] is not None:
        _dreamt(kept[1])


def _climb(steps: Iterator[Dream]) -> Dream | None:
    """Show how it comes about; Stop, like any other click, ends the script here and keeps nothing."""
    found: Dream | None = None
    try:
        with stoppable("dream-stop") as place:
            for found in steps:
                with place.container():
                    st.progress(found.step / found.steps, f"{found.score:.4g} after {found.step} steps")
                    st.image(single_image(found.image, size=_IMAGE), width=_IMAGE)
    except PlaygroundError as problem:
        markup.problem(problem)
    return found


def _dreamt(found: Dream) -> None:
    alt = f"The image found: {found.score:.4g}"
    st.image(single_image(found.image, size=_IMAGE), width=_IMAGE, alt=alt)
    shut = " Even so the channel stays shut: it may be dead." if found.score <= 0 else ""
    markup.hint(
        f"From {found.first_score:.4g} for the noise to {found.score:.4g} for this image, {found.steps} steps.{shut}"
    )
