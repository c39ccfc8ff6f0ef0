"""Why the net answers as it does: five attributions side by side, and the smallest change that turns the answer."""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from playground.charts.images import render_feature_maps, render_image
from playground.charts.theme import get_theme
from playground.core.summary import LayerSummary
from playground.errors import PlaygroundError
from playground.interpret.attribution.counterfactual import Counterfactual, find_counterfactual
from playground.interpret.attribution.methods import METHODS
from playground.interpret.attribution.pixel_attribution import Attribution, attribute, list_cam_layers
from playground.interpret.inference import infer
from playground.interpret.model import Model
from playground.ui import html as markup
from playground.ui.model_input import ModelInput
from playground.ui.progress import show_stop_button

Array = NDArray[np.float32]
_IMAGE_SIZE = 168
_MAX_PILLS = 12


def render_attribution_view(
    model: Model, model_input: ModelInput, row: LayerSummary, class_names: Sequence[str]
) -> None:
    """For a class: what speaks for it, by every method, with what each of them does and does not show."""
    prediction = infer(model, model_input.image).prediction
    target = _choose_class(class_names, prediction.top_class)
    layers = list_cam_layers(model)
    layer_index = row.index if row.index in layers else (layers[-1] if layers else None)
    with st.container(horizontal=True, gap="medium", key="why"):
        for method, info in METHODS.items():
            if not info.needs_layer or layer_index is not None:
                _render_attribution(model, model_input, target, method, info.title, info.description, layer_index)
    if layer_index is None:
        markup.render_hint("Grad-CAM needs a convolution, and this net has none.")
    _render_counterfactual(model, model_input, prediction.top_class, target, class_names)


def _choose_class(class_names: Sequence[str], predicted_class: int) -> int:
    classes = len(class_names)
    if classes > _MAX_PILLS:
        return int(
            st.selectbox(
                "What speaks for",
                range(classes),
                index=predicted_class,
                key=f"why-class-{classes}-{predicted_class}",
                format_func=lambda place: class_names[place],
                width=260,
            )
        )
    # Another drawing has another guess, and begins with that.
    chosen = st.pills(
        "What speaks for",
        list(range(classes)),
        key=f"why-class-{classes}-{predicted_class}",
        default=predicted_class,
        required=True,
        format_func=lambda place: class_names[place] + (" (the guess)" if place == predicted_class else ""),
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
        layer = layer_index if METHODS[method].needs_layer else None
        where = "" if layer is None else f" at layer {layer + 1}"
        markup.render_title(title + where)
        try:
            found = _compute_attribution(
                model, model_input.image.tobytes(), model_input.image.shape, target, method, layer
            )
        except PlaygroundError as problem:
            markup.render_error(problem)
            return
        values = found.values
        signed = float(values.min()) < 0
        palette = get_theme(st.context.theme.type).diverging_palette if signed else "sequential"
        grid = render_feature_maps(values[None], palette=palette, tile_size=_IMAGE_SIZE, gap=0)
        st.image(grid.png, width=_IMAGE_SIZE, alt=f"{title}: from {values.min():.3g} to {values.max():.3g}")
        markup.render_legend(palette, grid.min_value, grid.max_value)
        markup.render_hint(description)


@lru_cache(maxsize=12)
def _compute_attribution(
    model: Model, image_bytes: bytes, shape: tuple[int, ...], target: int, method: str, layer_index: int | None
) -> Attribution:
    image = np.frombuffer(image_bytes, dtype=np.float32).reshape(shape)
    return attribute(model, image, target, method, layer_index=layer_index)


def _render_counterfactual(
    model: Model, model_input: ModelInput, predicted_class: int, target: int, class_names: Sequence[str]
) -> None:
    markup.render_title("The smallest change that turns the answer", note="how close the image is to another class")
    wanted = None if target == predicted_class else target
    whom = "the second guess" if wanted is None else class_names[wanted]
    key = (model, model_input.image.tobytes(), wanted)
    if st.button(f"Find the smallest change to {whom}", key="counterfactual-start"):
        st.session_state["counterfactual"] = (key, _search_counterfactual(model, model_input.image, wanted))
    kept = st.session_state.get("counterfactual")
    if kept and kept[0] == key and kept[1] is not None:
        _render_counterfactual_result(model_input.image, kept[1], class_names[kept[1].target])


def _search_counterfactual(model: Model, image: Array, target: int | None) -> Counterfactual | None:
    found: Counterfactual | None = None
    try:
        with show_stop_button("counterfactual-stop") as place:
            for progress, found in find_counterfactual(model, image, target):
                place.progress(
                    progress.fraction, f"changed by {found.distance:.2f}" if found.is_successful else "not turned yet"
                )
    except PlaygroundError as problem:
        markup.render_error(problem)
    return found


def _render_counterfactual_result(image: Array, result: Counterfactual, class_name: str) -> None:
    around_zero = get_theme(st.context.theme.type).diverging_palette
    with st.container(horizontal=True, gap="medium"):
        for title, png in (
            ("before", render_image(image, size=_IMAGE_SIZE)),
            (
                "the change",
                render_feature_maps(
                    result.difference.mean(axis=0, keepdims=True), palette=around_zero, tile_size=_IMAGE_SIZE, gap=0
                ).png,
            ),
            (f"now {class_name}", render_image(result.image, size=_IMAGE_SIZE)),
        ):
            with st.container(width=_IMAGE_SIZE + 8, gap="small"):
                st.image(png, width=_IMAGE_SIZE, alt=title)
                markup.render_hint(title)
    if result.is_successful:
        size = float(np.linalg.norm(image))
        markup.render_message(
            f"A change of length {result.distance:.2f} (the image itself has {size:.2f}) makes it {class_name} for "
            f"the net, {result.probability:.0%}. The smaller, the closer the net was to changing its mind."
        )
    else:
        markup.render_message(f"No change was found that makes it {class_name}; this is the closest.", severity="warn")
