"""Data: what the images look like, where they come from, and what augmentation does to them."""

import numpy as np
import streamlit as st

from playground.charts.class_balance import counts_figure
from playground.charts.images import image_grid
from playground.charts.theme import theme
from playground.core.datasets import OWN, Dataset
from playground.core.recipe import Recipe
from playground.core.shapes import shape_text
from playground.engine.data.custom.store import delete_own_dataset
from playground.engine.data.registry import all_datasets, fitted_recipe, is_here, training_images
from playground.errors import PlaygroundError
from playground.interpret.dataset_stats import Overview, augmented, overview
from playground.ui import html as markup
from playground.ui.actions import is_active, set_recipe, take_dataset
from playground.ui.pages.data.features import features_panel
from playground.ui.pages.data.upload import bring_panel, draw_classes_panel
from playground.ui.panels.download import fetch_panel
from playground.ui.panels.recipe import augmentation_form
from playground.ui.services import asker, supervisor
from playground.ui.state import AppState, app_state

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
        if not is_here(dataset):
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
        format_func=lambda name: (
            every[name].title + ("" if is_here(every[name]) else f", {every[name].download_mb} MB")
        ),
        on_change=choose,
        label_visibility="collapsed",
        help="With its size: it is fetched first, once.",
    )
    return every[name]


def _use(state: AppState, dataset: Dataset) -> None:
    used = state.recipe.dataset == dataset.name
    with st.container(horizontal=True, gap="small"):
        st.button(
            "In use" if used else "Use it",
            key="data-use",
            type="primary",
            disabled=used or is_active(state.run) or not is_here(dataset),
            on_click=take_dataset,
            args=(dataset.name,),
            help="For training; fits the network's input and classes too. Undo on the Playground page takes it back.",
        )
        if dataset.name.startswith(OWN):
            _deletion(dataset)


def _deletion(dataset: Dataset) -> None:
    """A second click makes sure; not while a run needs the images."""
    training = [run.record.name for run in supervisor().active() if run.record.recipe.dataset == dataset.name]
    with st.popover("Delete", key=f"data-delete-{dataset.name}"):
        if training:
            markup.hint(f"{training[0]} is being trained on it: stop that first.")
            return
        if app_state().recipe.dataset == dataset.name:
            markup.hint("It is in use: the Playground page goes back to MNIST.")
        markup.hint(f"Delete {dataset.title} with its images? Runs that were trained on it stay.")
        if st.button("Delete for good", key="data-delete-sure", type="primary"):
            try:
                delete_own_dataset(dataset.name, asker())
            except PlaygroundError as problem:
                markup.problem(problem)
                return
            state = app_state()
            if state.recipe.dataset == dataset.name:
                take_dataset("mnist")
            state.data_name = None
            st.rerun()


def _figures(dataset: Dataset, recipe: Recipe) -> None:
    """The sizes of the three parts, as the recipe cuts them."""
    fitted = fitted_recipe(recipe.changed(dataset=dataset.name))
    markup.figures(
        [
            (f"{training_images(fitted, dataset):,}", "to train on"),
            (f"{fitted.validation_size:,}", "kept out for validation"),
            (f"{dataset.test_size:,}", "for the test"),
            (str(len(dataset.class_names)), "classes"),
        ]
    )


def _classes(dataset: Dataset, seen: Overview) -> None:
    colours = theme(st.context.theme.type)
    left, right = st.columns([62, 38], gap="medium")
    shown = len(seen.averages)
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
    markup.title("Augmentation", note="what training makes of one image; a setting of the recipe")
    if state.recipe.dataset != dataset.name:
        markup.hint("Use this data set, and its images are shown as the recipe changes them.")
        return
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
