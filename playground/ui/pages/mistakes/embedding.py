"""A map of the test images as a layer sees them: like ones lie close; the drawing is a star on it."""

import math
import threading

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from playground.charts.images import image_grid
from playground.charts.theme import CLASSES
from playground.core.shapes import Shape
from playground.core.summary import summarize
from playground.engine.runs.run import Run
from playground.errors import PlaygroundError
from playground.interpret.evaluation.predictions import asked_images, images_of, judge
from playground.interpret.model import Model
from playground.interpret.projection.embedding import Pca, features, features_of, place_by_neighbours, tsne
from playground.ui import html as markup
from playground.ui.components.scatter_plot import scatter_plot
from playground.ui.forms import one_of
from playground.ui.model_input import drawn_subject, sight_of
from playground.ui.panels.input_picker import open_inside
from playground.ui.progress import shown_progress
from playground.ui.state import AppState

Array = NDArray[np.float32]
_COUNT = 1000
_ONE_AT_A_TIME = threading.Lock()  # each takes a process and a core


def embedding_view(state: AppState, run: Run, model: Model) -> None:
    """The map of a layer's values, by PCA at once or by t-SNE after a while."""
    layer_id, method, by = _choose(model)
    data = images_of(run, _COUNT)
    index = model.architecture.index_of(layer_id)
    try:
        rows, pca = _seen(model, index, run)
        drawn = features_of(model, drawn_subject(state, sight_of(run)).image, index)
        if method == "PCA":
            points, star = pca.points, pca.place(drawn)[0]
            first, second = pca.explained
            words = f"The two axes hold {first:.0%} and {second:.0%} of all differences."
        else:
            points = _tsne(model, index, rows)
            star = place_by_neighbours(rows, points, drawn)[0]
            words = "Neighbours are kept; distances between far groups mean little."
    except PlaygroundError as problem:
        markup.problem(problem)
        return
    verdicts = shown_progress(judge(model, data), "Asking the net …")
    wrong = verdicts.guesses != verdicts.labels
    names = list(run.dataset().class_names)
    captions = [
        f"{names[label]} → {names[guess]}" if bad else names[label]
        for label, guess, bad in zip(verdicts.labels, verdicts.guesses, wrong, strict=True)
    ]
    columns = math.ceil(math.sqrt(len(data)))
    clicked = scatter_plot(
        points,
        verdicts.labels if by == "class" else wrong.astype(np.intp),
        captions,
        _sprite(run.record.recipe.dataset, run.record.architecture.input.shape, columns),
        names=names if by == "class" else ["right", "wrong"],
        colours=_class_colours(len(names)) if by == "class" else ("#8aa39d", "#d9480f"),
        tile=(data.images.shape[3], data.images.shape[2]),
        columns=columns,
        star=(float(star[0]), float(star[1])) if np.isfinite(star).all() else None,
        key="embedding",
    )
    markup.hint(
        f"{len(data):,} test images by what layer {index + 1} makes of them. {words} "
        "The star is your drawing (or the example). Hover to see an image, click to open it."
    )
    if clicked is not None:
        open_inside(state, run, data, clicked)


def _class_colours(count: int) -> list[str]:
    """Ten can be told apart; of more classes several share one, and the caption tells."""
    return [CLASSES[place % len(CLASSES)] for place in range(count)]


def _choose(model: Model) -> tuple[str, str, str]:
    rows = {row.id: row for row in summarize(model.architecture).rows if row.enabled}
    last_hidden = list(rows)[-2] if len(rows) > 1 else next(iter(rows))
    with st.container(horizontal=True, vertical_alignment="center", gap="medium"):
        layer_id = st.selectbox(
            "Layer",
            list(rows),
            index=list(rows).index(last_hidden),
            key=f"map-layer-{model.architecture.digest}",
            format_func=lambda name: f"{rows[name].index + 1} {rows[name].title} {rows[name].detail}",
            label_visibility="collapsed",
            width=260,
        )
        method = one_of(
            "Method",
            ("PCA", "t-SNE"),
            key="map-method",
            help="PCA: the two directions in which the values differ most. t-SNE: neighbours, after some seconds.",
        )
        by = one_of("Colour", ("class", "error"), key="map-colour", words=lambda name: f"by {name}")
    return layer_id, method, by


def _seen(model: Model, index: int, run: Run) -> tuple[Array, Pca]:
    kept = st.session_state.get("map-features")
    if kept and kept[0] is model and kept[1] == index:
        return kept[2], kept[3]
    rows = features(model, images_of(run, _COUNT).images, index)
    pca = Pca.fit(rows)
    st.session_state["map-features"] = (model, index, rows, pca)
    return rows, pca


def _tsne(model: Model, index: int, rows: Array) -> Array:
    kept = st.session_state.get("map-tsne")
    if kept and kept[0] is model and kept[1] == index:
        found: Array = kept[2]
        return found
    with _ONE_AT_A_TIME:
        found = shown_progress(tsne(rows), "t-SNE moves like images together …")
    st.session_state["map-tsne"] = (model, index, found)
    return found


@st.cache_resource(show_spinner=False, max_entries=2)
def _sprite(dataset: str, shape: Shape, columns: int) -> bytes:
    data = asked_images(dataset, _COUNT, shape)
    images = np.stack([data.image(place) for place in range(len(data))])
    return image_grid(images, columns=columns, tile_size=1).png
