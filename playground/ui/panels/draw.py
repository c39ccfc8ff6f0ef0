"""The Draw panel and the digit's way through the net: one fragment, redrawn after every stroke and snapshot."""

import random
from functools import lru_cache
from typing import Any

import numpy as np
import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from playground.charts.images import alternative_text, as_maps, map_grid, single_image, suitable_palette
from playground.charts.theme import Theme, theme
from playground.errors import PlaygroundError
from playground.lens.activations import LayerValues, layer_values, statistics
from playground.lens.model import Model
from playground.lens.predict import Prediction, predict
from playground.spec.datasets import find_dataset
from playground.ui import markup
from playground.ui.canvas import canvas
from playground.ui.components.strip import StripColumn, network_strip
from playground.ui.server import supervisor
from playground.ui.state import CANVAS_SIZE, PEN_WIDTH, AppState, app_state
from playground.ui.subject import Subject, drawn_subject, model_name, subject_model, test_subject

FOLLOW_S = 2.0
_STRIP_MAPS = 16
_STRIP_SIZE = 148
_UNSEEN = ("flatten", "dropout")


def draw_panel(state: AppState, strip: DeltaGenerator) -> None:
    """The canvas and its prediction here, the strip in another container of the page."""
    run = state.run
    follows = run is not None and (supervisor().is_active(run.id) or run.is_live())
    st.fragment(_panel, run_every=FOLLOW_S if follows else None)(strip)


def _panel(strip: DeltaGenerator) -> None:
    state = app_state()
    model, problem = subject_model(state.run)
    markup.title("Draw", note=model_name(state.run, model))
    with st.container(horizontal=True, gap="small", key="draw-top"):
        problem = _canvas(state) or problem
        subject: Subject | None = None
        try:
            subject = drawn_subject(state)
        except PlaygroundError as error:
            problem = problem or error
        _seen(state, subject)
    _buttons()
    _prediction(model, subject)
    if problem:
        markup.problem(problem)
    with strip:
        _strip(state, model, subject)


def _canvas(state: AppState) -> PlaygroundError | None:
    """Show the canvas and take what is drawn on it; the answer is what keeps a test image from being put there."""
    background, problem = None, None
    if state.test_index is not None:
        try:
            background = single_image(test_subject(state.test_index).image[0], size=28)
        except PlaygroundError as error:
            problem = error
    got = canvas(
        size=CANVAS_SIZE,
        pen_width=PEN_WIDTH,
        strokes=state.strokes,
        revision=state.canvas_revision,
        background=background,
    )
    if got is not None:
        state.strokes = got
    return problem


def _seen(state: AppState, subject: Subject | None) -> None:
    with st.container(gap="small", width=112, key="seen"):
        if subject is not None:
            st.image(single_image(subject.image[0]), width=104, alt="What the net sees")
            markup.hint("What the net sees (28×28)")
        st.session_state["canvas-centred"] = state.centred
        st.toggle(
            "centred",
            key="canvas-centred",
            on_change=_set_centred,
            help="Fit and centre the drawing as MNIST's digits were. Switch it off to see why that matters.",
        )


def _buttons() -> None:
    with st.container(horizontal=True, gap="small", key="draw-buttons"):
        st.button("Clear", key="canvas-clear", on_click=_clear, shortcut="Delete", help="Empty the canvas.")
        st.button("Undo", key="canvas-undo", on_click=_undo_stroke, help="Take the last stroke back.")
        st.button(
            "Random digit", key="canvas-random", on_click=_random_digit, help="Put one of the 10,000 test images here."
        )


def _set_centred() -> None:
    app_state().centred = bool(st.session_state["canvas-centred"])


def _clear() -> None:
    app_state().replace_drawing(())


def _undo_stroke() -> None:
    state = app_state()
    state.replace_drawing(state.latest_strokes()[:-1], state.test_index)


def _random_digit() -> None:
    app_state().replace_drawing((), random.randrange(find_dataset("mnist").test_size))


def _prediction(model: Model | None, subject: Subject | None) -> None:
    with st.container(key="prediction", gap="small"):
        if model is None or subject is None:
            return
        prediction = predict(model, [subject.image])[0]
        remark = prediction.words
        if subject.label is not None:
            remark += f". {subject.origin.capitalize()}, labelled {subject.label}."
        elif subject.origin == "an example":
            remark += ". This is an example: draw a digit above."
        st.html(f'<div class="pg-guess"><b>{prediction.first}</b><span>{remark}</span></div>')
        markup.bars(prediction.probabilities, find_dataset("mnist").class_names, prediction.first)


# The way through the net


def _strip(state: AppState, model: Model | None, subject: Subject | None) -> None:
    other = model is not None and model.architecture.digest != state.architecture.digest
    whose = f"{model_name(state.run, model)}; the network above is not trained yet" if other else ""
    markup.title("The digit's way through the net", note=whose or "click a layer to look inside it")
    if model is None or subject is None:
        return
    with st.container(key="network-strip"):
        columns = _columns(model, subject.image.tobytes(), subject.image.shape, theme(st.context.theme.type))
        clicked = network_strip(columns, key="strip")
    if clicked:
        state = app_state()
        state.inside_layer = clicked
        state.inside_run = model.run_id
        st.switch_page(st.session_state["pages"]["inside"])


@lru_cache(maxsize=8)
def _columns(model: Model, content: bytes, shape: tuple[int, ...], colours: Theme) -> tuple[StripColumn, ...]:
    image = np.frombuffer(content, dtype=np.float32).reshape(shape)
    prediction = predict(model, [image])[0]
    columns = [
        StripColumn(
            "input", "Input", "×".join(map(str, shape[1:])), single_image(image[0]), 112, 112, "The input image"
        )
    ]
    for values in layer_values(model, image):
        layer = model.architecture.layers[values.layer_index]
        if layer.kind not in _UNSEEN:
            columns.append(
                _output_column(layer, prediction) if layer.kind == "output" else _column(layer, values, colours)
            )
    return tuple(columns)


def _output_column(layer: Any, prediction: Prediction) -> StripColumn:
    sure = f"{prediction.probabilities[prediction.first]:.0%} sure"
    return StripColumn(layer.id, "Output", sure, None, 96, 112, f"The guess: {prediction.first}", str(prediction.first))


def _column(layer: Any, values: LayerValues, colours: Theme) -> StripColumn:
    maps = as_maps(values.after)
    shown = maps[:_STRIP_MAPS]
    side = 4 if len(shown) > 9 else max(1, round(len(shown) ** 0.5 + 0.49))
    grid = map_grid(
        shown,
        palette=suitable_palette(values.after),
        columns=side,
        tile_size=_STRIP_SIZE // side,
        gap=0 if len(shown) == 1 else 2,
        gap_colour=colours.gap,
    )
    figures = statistics(values.after)
    size = "×".join(map(str, values.after.shape))
    first = layer.detail().split(" · ")[0] if layer.kind in ("conv2d", "linear") else ""
    scale = _STRIP_SIZE / max(grid.width, grid.height)
    more = f", {_STRIP_MAPS} shown" if len(maps) > _STRIP_MAPS else ""
    return StripColumn(
        layer.id,
        f"{layer.title} {first}".strip(),
        f"{size} · {figures.zeros:.0%} zero",
        grid.png,
        round(grid.width * scale),
        round(grid.height * scale),
        alternative_text(layer.title, values.after.shape, figures.minimum, figures.maximum, figures.zeros) + more,
    )
