"""Attribution view: saliency methods side by side, and a counterfactual image."""

from collections.abc import Sequence

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from playground.charts.images import render_feature_maps, render_image
from playground.charts.theme import get_theme
from playground.core.summary import LayerSummary
from playground.engine.cache import ByteBoundedCache
from playground.engine.progress import Progress, Steps
from playground.errors import PlaygroundError
from playground.interpret.attribution.counterfactual import Counterfactual, find_counterfactual
from playground.interpret.attribution.methods import ATTRIBUTION_METHODS
from playground.interpret.attribution.pixel_attribution import Attribution, attribute, list_cam_layers
from playground.interpret.inference import infer
from playground.interpret.model import Model
from playground.ui import html
from playground.ui.model_input import ModelInput
from playground.ui.progress import run_with_progress, show_stop_button, take_turns

Array = NDArray[np.float32]
_IMAGE_SIZE = 168
_MAX_PILLS = 12


def render_attribution_view(
    model: Model, model_input: ModelInput, row: LayerSummary, class_names: Sequence[str]
) -> None:
    """Render the attribution of a class's logit to the pixels, by every method, and the counterfactual."""
    prediction = infer(model, model_input.image).prediction
    if model_input.label not in (None, prediction.top_class):
        html.render_message(
            f"Why {class_names[prediction.top_class]}, not {class_names[model_input.label]}? Compare both classes.",
            severity="warn",
        )
    target = _choose_class(class_names, prediction.top_class)
    layers = list_cam_layers(model)
    layer_index = row.index if row.index in layers else (layers[-1] if layers else None)
    with st.container(horizontal=True, gap="medium", key="why"):
        for method, info in ATTRIBUTION_METHODS.items():
            if not info.needs_layer or layer_index is not None:
                _render_attribution(model, model_input, target, method, info.title, info.description, layer_index)
    if layer_index is None:
        html.render_hint("Grad-CAM needs a convolution; this network has none.")
    _render_counterfactual(model, model_input, prediction.top_class, target, class_names)


def _choose_class(class_names: Sequence[str], predicted_class: int) -> int:
    classes = len(class_names)
    if classes > _MAX_PILLS:
        return int(
            st.selectbox(
                "Attribution for class",
                range(classes),
                index=predicted_class,
                key=f"why-class-{classes}-{predicted_class}",
                format_func=lambda index: class_names[index],
                width=260,
            )
        )
    # The key holds the prediction, so that an input of another class starts with its own.
    chosen = st.pills(
        "Attribution for class",
        list(range(classes)),
        key=f"why-class-{classes}-{predicted_class}",
        default=predicted_class,
        required=True,
        format_func=lambda index: class_names[index] + (" (predicted)" if index == predicted_class else ""),
    )
    return int(predicted_class if chosen is None else chosen)


def _render_attribution(
    model: Model,
    model_input: ModelInput,
    target: int,
    method: str,
    title: str,
    description: str,
    layer_index: int | None,
) -> None:
    with st.container(width=_IMAGE_SIZE + 8, gap="small"):
        layer = layer_index if ATTRIBUTION_METHODS[method].needs_layer else None
        layer_note = "" if layer is None else f" at layer {layer + 1}"
        html.render_title(title + layer_note)
        try:
            attribution = run_with_progress(_attribute_in_steps(model, model_input.image, target, method, layer))
        except PlaygroundError as error:
            html.render_error(error)
            return
        values = attribution.values
        is_signed = float(values.min()) < 0
        palette = get_theme(st.context.theme.type).diverging_palette if is_signed else "sequential"
        grid = render_feature_maps(values[None], palette=palette, tile_size=_IMAGE_SIZE, gap=0)
        st.image(grid.png, width=_IMAGE_SIZE, alt=f"{title}: from {values.min():.3g} to {values.max():.3g}")
        html.render_legend(palette, grid.min_value, grid.max_value)
        html.render_hint(description)


_AttributionKey = tuple[Model, bytes, tuple[int, ...], int, str, int | None]
_attributions: ByteBoundedCache[_AttributionKey, Attribution] = ByteBoundedCache(32 * 2**20)


def _attribute_in_steps(
    model: Model, image: Array, target: int, method: str, layer_index: int | None
) -> Steps[Attribution]:
    def compute() -> Steps[Attribution]:
        yield Progress(ATTRIBUTION_METHODS[method].title)
        return attribute(model, image, target, method, layer_index=layer_index)

    key = (model, image.tobytes(), image.shape, target, method, layer_index)
    return _attributions.get_or_compute_in_steps(key, compute)


def _render_counterfactual(
    model: Model, model_input: ModelInput, predicted_class: int, target: int, class_names: Sequence[str]
) -> None:
    html.render_title("Counterfactual", note="the smallest change of the image that flips the prediction")
    new_class = None if target == predicted_class else target
    new_class_name = "the second most likely class" if new_class is None else class_names[new_class]
    key = (model, model_input.image.tobytes(), new_class)
    if st.button(f"Find the smallest change to {new_class_name}", key="counterfactual-start"):
        st.session_state["counterfactual"] = (key, _search_counterfactual(model, model_input.image, new_class))
    stored = st.session_state.get("counterfactual")
    if stored and stored[0] == key and stored[1] is not None:
        _render_counterfactual_result(model_input.image, stored[1], class_names[stored[1].target])


def _search_counterfactual(model: Model, image: Array, target: int | None) -> Counterfactual | None:
    result: Counterfactual | None = None
    try:
        with show_stop_button("counterfactual-stop") as container:
            for progress, result in take_turns(find_counterfactual(model, image, target)):
                container.progress(
                    progress.fraction,
                    f"Flipped by a change of {result.distance:.2f}" if result.is_successful else "Not flipped yet",
                )
    except PlaygroundError as error:
        html.render_error(error)
    return result


def _render_counterfactual_result(image: Array, result: Counterfactual, class_name: str) -> None:
    palette = get_theme(st.context.theme.type).diverging_palette
    with st.container(horizontal=True, gap="medium"):
        for title, png in (
            ("Original", render_image(image, size=_IMAGE_SIZE)),
            (
                "Change",
                render_feature_maps(
                    result.difference.mean(axis=0, keepdims=True), palette=palette, tile_size=_IMAGE_SIZE, gap=0
                ).png,
            ),
            (f"Changed: {class_name}", render_image(result.image, size=_IMAGE_SIZE)),
        ):
            with st.container(width=_IMAGE_SIZE + 8, gap="small"):
                st.image(png, width=_IMAGE_SIZE, alt=title)
                html.render_hint(title)
    if result.is_successful:
        size = float(np.linalg.norm(image))
        html.render_message(
            f"A change of size {result.distance:.2f} flips the prediction to {class_name} ({result.probability:.0%}). "
            f"The image itself has size {size:.2f} (L2 norm). A small change means a fragile prediction."
        )
    else:
        html.render_message(f"No change flips the prediction to {class_name}; this one comes closest.", severity="warn")
