"""What a pretrained net sees in a data set, as a data set of its own: begun here, followed, and then shown."""

import streamlit as st

from playground.core.datasets import Dataset
from playground.engine.background_task import Errand
from playground.engine.data.feature_extraction import EXTRACTORS, TEST_SIZE, TRAIN_SIZE
from playground.engine.data.registry import is_here
from playground.ui import html as markup
from playground.ui.services import errands, visitor
from playground.ui.state import AppState, app_state

_EXTRACT = "playground.engine.data.feature_extraction"
_LOOK_S = 0.5


def features_panel(state: AppState, dataset: Dataset) -> None:
    """Choose the net and how many images it looks at; what it makes is the page's data set as soon as it is there."""
    errand = errands().last(*state.extraction) if state.extraction else None
    if errand is not None and errand.made:
        state.data_name, state.extraction = errand.made, None
        st.rerun()
    if not is_here(dataset) or dataset.features is not None:
        return
    with st.expander("Features by a pretrained net", key="features", on_change="rerun") as expander:
        if not expander.open:
            return
        if errand is not None and errand.is_going_on:
            st.fragment(_progress, run_every=_LOOK_S)(errand)
            return
        if errand is not None and errand.problem:
            markup.problem(errand.problem)
        _form(dataset)


def _form(dataset: Dataset) -> None:
    markup.hint(
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
        train = _size("train", "Training images", min(TRAIN_SIZE, dataset.train_size), dataset)
        test = _size("test", "Test images", min(TEST_SIZE, dataset.test_size), dataset)
    if not EXTRACTORS[name].weights.place.exists():
        markup.hint(f"{EXTRACTORS[name].download_mb} MB are fetched first, once.")
    st.button(
        "Make a data set of them",
        key="features-start",
        type="primary",
        on_click=_start,
        args=(_EXTRACT, dataset.name, name, str(train), str(test)),
        help="A processor looks at 30 to 200 images a second.",
    )


def _size(part: str, label: str, value: int, dataset: Dataset) -> int:
    fewest = len(dataset.class_names)
    return st.number_input(
        label,
        min_value=fewest,
        value=max(fewest, value),
        key=f"features-{part}-{dataset.name}",
        help="At most so many, with equal shares of every class.",
    )


def _start(*errand: str) -> None:
    errands().start(*errand, owner=visitor())
    app_state().extraction = errand


def _progress(errand: Errand) -> None:
    if not errand.is_going_on:
        st.rerun()
    progress = errand.progress
    st.progress(min(1.0, progress.done / max(1, progress.total)), progress.doing)
    st.button("Cancel", key="features-cancel", on_click=errand.cancel, help="What was downloaded is kept.")
