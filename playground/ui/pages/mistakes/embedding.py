"""Embedding view: 2-D projection (PCA, t-SNE) of a layer's activations for the test images and the drawing."""

import math

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from playground.charts.images import render_image_grid
from playground.charts.theme import CLASS_COLORS
from playground.core.shapes import Shape
from playground.core.summary import summarize
from playground.engine.runs.run import Run
from playground.errors import PlaygroundError
from playground.interpret.evaluation.dataset_predictions import (
    load_evaluation_images,
    load_run_test_images,
    predict_dataset,
)
from playground.interpret.model import Model
from playground.interpret.projection.embedding import extract_image_layer_features, project_by_neighbors
from playground.interpret.projection.layer_projection import project_by_pca, project_by_tsne
from playground.ui import html
from playground.ui.components.scatter_plot import scatter_plot
from playground.ui.forms import choose_one
from playground.ui.model_input import build_canvas_input, get_input_spec
from playground.ui.panels.input_picker import open_inspect_page
from playground.ui.progress import run_with_progress
from playground.ui.state import AppState

Array = NDArray[np.float32]
_SAMPLE_SIZE = 1000


def render_embedding_view(state: AppState, run: Run, model: Model) -> None:
    """Render the projection of a layer's activations; a click on an image opens it on the Inspect page."""
    layer_id, method, color_by = _choose_projection(model)
    data = load_run_test_images(run, _SAMPLE_SIZE)
    layer_index = model.architecture.find_layer_index(layer_id)
    try:
        features, pca = run_with_progress(project_by_pca(model, layer_index, data))
        drawing_features = extract_image_layer_features(
            model, build_canvas_input(state, get_input_spec(run)).image, layer_index
        )
        if method == "PCA":
            points, star = pca.points, pca.transform(drawing_features)[0]
            first, second = pca.explained_variance_ratio
            explanation = f"The axes explain {first:.0%} and {second:.0%} of the variance."
        else:
            points = run_with_progress(project_by_tsne(model, layer_index, data))
            star = project_by_neighbors(features, points, drawing_features)[0]
            explanation = "Neighbors stay close; distances between separate groups mean little."
    except PlaygroundError as error:
        html.render_error(error)
        return
    evaluation = run_with_progress(predict_dataset(model, data))
    is_wrong = ~evaluation.is_correct
    names = list(run.get_dataset().class_names)
    captions = [
        f"{names[label]} → {names[predicted]}" if wrong else names[label]
        for label, predicted, wrong in zip(evaluation.labels, evaluation.predicted_labels, is_wrong, strict=True)
    ]
    columns = math.ceil(math.sqrt(len(data)))
    clicked = scatter_plot(
        points,
        evaluation.labels if color_by == "class" else is_wrong.astype(np.intp),
        captions,
        _render_sprite(run.record.recipe.dataset, run.record.architecture.input.shape, columns),
        group_names=names if color_by == "class" else ["correct", "wrong"],
        colors=_get_class_colors(len(names)) if color_by == "class" else ("#8aa39d", "#d9480f"),
        tile_size=(data.images.shape[3], data.images.shape[2]),
        columns=columns,
        highlight=(float(star[0]), float(star[1])) if np.isfinite(star).all() else None,
        key="embedding",
    )
    html.render_hint(
        f"{len(data):,} test images by their activations in layer {layer_index + 1}. {explanation} "
        "Star: your drawing, or the example. Hover to preview an image, click to inspect it."
    )
    if clicked is not None:
        open_inspect_page(state, run, data, clicked)


def _get_class_colors(count: int) -> list[str]:
    """Return a color per class; colors repeat after the tenth class."""
    return [CLASS_COLORS[index % len(CLASS_COLORS)] for index in range(count)]


def _choose_projection(model: Model) -> tuple[str, str, str]:
    rows = {row.id: row for row in summarize(model.architecture).layers if row.enabled}
    last_hidden = list(rows)[-2] if len(rows) > 1 else next(iter(rows))
    with st.container(horizontal=True, vertical_alignment="center", gap="medium"):
        layer_id = st.selectbox(
            "Layer",
            list(rows),
            index=list(rows).index(last_hidden),
            key=f"map-layer-{model.architecture.digest}",
            format_func=lambda name: f"{rows[name].index + 1} {rows[name].label}",
            label_visibility="collapsed",
            width=260,
        )
        method = choose_one(
            "Method",
            ("PCA", "t-SNE"),
            key="map-method",
            help_text="PCA: the two directions of largest variance. t-SNE: keeps neighbors together; takes some "
            "seconds.",
        )
        color_by = choose_one(
            "Color", ("class", "error"), key="map-colour", format_label=lambda name: f"Color by {name}"
        )
    return layer_id, method, color_by


@st.cache_resource(show_spinner=False, max_entries=2)
def _render_sprite(dataset: str, shape: Shape, columns: int) -> bytes:
    data = load_evaluation_images(dataset, _SAMPLE_SIZE, shape)
    images = np.stack([data.get_image(index) for index in range(len(data))])
    return render_image_grid(images, columns=columns, tile_size=1).png
