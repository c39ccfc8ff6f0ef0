"""Data: what the images look like, where they come from, and what augmentation does to them."""

import numpy as np
import streamlit as st

from playground.charts.class_balance import make_class_balance_figure
from playground.charts.images import render_image_grid
from playground.charts.theme import get_theme
from playground.core.datasets import CUSTOM_PREFIX, Dataset
from playground.core.recipe import Recipe
from playground.core.shapes import format_shape
from playground.engine.data.custom.store import delete_custom_dataset
from playground.engine.data.registry import count_training_images, fit_recipe_to_dataset, is_available, list_datasets
from playground.errors import PlaygroundError
from playground.interpret.dataset_stats import DatasetStats, compute_dataset_stats, make_augmented_copies
from playground.ui import html as markup
from playground.ui.actions import is_active, set_recipe_field, switch_dataset
from playground.ui.pages.data.features import render_features_panel
from playground.ui.pages.data.upload import render_draw_classes_panel, render_upload_panel
from playground.ui.panels.download import render_download_panel
from playground.ui.panels.recipe import render_augmentation_form
from playground.ui.services import get_requester_id, get_scheduler
from playground.ui.state import AppState, get_app_state

_AUGMENTED_COUNT = 11
_TILE_SIZE = 56


def render_data_page() -> None:
    """Choose on the left, look on the right."""
    state = get_app_state()
    left, right = st.columns([30, 70], gap="medium")
    with left:
        dataset = _choose_dataset(state)
        _render_use_button(state, dataset)
        render_upload_panel()
        render_draw_classes_panel(state)
        render_features_panel(state, dataset)
    with right:
        markup.render_title(dataset.title, note=f"{format_shape(dataset.input_shape)} · {dataset.credit}")
        if not is_available(dataset):
            render_download_panel(dataset)
            return
        try:
            seen = compute_dataset_stats(dataset.name)
        except PlaygroundError as problem:
            markup.render_error(problem)
            return
        _render_split_sizes(dataset, state.editor.recipe)
        _render_classes(dataset, seen)
        _render_augmentation(state, dataset, seen)


def _choose_dataset(state: AppState) -> Dataset:
    every = list_datasets()
    wanted = state.data.dataset_name or state.editor.recipe.dataset
    st.session_state["data-name"] = wanted if wanted in every else next(iter(every))

    def store_choice() -> None:
        get_app_state().data.dataset_name = st.session_state["data-name"]

    markup.render_title("Data")
    name = st.selectbox(
        "Data set",
        list(every),
        key="data-name",
        format_func=lambda name: (
            every[name].title + ("" if is_available(every[name]) else f", {every[name].download_mb} MB")
        ),
        on_change=store_choice,
        label_visibility="collapsed",
        help="With its size: it is fetched first, once.",
    )
    return every[name]


def _render_use_button(state: AppState, dataset: Dataset) -> None:
    used = state.editor.recipe.dataset == dataset.name
    with st.container(horizontal=True, gap="small"):
        st.button(
            "In use" if used else "Use it",
            key="data-use",
            type="primary",
            disabled=used or is_active(state.training.find_run()) or not is_available(dataset),
            on_click=switch_dataset,
            args=(dataset.name,),
            help="For training; fits the network's input and classes too. Undo on the Playground page takes it back.",
        )
        if dataset.name.startswith(CUSTOM_PREFIX):
            _render_delete_popover(dataset)


def _render_delete_popover(dataset: Dataset) -> None:
    """A second click makes sure; not while a run needs the images."""
    training = [
        run.record.name for run in get_scheduler().list_active_runs() if run.record.recipe.dataset == dataset.name
    ]
    with st.popover("Delete", key=f"data-delete-{dataset.name}"):
        if training:
            markup.render_hint(f"{training[0]} is being trained on it: stop that first.")
            return
        if get_app_state().editor.recipe.dataset == dataset.name:
            markup.render_hint("It is in use: the Playground page goes back to MNIST.")
        markup.render_hint(f"Delete {dataset.title} with its images? Runs that were trained on it stay.")
        if st.button("Delete for good", key="data-delete-sure", type="primary"):
            try:
                delete_custom_dataset(dataset.name, get_requester_id())
            except PlaygroundError as problem:
                markup.render_error(problem)
                return
            state = get_app_state()
            if state.editor.recipe.dataset == dataset.name:
                switch_dataset("mnist")
            state.data.dataset_name = None
            st.rerun()


def _render_split_sizes(dataset: Dataset, recipe: Recipe) -> None:
    """The sizes of the three parts, as the recipe cuts them."""
    fitted = fit_recipe_to_dataset(recipe.replace(dataset=dataset.name))
    markup.render_metrics(
        [
            (f"{count_training_images(fitted, dataset):,}", "to train on"),
            (f"{fitted.validation_size:,}", "kept out for validation"),
            (f"{dataset.test_size:,}", "for the test"),
            (str(len(dataset.class_names)), "classes"),
        ]
    )


def _render_classes(dataset: Dataset, stats: DatasetStats) -> None:
    colours = get_theme(st.context.theme.type)
    left, right = st.columns([62, 38], gap="medium")
    shown = len(stats.class_means)
    with left:
        note = "first the average image" if shown == len(dataset.class_names) else f"of the first {shown} classes"
        markup.render_title("Examples", note=note)
        rows = []
        for label in range(shown):
            images = np.concatenate([stats.class_means[label, None], stats.examples[label]])
            grid = render_image_grid(
                images, columns=len(images), tile_size=_TILE_SIZE, gap=2, gap_color=colours.gap_color
            )
            rows.append((dataset.class_names[label], grid.png, f"{dataset.class_names[label]}: examples"))
        markup.render_image_table(rows)
    with right:
        markup.render_title("Images of each class")
        st.plotly_chart(
            make_class_balance_figure(dataset.class_names, stats.train_counts, stats.test_counts, colours),
            key="data-counts",
            config={"displayModeBar": False},
        )


def _render_augmentation(state: AppState, dataset: Dataset, stats: DatasetStats) -> None:
    """One image as training sees it, once after another."""
    markup.render_title("Augmentation", note="what training makes of one image; a setting of the recipe")
    if state.editor.recipe.dataset != dataset.name:
        markup.render_hint("Use this data set, and its images are shown as the recipe changes them.")
        return
    left, right = st.columns([38, 62], gap="medium")
    with left:
        render_augmentation_form(state.editor.recipe, set_recipe_field)
    kinds = {item.kind for item in state.editor.recipe.augmentation}
    with right:
        image = stats.examples[min(2, len(stats.examples) - 1), 0]
        versions = make_augmented_copies(image, state.editor.recipe.augmentation, _AUGMENTED_COUNT)
        grid = render_image_grid(
            np.concatenate([image[None], versions]),
            columns=6,
            tile_size=84,
            gap=4,
            gap_color=get_theme(st.context.theme.type).gap_color,
        )
        st.image(grid.png, width=grid.width, alt="One image, and how training sees it")
        markup.render_hint("First the image itself.")
        if "flip" in kinds and not dataset.is_flip_invariant:
            markup.render_message(
                f"Mirrored, most {dataset.sample_noun}s are something else, or nothing: here a flip teaches what is wrong.",
                severity="warn",
            )
