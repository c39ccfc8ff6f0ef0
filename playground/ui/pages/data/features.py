"""What a pretrained net sees in a data set, as a data set of its own: begun here, followed, and then shown."""

import streamlit as st

from playground.core.datasets import Dataset
from playground.engine.background_task import BackgroundTask
from playground.engine.data.feature_extraction import DEFAULT_TEST_SIZE, DEFAULT_TRAIN_SIZE, EXTRACTORS
from playground.engine.data.registry import is_available
from playground.ui import html as markup
from playground.ui.services import get_background_tasks, get_visitor_id
from playground.ui.state import AppState, get_app_state

_EXTRACTION_TASK = "playground.engine.data.feature_extraction"
_POLL_INTERVAL_S = 0.5


def render_features_panel(state: AppState, dataset: Dataset) -> None:
    """Choose the net and how many images it looks at; what it makes is the page's data set as soon as it is there."""
    errand = (
        get_background_tasks().get_latest(*state.data.extraction_task_key) if state.data.extraction_task_key else None
    )
    if errand is not None and errand.result_name:
        state.data.dataset_name, state.data.extraction_task_key = errand.result_name, None
        st.rerun()
    if not is_available(dataset) or dataset.features is not None:
        return
    with st.expander("Features by a pretrained net", key="features", on_change="rerun") as expander:
        if not expander.open:
            return
        if errand is not None and errand.is_running:
            st.fragment(_render_progress, run_every=_POLL_INTERVAL_S)(errand)
            return
        if errand is not None and errand.error:
            markup.render_error(errand.error)
        _render_form(dataset)


def _render_form(dataset: Dataset) -> None:
    markup.render_hint(
        "A net that learnt from a million photographs looks at every image once. What it says of them becomes a data "
        "set: logistic regression or a multilayer perceptron learns from it in seconds."
    )
    name = st.selectbox(
        "Net",
        list(EXTRACTORS),
        key="features-by",
        format_func=lambda name: f"{EXTRACTORS[name].title}, {EXTRACTORS[name].feature_count} features",
        help="As torchvision trained it on ImageNet; its classifier is taken off, and it learns nothing more.",
    )
    with st.container(horizontal=True, gap="small"):
        train = _choose_size("train", "Training images", min(DEFAULT_TRAIN_SIZE, dataset.train_size), dataset)
        test = _choose_size("test", "Test images", min(DEFAULT_TEST_SIZE, dataset.test_size), dataset)
    if not EXTRACTORS[name].weights_file.destination.exists():
        markup.render_hint(f"{EXTRACTORS[name].download_mb} MB are fetched first, once.")
    st.button(
        "Make a data set of them",
        key="features-start",
        type="primary",
        on_click=_start_extraction,
        args=(_EXTRACTION_TASK, dataset.name, name, str(train), str(test)),
        help="A processor looks at 30 to 200 images a second.",
    )


def _choose_size(split: str, label: str, value: int, dataset: Dataset) -> int:
    fewest = len(dataset.class_names)
    return st.number_input(
        label,
        min_value=fewest,
        value=max(fewest, value),
        key=f"features-{split}-{dataset.name}",
        help="At most so many, with equal shares of every class.",
    )


def _start_extraction(*task_key: str) -> None:
    get_background_tasks().start(*task_key, owner=get_visitor_id())
    get_app_state().data.extraction_task_key = task_key


def _render_progress(task: BackgroundTask) -> None:
    if not task.is_running:
        st.rerun()
    progress = task.progress
    st.progress(progress.fraction, progress.stage)
    st.button("Cancel", key="features-cancel", on_click=task.cancel, help="What was downloaded is kept.")
