"""Data: what the images look like, where they come from, and what augmentation does to them."""

import numpy as np
import streamlit as st

from playground.charts.data import counts_figure
from playground.charts.images import image_grid
from playground.charts.theme import theme
from playground.engine.datasets import all_datasets, find_dataset, is_here
from playground.engine.own_datasets import delete_own_dataset
from playground.errors import PlaygroundError
from playground.lens.overview import Overview, augmented, overview
from playground.spec.datasets import OWN, Dataset
from playground.spec.recipe import Recipe
from playground.spec.shapes import shape_text
from playground.ui import markup
from playground.ui.panels.bring import bring_panel, draw_classes_panel
from playground.ui.panels.features import features_panel
from playground.ui.panels.fetching import fetch_panel
from playground.ui.panels.recipe import augmentation_form
from playground.ui.state import AppState, app_state
from playground.ui.steering import is_active, set_recipe, take_dataset

_SHOWN_CLASSES = 20
_VERSIONS = 11
_TILE = 56


def page() -> None:
    """Choose on the left, look on the right."""
    state = app_state()
    left, right = st.columns([30, 70], gap="medium")
    with left:
        dataset = _choice(state)
        _use(state, dataset)
        bring_panel()
        draw_classes_panel(state)
        features_panel(state, dataset)
    with right:
        markup.title(dataset.title, note=f"{shape_text(dataset.input_shape)} · {dataset.credit}")
        if not is_here(dataset.name):
            fetch_panel(dataset)
            return
        try:
            seen = overview(dataset.name)
        except PlaygroundError as problem:
            markup.problem(problem)
            return
        _figures(dataset, state.recipe)
        _classes(dataset, seen)
        _augmentation(state, dataset, seen)


def _choice(state: AppState) -> Dataset:
    every = all_datasets()
    wanted = state.data_name or state.recipe.dataset
    st.session_state["data-name"] = wanted if wanted in every else next(iter(every))

    def choose() -> None:
        app_state().data_name = st.session_state["data-name"]

    markup.title("Data")
    name = st.selectbox(
        "Data set",
        list(every),
        key="data-name",
        format_func=lambda name: every[name].title + ("" if is_here(name) else f", {every[name].download_mb} MB"),
        on_change=choose,
        label_visibility="collapsed",
        help="With its size: it is fetched first, once.",
    )
    return every[name]


def _use(state: AppState, dataset: Dataset) -> None:
    used = state.recipe.dataset == dataset.name
    with st.container(horizontal=True, gap="small"):
        st.button(
            "In use" if used else "Train on it",
            key="data-use",
            type="primary",
            disabled=used or is_active(state.run) or not is_here(dataset.name),
            on_click=take_dataset,
            args=(dataset.name,),
            help="Sets the network's input and classes too; Undo on the Playground page brings the network back.",
        )
        if dataset.name.startswith(OWN):
            st.button("Delete", key="data-delete", on_click=_delete, args=(dataset.name,), help="Throw it away.")


def _delete(name: str) -> None:
    state = app_state()
    if state.recipe.dataset == name:
        take_dataset("mnist")
    state.data_name = None
    delete_own_dataset(name)


def _figures(dataset: Dataset, recipe: Recipe) -> None:
    """The sizes of the three parts, as the recipe cuts them."""
    kept = min(recipe.validation_size, max(10, dataset.train_size // 5))
    train = min(recipe.limit or dataset.train_size, dataset.train_size - kept)
    markup.figures(
        [
            (f"{train:,}", "to train on"),
            (f"{kept:,}", "kept out for validation"),
            (f"{dataset.test_size:,}", "for the test"),
            (str(len(dataset.class_names)), "classes"),
        ]
    )


def _classes(dataset: Dataset, seen: Overview) -> None:
    colours = theme(st.context.theme.type)
    left, right = st.columns([62, 38], gap="medium")
    shown = min(_SHOWN_CLASSES, len(dataset.class_names))
    with left:
        note = "first the average image" if shown == len(dataset.class_names) else f"of the first {shown} classes"
        markup.title("Examples", note=note)
        rows = []
        for label in range(shown):
            images = np.concatenate([seen.averages[label, None], seen.examples[label]])
            grid = image_grid(images, columns=len(images), tile_size=_TILE, gap=2, gap_colour=colours.gap)
            rows.append((dataset.class_names[label], grid.png, f"{dataset.class_names[label]}: examples"))
        markup.picture_rows(rows)
    with right:
        markup.title("Images of each class")
        st.plotly_chart(
            counts_figure(dataset.class_names, seen.train_counts, seen.test_counts, colours),
            key="data-counts",
            config={"displayModeBar": False},
        )


def _augmentation(state: AppState, dataset: Dataset, seen: Overview) -> None:
    """One image as training sees it, once after another."""
    if find_dataset(state.recipe.dataset) != dataset:
        return
    markup.title("Augmentation", note="what training makes of one image; a setting of the recipe")
    left, right = st.columns([38, 62], gap="medium")
    with left:
        augmentation_form(state.recipe, set_recipe)
    kinds = {item.kind for item in state.recipe.augmentation}
    with right:
        image = seen.examples[min(2, len(seen.examples) - 1), 0]
        versions = augmented(image, state.recipe.augmentation, _VERSIONS)
        grid = image_grid(
            np.concatenate([image[None], versions]),
            columns=6,
            tile_size=84,
            gap=4,
            gap_colour=theme(st.context.theme.type).gap,
        )
        st.image(grid.png, width=grid.width, alt="One image, and how training sees it")
        markup.hint("First the image itself.")
        if "flip" in kinds and not dataset.mirrors:
            markup.line(
                f"Mirrored, most {dataset.noun}s are something else, or nothing: here a flip teaches what is wrong.",
                kind="warn",
            )
