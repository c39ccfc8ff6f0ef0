"""The image's way through the net: one column a layer with its maps, redrawn after every stroke and snapshot."""

import math
from functools import lru_cache
from typing import Any

import numpy as np
import streamlit as st

from playground.charts.images import alternative_text, as_maps, map_grid, single_image, suitable_palette
from playground.charts.theme import Theme, theme
from playground.core.shapes import shape_text
from playground.interpret.activations.activations import LayerValues, layer_values, statistics
from playground.interpret.evaluation.predict import Prediction, predict
from playground.interpret.model import Model
from playground.ui import html as markup
from playground.ui.components.layer_strip import StripColumn, layer_strip
from playground.ui.model_input import Sight, Subject, model_name
from playground.ui.state import AppState, app_state

_STRIP_MAPS = 32
_STRIP_SIZE = 148
_UNSEEN = ("flatten", "dropout")


def way_through(state: AppState, model: Model | None, sight: Sight, subject: Subject | None) -> None:
    """One column a layer with its maps for the subject; a click opens the layer in Look inside."""
    other = model is not None and model.architecture.digest != state.architecture.digest
    whose = f"{model_name(state.run, model)}; the network above is not trained yet" if other else ""
    markup.title(f"The {sight.dataset.noun}'s way through the net", note=whose or "click a layer to look inside it")
    if model is None or subject is None:
        return
    with st.container(key="network-strip"):
        image, names = subject.image, sight.dataset.class_names
        columns = _columns(model, names, image.tobytes(), image.shape, theme(st.context.theme.type))
        clicked = layer_strip(columns, key="strip")
    if clicked:
        state = app_state()
        state.inside_layer = clicked
        state.inside_run = model.run_id
        st.switch_page(st.session_state["pages"]["inside"])


@lru_cache(maxsize=8)
def _columns(
    model: Model, names: tuple[str, ...], content: bytes, shape: tuple[int, ...], colours: Theme
) -> tuple[StripColumn, ...]:
    image = np.frombuffer(content, dtype=np.float32).reshape(shape)
    prediction = predict(model, [image])[0]
    columns = [StripColumn("input", "Input", shape_text(shape), single_image(image), 112, 112, "The input image")]
    for values in layer_values(model, image):
        layer = model.architecture.layers[values.layer_index]
        if layer.kind not in _UNSEEN:
            columns.append(
                _output_column(layer, prediction, names) if layer.kind == "output" else _column(layer, values, colours)
            )
    return tuple(columns)


def _output_column(layer: Any, prediction: Prediction, names: tuple[str, ...]) -> StripColumn:
    name, sure = names[prediction.first], f"{prediction.probabilities[prediction.first]:.0%} sure"
    return StripColumn(layer.id, "Output", sure, None, 96, 112, f"The guess: {name}", name)


def _column(layer: Any, values: LayerValues, colours: Theme) -> StripColumn:
    maps = as_maps(values.after)
    shown = maps[:_STRIP_MAPS]
    side = math.ceil(len(shown) ** 0.5)
    grid = map_grid(
        shown,
        palette=suitable_palette(values.after, colours.diverging),
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
    rest = f" · +{len(maps) - _STRIP_MAPS}" if len(maps) > _STRIP_MAPS else ""
    return StripColumn(
        layer.id,
        f"{layer.title} {first}".strip(),
        f"{size} · {figures.zeros:.0%} zero{rest}",
        grid.png,
        round(grid.width * scale),
        round(grid.height * scale),
        alternative_text(layer.title, values.after.shape, figures.minimum, figures.maximum, figures.zeros) + more,
    )
