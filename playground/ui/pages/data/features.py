"""Feature extraction panel: create a dataset from the features of a pretrained network."""

import streamlit as st

from playground.core.datasets import Dataset
from playground.engine.background_task import BackgroundTask
from playground.engine.data.dataset_lookup import is_available
from playground.engine.data.feature_extraction import DEFAULT_TEST_SIZE, DEFAULT_TRAIN_SIZE, EXTRACTORS
from playground.ui import html
from playground.ui.controls import choose_number
from playground.ui.services import get_background_tasks, get_visitor_id
from playground.ui.state import AppState, get_app_state

_EXTRACTION_TASK = "playground.engine.data.feature_extraction"
_POLL_INTERVAL_S = 0.5


def render_features_panel(state: AppState, dataset: Dataset) -> None:
    """Render the form or the running extraction; when it is done, the page shows the new dataset."""
    task = (
        get_background_tasks().get_latest(*state.data.extraction_task_key) if state.data.extraction_task_key else None
    )
    if task is not None and task.result_name:
        state.data.dataset_name, state.data.extraction_task_key = task.result_name, None
        st.rerun()
    if not is_available(dataset) or dataset.features is not None:
        return
    with st.expander("Extract features", key="features", on_change="rerun") as expander:
        if not expander.open:
            return
        if task is not None and task.is_running:
            st.fragment(_render_progress, run_every=_POLL_INTERVAL_S)(task)
            return
        if task is not None and task.error:
            html.render_error(task.error)
        _render_form(dataset)


def _render_form(dataset: Dataset) -> None:
    html.render_hint(
        "A network pretrained on ImageNet computes features of every image once. A small network, such as logistic "
        "regression, then trains on these features in seconds."
    )
    name = st.selectbox(
        "Pretrained network",
        list(EXTRACTORS),
        key="features-by",
        format_func=lambda name: f"{EXTRACTORS[name].title}, {EXTRACTORS[name].feature_count} features",
        help="Weights of torchvision, trained on ImageNet. The classifier is removed and the weights stay frozen.",
    )
    with st.container(horizontal=True, gap="small"):
        train = _choose_size("train", "Training images", min(DEFAULT_TRAIN_SIZE, dataset.train_size), dataset)
        test = _choose_size("test", "Test images", min(DEFAULT_TEST_SIZE, dataset.test_size), dataset)
    if not EXTRACTORS[name].weights_file.destination.exists():
        html.render_hint(f"{EXTRACTORS[name].download_mb} MB are downloaded first, once.")
    st.button(
        "Create dataset",
        key="features-start",
        type="primary",
        on_click=_start_extraction,
        args=(_EXTRACTION_TASK, dataset.name, name, str(train), str(test)),
        help="A CPU processes 30 to 200 images per second.",
    )


def _choose_size(split: str, label: str, value: int, dataset: Dataset) -> int:
    min_size = len(dataset.class_names)
    return choose_number(
        label,
        value,
        name=f"features-{split}-{dataset.name}",
        minimum=min_size,
        help="Maximum number, the same for every class.",
    )


def _start_extraction(*task_key: str) -> None:
    get_background_tasks().start(*task_key, owner=get_visitor_id())
    get_app_state().data.extraction_task_key = task_key


def _render_progress(task: BackgroundTask) -> None:
    if not task.is_running:
        st.rerun()
    progress = task.progress
    st.progress(progress.fraction, progress.stage)
    st.button("Cancel", key="features-cancel", on_click=task.cancel, help="Partial downloads are kept.")
