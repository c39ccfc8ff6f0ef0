"""Live drawing on the Playground page: which networks follow the pen, and why others do not."""

import logging
from contextlib import suppress

import streamlit as st

from playground.charts.theme import get_theme
from playground.core.summary import summarize
from playground.engine.cache import cached
from playground.engine.runs.record import PRETRAINED
from playground.errors import PlaygroundError
from playground.interpret.browser_network import encode_model
from playground.interpret.inference import infer
from playground.interpret.model import Model, load_model
from playground.ui import html
from playground.ui.canvas import get_canvas_identity
from playground.ui.components.live_drawing import LiveAnswer, LiveCanvas, LiveOverlay, MapLayout, live_drawing
from playground.ui.components.live_network import live_network
from playground.ui.model_input import (
    InputSpec,
    ModelInput,
    get_active_input_spec,
    load_active_model,
    load_canvas_background,
)
from playground.ui.pages.playground.feature_strip import COLUMN_SIZE, MAX_MAPS, TILE_GAP
from playground.ui.remark import PredictionRemark
from playground.ui.services import get_pretrained
from playground.ui.state import CANVAS_SIZE, AppState, get_app_state

MAX_MULTIPLY_ADDS = 50_000_000
"""Largest cost of a network that follows the pen: about 33 ms in the browser engine."""

MAX_PARAMETERS = 2_000_000
"""Largest network file that is sent at every snapshot: 8 MB."""

_log = logging.getLogger(__name__)


def render_live_network() -> None:
    """Load the newest weights of the page's network into the browser, which answers by them."""
    state = get_app_state()
    model, _ = load_active_model(state.training.find_run())
    if model is not None:
        with suppress(PlaygroundError):  # shown by render_live_drawing
            _check_can_follow(model, get_active_input_spec(state))
            live_network(_encode_cached(model), key="live-network-0")


def render_live_drawing(
    state: AppState,
    model: Model | None,
    input_spec: InputSpec,
    model_input: ModelInput | None,
    remark: PredictionRemark,
) -> None:
    """Let the page's networks follow the pen and the training in the browser; say so if the network cannot."""
    if model is None or model_input is None:
        return
    run = state.training.find_run()
    shown = [(model, "" if run is None or run.id != model.run_id else run.record.name)]
    with st.container(key="live-drawing", gap=None):
        try:
            _check_can_follow(model, input_spec)
            _encode_cached(model)
            if model.run_id != PRETRAINED and input_spec.is_mnist_like:
                pretrained = load_model(get_pretrained())
                shown.append((pretrained, ""))
                live_network(_encode_cached(pretrained), key="live-network-1")
        except PlaygroundError as error:
            html.render_hint(f"The prediction follows when the pen is lifted. {error}")
            return
        name, object_count = get_canvas_identity()
        drawing = state.drawing
        has_image = drawing.upload is not None or drawing.test_index is not None
        overlay = None
        if not input_spec.can_read_drawings:
            background = load_canvas_background(drawing, input_spec)
            shape = input_spec.shape if background is None else background.shape
            overlay = LiveOverlay(shape, background, drawing.ink.eraser_strokes)
        problem = live_drawing(
            LiveCanvas(
                name,
                CANVAS_SIZE,
                drawing.pen_width,
                object_count,
                drawing.ink.strokes,
                can_follow=not (drawing.is_erasing or (input_spec.can_read_drawings and has_image)),
            ),
            [
                LiveAnswer(network.run_id, run_name, network.step, infer(network, model_input.image).prediction)
                for network, run_name in shown
            ],
            preprocessing=drawing.preprocessing,
            overlay=overlay,
            model_input=model_input.image,
            class_names=input_spec.dataset.class_names,
            layer_ids=[layer.id for layer in model.architecture.layers],
            is_drawn=bool(drawing.ink.strokes),
            remark=remark,
            layout=MapLayout(MAX_MAPS, COLUMN_SIZE, TILE_GAP),
            theme=get_theme(st.context.theme.type),
            key="live-drawing-canvas",
        )
    if problem is not None:
        _log.error("Live drawing, run %s: %s", problem.run_id, problem.message)


def _check_can_follow(model: Model, input_spec: InputSpec) -> None:
    if input_spec.dataset.features is not None:
        raise PlaygroundError("The network reads features, which the server extracts.")
    summary = summarize(model.architecture)
    if summary.multiply_adds > MAX_MULTIPLY_ADDS:
        raise PlaygroundError(
            f"The network is too large to follow it: {summary.multiply_adds:,} multiply-adds, at most "
            f"{MAX_MULTIPLY_ADDS:,}."
        )
    if summary.parameters > MAX_PARAMETERS:
        raise PlaygroundError(
            f"The network is too large to follow it: {summary.parameters:,} parameters, at most {MAX_PARAMETERS:,}."
        )


@cached(max_bytes=32 * 2**20)
def _encode_cached(model: Model) -> bytes:
    return encode_model(model)
