"""The Draw panel and the digit's way through the net: one fragment, redrawn after every stroke and snapshot."""

import random
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import streamlit as st
from numpy.typing import NDArray
from streamlit.delta_generator import DeltaGenerator

from playground.charts.images import alternative_text, as_maps, map_grid, single_image, suitable_palette
from playground.charts.theme import Theme, theme
from playground.engine.data import load_test
from playground.engine.store import Run
from playground.errors import PlaygroundError
from playground.lens.activations import LayerValues, layer_values, statistics
from playground.lens.drawing import Drawing, net_input
from playground.lens.model import Model, load_model
from playground.lens.predict import Prediction, predict
from playground.spec.datasets import find_dataset
from playground.ui import markup
from playground.ui.canvas import canvas
from playground.ui.components.strip import StripColumn, network_strip
from playground.ui.server import pretrained, supervisor
from playground.ui.state import CANVAS_SIZE, PEN_WIDTH, AppState, app_state

Array = NDArray[np.float32]
FOLLOW_S = 1.0
EXAMPLE_INDEX = 32
_STRIP_MAPS = 16
_STRIP_SIZE = 148
_UNSEEN = ("flatten", "dropout")


@dataclass(frozen=True)
class Subject:
    """What is looked at: an image of the data's shape, values 0 to 1, and where it comes from."""

    image: Array
    origin: str


def draw_panel(state: AppState, strip: DeltaGenerator) -> None:
    """The canvas and its prediction here, the strip in another container of the page."""
    run = state.run
    follows = run is not None and supervisor().is_active(run.id)
    st.fragment(_panel, run_every=FOLLOW_S if follows else None)(strip)


def _panel(strip: DeltaGenerator) -> None:
    state = app_state()
    model, problem = subject_model(state.run)
    markup.title("Draw", note=model_name(state.run, model))
    _canvas(state)
    try:
        subject = drawn_subject(state)
    except PlaygroundError as error:
        subject, problem = None, problem or error
    _prediction(state, model, subject)
    if problem:
        markup.problem(problem)
    with strip:
        _strip(model, subject)


def subject_model(run: Run | None) -> tuple[Model | None, PlaygroundError | None]:
    """The attached run's newest network, or the pretrained one while there is none; and what kept it from loading."""
    try:
        if run is not None and run.snapshots():
            return load_model(run), None
        return load_model(pretrained()), None
    except PlaygroundError as problem:
        return None, problem


def model_name(run: Run | None, model: Model | None) -> str:
    """Which network answers, in words."""
    if model is None:
        return ""
    if run is None or model.run_id != run.id:
        return "pretrained model"
    return f"{run.record.name}, {'untrained' if model.step == 0 else f'step {model.step:,}'}"


def drawn_subject(state: AppState) -> Subject:
    """The drawing as the net sees it; an example of the test images while the canvas is empty."""
    drawing = Drawing(state.strokes, CANVAS_SIZE, PEN_WIDTH, _under(state))
    if drawing.is_empty:
        return Subject(test_image(EXAMPLE_INDEX), f"test image {EXAMPLE_INDEX}, as an example")
    return Subject(net_input(drawing, centred=state.centred), "your drawing")


def test_image(index: int) -> Array:
    """A test image of MNIST, (1, 28, 28), values 0 to 1."""
    return load_test("mnist").images[index].numpy().astype(np.float32) / np.float32(255)


def _under(state: AppState) -> Array | None:
    return None if state.test_index is None else test_image(state.test_index)[0]


def _canvas(state: AppState) -> None:
    with st.container(horizontal=True, gap="small", key="draw-top"):
        background = None if state.test_index is None else single_image(test_image(state.test_index)[0], size=28)
        got = canvas(
            size=CANVAS_SIZE,
            pen_width=PEN_WIDTH,
            strokes=state.strokes,
            revision=state.canvas_revision,
            background=background,
        )
        if got is not None:
            state.strokes = got
        with st.container(gap="small", width=112, key="seen"):
            try:
                seen = drawn_subject(state)
                st.image(single_image(seen.image[0]), width=104)
                markup.hint("What the net sees (28×28)")
            except PlaygroundError as problem:
                markup.problem(problem)
            st.session_state["canvas-centred"] = state.centred
            st.toggle(
                "centred",
                key="canvas-centred",
                on_change=_set_centred,
                help="Fit and centre the drawing as MNIST's digits were. Switch it off to see why that matters.",
            )
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
    app_state().replace_drawing((), random.randrange(len(load_test("mnist"))))


def _prediction(state: AppState, model: Model | None, subject: Subject | None) -> None:
    with st.container(key="prediction", gap="small"):
        if model is None or subject is None:
            return
        prediction = predict(model, [subject.image])[0]
        remark = prediction.words
        if not state.strokes and state.test_index is None:
            remark = f"{remark}. This is {subject.origin}: draw a digit above."
        elif state.test_index is not None and not state.strokes:
            label = int(load_test("mnist").labels[state.test_index])
            remark = f"{remark}. Test image {state.test_index:,}, labelled {label}."
        st.html(f'<div class="pg-guess"><b>{prediction.first}</b><span>{remark}</span></div>')
        markup.bars(prediction.probabilities, find_dataset("mnist").class_names, prediction.first)


# The way through the net


def _strip(model: Model | None, subject: Subject | None) -> None:
    markup.title("The digit's way through the net", note="click a layer to look inside it")
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


@lru_cache(maxsize=64)
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
