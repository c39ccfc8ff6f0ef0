"""The feature strip: the feature maps of every layer for the current model input."""

import math
from typing import Any

import numpy as np
import streamlit as st

from playground.charts.images import (
    describe_feature_maps,
    render_feature_maps,
    render_image,
    select_palette,
    to_feature_maps,
)
from playground.charts.theme import Theme, get_theme
from playground.core.shapes import format_shape
from playground.engine.cache import cached
from playground.interpret.activations.activations import LayerActivations, compute_statistics
from playground.interpret.evaluation.predict import Prediction
from playground.interpret.inference import infer
from playground.interpret.model import Model
from playground.ui import html
from playground.ui.components.layer_strip import StripColumn, layer_strip
from playground.ui.model_input import InputSpec, ModelInput, describe_model
from playground.ui.state import AppState, get_app_state

MAX_MAPS = 32
COLUMN_SIZE = 148
TILE_GAP = 2


def render_feature_strip(
    state: AppState, model: Model | None, input_spec: InputSpec, model_input: ModelInput | None
) -> None:
    """Render one column per layer with its feature maps; a click opens the layer on the Inspect page."""
    note = "Click a layer to inspect it"
    if model is not None and model.architecture.digest != state.editor.architecture.digest:
        note = f"{describe_model(state.training.find_run(), model)}; the network above is not trained yet"
    html.render_title("Feature maps, layer by layer", note=note)
    if model is None or model_input is None:
        return
    with st.container(key="network-strip"):
        image, class_names = model_input.image, input_spec.dataset.class_names
        columns = _build_columns(model, class_names, image.tobytes(), image.shape, get_theme(st.context.theme.type))
        clicked = layer_strip(columns, key="strip")
    if clicked:
        inspect = get_app_state().inspect
        inspect.layer_id, inspect.run_id, inspect.input_source = clicked, model.run_id, "Drawing"
        st.switch_page(st.session_state["pages"]["inside"])


@cached(max_bytes=32 * 2**20)
def _build_columns(
    model: Model, class_names: tuple[str, ...], image_bytes: bytes, shape: tuple[int, ...], colors: Theme
) -> tuple[StripColumn, ...]:
    image = np.frombuffer(image_bytes, dtype=np.float32).reshape(shape)
    inference = infer(model, image)
    columns = [StripColumn("input", "Input", format_shape(shape), render_image(image), 112, 112, "The input image")]
    for activations in inference.activations:
        layer = model.architecture.layers[activations.layer_index]
        if not layer.is_passthrough:
            columns.append(
                _build_output_column(layer, inference.prediction, class_names)
                if layer.is_output
                else _build_column(layer, activations, colors)
            )
    return tuple(columns)


def _build_output_column(layer: Any, prediction: Prediction, class_names: tuple[str, ...]) -> StripColumn:
    name, probability = class_names[prediction.top_class], prediction.probabilities[prediction.top_class]
    return StripColumn(layer.id, "Output", f"{probability:.0%}", None, 96, 112, f"Prediction: {name}", name)


def _build_column(layer: Any, activations: LayerActivations, colors: Theme) -> StripColumn:
    output = activations.output
    maps = to_feature_maps(output)
    visible_maps = maps[:MAX_MAPS]
    grid_columns = math.ceil(len(visible_maps) ** 0.5)
    grid = render_feature_maps(
        visible_maps,
        palette=select_palette(output, colors.diverging_palette),
        columns=grid_columns,
        tile_size=COLUMN_SIZE // grid_columns,
        gap=0 if len(visible_maps) == 1 else TILE_GAP,
        gap_color=colors.gap_color,
    )
    statistics = compute_statistics(output)
    argument = layer.format_arguments().split(" · ")[0] if layer.width_field else ""
    caption = f"{'×'.join(map(str, output.shape))} · {statistics.zero_fraction:.0%} zeros"
    alt = describe_feature_maps(
        layer.title, output.shape, statistics.minimum, statistics.maximum, statistics.zero_fraction
    )
    if len(maps) > MAX_MAPS:
        caption += f" · {MAX_MAPS} shown"
        alt += f", {MAX_MAPS} shown"
    scale = COLUMN_SIZE / max(grid.width, grid.height)
    return StripColumn(
        layer.id,
        f"{layer.title} {argument}".strip(),
        caption,
        grid.png,
        round(grid.width * scale),
        round(grid.height * scale),
        alt,
    )
