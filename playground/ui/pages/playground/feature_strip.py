"""The image's way through the net: one column a layer with its maps, redrawn after every stroke and snapshot."""

import math
from functools import lru_cache
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
from playground.interpret.activations.activations import LayerActivations, compute_activations, compute_statistics
from playground.interpret.evaluation.predict import Prediction, predict
from playground.interpret.model import Model
from playground.ui import html as markup
from playground.ui.components.layer_strip import StripColumn, layer_strip
from playground.ui.model_input import InputSpec, ModelInput, describe_model
from playground.ui.state import AppState, get_app_state

_MAX_MAPS = 32
_COLUMN_SIZE = 148
_HIDDEN_KINDS = ("flatten", "dropout")


def render_feature_strip(
    state: AppState, model: Model | None, input_spec: InputSpec, model_input: ModelInput | None
) -> None:
    """One column a layer with its maps for the subject; a click opens the layer in Look inside."""
    other = model is not None and model.architecture.digest != state.editor.architecture.digest
    whose = f"{describe_model(state.training.find_run(), model)}; the network above is not trained yet" if other else ""
    markup.render_title(
        f"The {input_spec.dataset.sample_noun}'s way through the net", note=whose or "click a layer to look inside it"
    )
    if model is None or model_input is None:
        return
    with st.container(key="network-strip"):
        image, names = model_input.image, input_spec.dataset.class_names
        columns = _build_columns(model, names, image.tobytes(), image.shape, get_theme(st.context.theme.type))
        clicked = layer_strip(columns, key="strip")
    if clicked:
        state = get_app_state()
        state.inspect.layer_id = clicked
        state.inspect.run_id = model.run_id
        st.switch_page(st.session_state["pages"]["inside"])


@lru_cache(maxsize=8)
def _build_columns(
    model: Model, class_names: tuple[str, ...], image_bytes: bytes, shape: tuple[int, ...], colors: Theme
) -> tuple[StripColumn, ...]:
    image = np.frombuffer(image_bytes, dtype=np.float32).reshape(shape)
    prediction = predict(model, [image])[0]
    columns = [StripColumn("input", "Input", format_shape(shape), render_image(image), 112, 112, "The input image")]
    for values in compute_activations(model, image):
        layer = model.architecture.layers[values.layer_index]
        if layer.kind not in _HIDDEN_KINDS:
            columns.append(
                _build_output_column(layer, prediction, class_names)
                if layer.kind == "output"
                else _build_column(layer, values, colors)
            )
    return tuple(columns)


def _build_output_column(layer: Any, prediction: Prediction, class_names: tuple[str, ...]) -> StripColumn:
    name, sure = class_names[prediction.top_class], f"{prediction.probabilities[prediction.top_class]:.0%} sure"
    return StripColumn(layer.id, "Output", sure, None, 96, 112, f"The guess: {name}", name)


def _build_column(layer: Any, values: LayerActivations, colors: Theme) -> StripColumn:
    maps = to_feature_maps(values.output)
    shown = maps[:_MAX_MAPS]
    side = math.ceil(len(shown) ** 0.5)
    grid = render_feature_maps(
        shown,
        palette=select_palette(values.output, colors.diverging_palette),
        columns=side,
        tile_size=_COLUMN_SIZE // side,
        gap=0 if len(shown) == 1 else 2,
        gap_color=colors.gap_color,
    )
    figures = compute_statistics(values.output)
    size = "×".join(map(str, values.output.shape))
    first = layer.format_arguments().split(" · ")[0] if layer.kind in ("conv2d", "linear") else ""
    scale = _COLUMN_SIZE / max(grid.width, grid.height)
    more = f", {_MAX_MAPS} shown" if len(maps) > _MAX_MAPS else ""
    rest = f" · +{len(maps) - _MAX_MAPS}" if len(maps) > _MAX_MAPS else ""
    return StripColumn(
        layer.id,
        f"{layer.title} {first}".strip(),
        f"{size} · {figures.zero_fraction:.0%} zero{rest}",
        grid.png,
        round(grid.width * scale),
        round(grid.height * scale),
        describe_feature_maps(layer.title, values.output.shape, figures.minimum, figures.maximum, figures.zero_fraction)
        + more,
    )
