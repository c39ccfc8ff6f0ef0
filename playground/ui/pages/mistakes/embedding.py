"""A map of the test images as a layer sees them: like ones lie close; the drawing is a star on it."""

import math
import threading

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from playground.charts.images import render_image_grid
from playground.charts.theme import CLASS_COLORS
from playground.core.shapes import Shape
from playground.core.summary import summarize
from playground.engine.runs.run import Run
from playground.errors import PlaygroundError
from playground.interpret.evaluation.predictions import load_evaluation_images, load_run_test_images, predict_dataset
from playground.interpret.model import Model
from playground.interpret.projection.embedding import (
    PcaProjection,
    compute_tsne,
    extract_image_layer_features,
    extract_layer_features,
    project_by_neighbors,
)
from playground.ui import html as markup
from playground.ui.components.scatter_plot import scatter_plot
from playground.ui.forms import choose_one
from playground.ui.model_input import build_canvas_input, get_input_spec
from playground.ui.panels.input_picker import open_inspect_page
from playground.ui.progress import run_with_progress
from playground.ui.state import AppState

Array = NDArray[np.float32]
_SAMPLE_SIZE = 1000
_TSNE_LOCK = threading.Lock()  # each takes a process and a core


def render_embedding_view(state: AppState, run: Run, model: Model) -> None:
    """The map of a layer's values, by PCA at once or by t-SNE after a while."""
    layer_id, method, by = _choose_projection(model)
    data = load_run_test_images(run, _SAMPLE_SIZE)
    index = model.architecture.find_layer_index(layer_id)
    try:
        rows, pca = _compute_features_and_pca(model, index, run)
        drawn = extract_image_layer_features(model, build_canvas_input(state, get_input_spec(run)).image, index)
        if method == "PCA":
            points, star = pca.points, pca.transform(drawn)[0]
            first, second = pca.explained_variance_ratio
            words = f"The two axes hold {first:.0%} and {second:.0%} of all differences."
        else:
            points = _compute_tsne(model, index, rows)
            star = project_by_neighbors(rows, points, drawn)[0]
            words = "Neighbours are kept; distances between far groups mean little."
    except PlaygroundError as problem:
        markup.render_error(problem)
        return
    evaluation = run_with_progress(predict_dataset(model, data))
    wrong = ~evaluation.is_correct
    names = list(run.get_dataset().class_names)
    captions = [
        f"{names[label]} → {names[guess]}" if bad else names[label]
        for label, guess, bad in zip(evaluation.labels, evaluation.predicted_labels, wrong, strict=True)
    ]
    columns = math.ceil(math.sqrt(len(data)))
    clicked = scatter_plot(
        points,
        evaluation.labels if by == "class" else wrong.astype(np.intp),
        captions,
        _render_sprite(run.record.recipe.dataset, run.record.architecture.input.shape, columns),
        group_names=names if by == "class" else ["right", "wrong"],
        colors=_get_class_colors(len(names)) if by == "class" else ("#8aa39d", "#d9480f"),
        tile_size=(data.images.shape[3], data.images.shape[2]),
        columns=columns,
        highlight=(float(star[0]), float(star[1])) if np.isfinite(star).all() else None,
        key="embedding",
    )
    markup.render_hint(
        f"{len(data):,} test images by what layer {index + 1} makes of them. {words} "
        "The star is your drawing (or the example). Hover to see an image, click to open it."
    )
    if clicked is not None:
        open_inspect_page(state, run, data, clicked)


def _get_class_colors(count: int) -> list[str]:
    """Ten can be told apart; of more classes several share one, and the caption tells."""
    return [CLASS_COLORS[place % len(CLASS_COLORS)] for place in range(count)]


def _choose_projection(model: Model) -> tuple[str, str, str]:
    rows = {row.id: row for row in summarize(model.architecture).layers if row.enabled}
    last_hidden = list(rows)[-2] if len(rows) > 1 else next(iter(rows))
    with st.container(horizontal=True, vertical_alignment="center", gap="medium"):
        layer_id = st.selectbox(
            "Layer",
            list(rows),
            index=list(rows).index(last_hidden),
            key=f"map-layer-{model.architecture.digest}",
            format_func=lambda name: f"{rows[name].index + 1} {rows[name].title} {rows[name].arguments_text}",
            label_visibility="collapsed",
            width=260,
        )
        method = choose_one(
            "Method",
            ("PCA", "t-SNE"),
            key="map-method",
            help_text="PCA: the two directions in which the values differ most. t-SNE: neighbours, after some seconds.",
        )
        by = choose_one("Colour", ("class", "error"), key="map-colour", format_label=lambda name: f"by {name}")
    return layer_id, method, by


def _compute_features_and_pca(model: Model, layer_index: int, run: Run) -> tuple[Array, PcaProjection]:
    kept = st.session_state.get("map-features")
    if kept and kept[0] is model and kept[1] == layer_index:
        return kept[2], kept[3]
    rows = extract_layer_features(model, load_run_test_images(run, _SAMPLE_SIZE).images, layer_index)
    pca = PcaProjection.fit(rows)
    st.session_state["map-features"] = (model, layer_index, rows, pca)
    return rows, pca


def _compute_tsne(model: Model, layer_index: int, features: Array) -> Array:
    kept = st.session_state.get("map-tsne")
    if kept and kept[0] is model and kept[1] == layer_index:
        found: Array = kept[2]
        return found
    with _TSNE_LOCK:
        found = run_with_progress(compute_tsne(features))
    st.session_state["map-tsne"] = (model, layer_index, found)
    return found


@st.cache_resource(show_spinner=False, max_entries=2)
def _render_sprite(dataset: str, shape: Shape, columns: int) -> bytes:
    data = load_evaluation_images(dataset, _SAMPLE_SIZE, shape)
    images = np.stack([data.get_image(place) for place in range(len(data))])
    return render_image_grid(images, columns=columns, tile_size=1).png
