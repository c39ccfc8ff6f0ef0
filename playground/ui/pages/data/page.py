"""Data page: example images, class balance, source and augmentation of a dataset."""

import numpy as np
import streamlit as st

from playground.charts.class_balance import make_class_balance_figure
from playground.charts.images import render_image_grid
from playground.charts.theme import get_theme
from playground.core.datasets import CUSTOM_PREFIX, Dataset
from playground.core.recipe import Recipe
from playground.core.shapes import format_shape
from playground.engine.data.custom.store import delete_custom_dataset
from playground.engine.data.dataset_lookup import (
    count_training_images,
    fit_recipe_to_dataset,
    is_available,
    list_datasets,
)
from playground.errors import PlaygroundError
from playground.interpret.dataset_stats import DatasetStats, compute_dataset_stats, make_augmented_copies
from playground.ui import html
from playground.ui.actions import is_active, set_recipe_field, switch_dataset
from playground.ui.controls import bind
from playground.ui.pages.data.draw_classes import render_draw_classes_panel
from playground.ui.pages.data.features import render_features_panel
from playground.ui.pages.data.upload import render_upload_panel
from playground.ui.panels.download import render_download_panel
from playground.ui.panels.recipe import render_augmentation_form
from playground.ui.progress import run_with_progress
from playground.ui.services import get_requester_id, get_scheduler
from playground.ui.state import AppState, get_app_state

_AUGMENTED_COUNT = 11
_TILE_SIZE = 56


def render_data_page() -> None:
    """Render the Data page: choice and creation of datasets on the left, the images on the right."""
    state = get_app_state()
    left, right = st.columns([30, 70], gap="medium")
    with left:
        dataset = _choose_dataset(state)
        _render_use_button(state, dataset)
        render_upload_panel()
        render_draw_classes_panel(state)
        render_features_panel(state, dataset)
    with right:
        html.render_title(dataset.title, note=f"{format_shape(dataset.input_shape)} · {dataset.credit}")
        if not is_available(dataset):
            render_download_panel(dataset)
            return
        try:
            stats = run_with_progress(compute_dataset_stats(dataset.name))
        except PlaygroundError as error:
            html.render_error(error)
            return
        _render_split_sizes(dataset, state.editor.recipe)
        _render_classes(dataset, stats)
        _render_augmentation(state, dataset, stats)


def _choose_dataset(state: AppState) -> Dataset:
    datasets = list_datasets()
    name = state.data.dataset_name or state.editor.recipe.dataset
    selected_name = name if name in datasets else next(iter(datasets))

    def store_choice(chosen_name: str) -> None:
        get_app_state().data.dataset_name = chosen_name

    html.render_title("Data")
    st.selectbox(
        "Dataset",
        list(datasets),
        **bind("data-name", selected_name, store_choice),
        format_func=lambda name: (
            datasets[name].title + ("" if is_available(datasets[name]) else f", {datasets[name].download_mb} MB")
        ),
        label_visibility="collapsed",
        help="A size in MB means that the dataset is downloaded first, once.",
    )
    return datasets[selected_name]


def _render_use_button(state: AppState, dataset: Dataset) -> None:
    is_used = state.editor.recipe.dataset == dataset.name
    with st.container(horizontal=True, gap="small"):
        st.button(
            "In use" if is_used else "Use dataset",
            key="data-use",
            type="primary",
            disabled=is_used or is_active(state.training.find_run()) or not is_available(dataset),
            on_click=switch_dataset,
            args=(dataset.name,),
            help="Train on this dataset. Adapts the network's input and number of classes; can be undone on the "
            "Playground page.",
        )
        if dataset.name.startswith(CUSTOM_PREFIX):
            _render_delete_popover(dataset)


def _render_delete_popover(dataset: Dataset) -> None:
    """Render the deletion with a confirmation; disabled while a run trains on the dataset."""
    training_runs = [
        run.record.name for run in get_scheduler().list_active_runs() if run.record.recipe.dataset == dataset.name
    ]
    with st.popover("Delete", key=f"data-delete-{dataset.name}"):
        if training_runs:
            html.render_hint(f"{training_runs[0]} is training on this dataset. Stop that run first.")
            return
        if get_app_state().editor.recipe.dataset == dataset.name:
            html.render_hint("This dataset is in use. The Playground page will switch to MNIST.")
        html.render_hint(f"Delete {dataset.title} and its images? Its runs are kept.")
        if st.button("Delete permanently", key="data-delete-sure", type="primary"):
            try:
                delete_custom_dataset(dataset.name, get_requester_id())
            except PlaygroundError as error:
                html.render_error(error)
                return
            state = get_app_state()
            if state.editor.recipe.dataset == dataset.name:
                switch_dataset("mnist")
            state.data.dataset_name = None
            st.rerun()


def _render_split_sizes(dataset: Dataset, recipe: Recipe) -> None:
    """Render the sizes of the training, validation and test splits."""
    fitted_recipe = fit_recipe_to_dataset(recipe.replace(dataset=dataset.name))
    html.render_metrics(
        [
            (f"{count_training_images(fitted_recipe, dataset):,}", "training images"),
            (f"{fitted_recipe.validation_size:,}", "validation images"),
            (f"{dataset.test_size:,}", "test images"),
            (str(len(dataset.class_names)), "classes"),
        ]
    )


def _render_classes(dataset: Dataset, stats: DatasetStats) -> None:
    theme = get_theme(st.context.theme.type)
    left, right = st.columns([62, 38], gap="medium")
    class_count = len(stats.class_means)
    with left:
        note = "The first column is the mean image."
        if class_count < len(dataset.class_names):
            note += f" The first {class_count} classes are shown."
        html.render_title("Examples", note=note)
        rows = []
        for label in range(class_count):
            images = np.concatenate([stats.class_means[label, None], stats.examples[label]])
            grid = render_image_grid(
                images, columns=len(images), tile_size=_TILE_SIZE, gap=2, gap_color=theme.gap_color
            )
            rows.append((dataset.class_names[label], grid.png, f"{dataset.class_names[label]}: examples"))
        html.render_image_table(rows)
    with right:
        html.render_title("Images per class")
        st.plotly_chart(
            make_class_balance_figure(dataset.class_names, stats.train_counts, stats.test_counts, theme),
            key="data-counts",
            config={"displayModeBar": False},
        )


def _render_augmentation(state: AppState, dataset: Dataset, stats: DatasetStats) -> None:
    """Render the augmentation settings and augmented copies of one image."""
    html.render_title("Augmentation", note="random changes of each training image")
    if state.editor.recipe.dataset != dataset.name:
        html.render_hint("Use this dataset to preview its augmentation.")
        return
    left, right = st.columns([38, 62], gap="medium")
    with left:
        render_augmentation_form(state.editor.recipe, set_recipe_field)
    kinds = {item.kind for item in state.editor.recipe.augmentation}
    with right:
        image = stats.examples[min(2, len(stats.examples) - 1), 0]
        augmented_images = make_augmented_copies(image, state.editor.recipe.augmentation, _AUGMENTED_COUNT)
        grid = render_image_grid(
            np.concatenate([image[None], augmented_images]),
            columns=6,
            tile_size=84,
            gap=4,
            gap_color=get_theme(st.context.theme.type).gap_color,
        )
        st.image(grid.png, width=grid.width, alt="One image and its augmented copies")
        html.render_hint("The first image is the original.")
        if "flip" in kinds and not dataset.is_flip_invariant:
            html.render_message(
                f"Flipping changes the meaning of most {dataset.sample_noun}s. Remove flip for this dataset.",
                severity="warn",
            )
