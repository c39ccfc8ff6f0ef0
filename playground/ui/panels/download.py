"""Fetching a data set from a page: what it takes, how far it is, a way to stop it, and what to do offline."""

import streamlit as st

from playground.core.datasets import Dataset
from playground.engine.data.fetch import list_required_files
from playground.engine.data.registry import is_available
from playground.ui import html as markup
from playground.ui.services import get_background_tasks

_POLL_INTERVAL_S = 0.5
_DOWNLOAD_TASK = "playground.engine.data.fetch"


def render_download_panel(dataset: Dataset) -> None:
    """A button to begin with; then its progress, followed until it is over."""
    fetch = get_background_tasks().get_latest(_DOWNLOAD_TASK, dataset.name)
    if fetch is not None and fetch.is_running:
        st.fragment(_render_progress, run_every=_POLL_INTERVAL_S)(dataset)
        return
    markup.render_hint(
        f"{dataset.title} is not on this machine yet: {dataset.download_mb} MB, fetched once and checked."
    )
    if fetch is not None and fetch.error:
        markup.render_error(fetch.error)
    st.button(
        "Fetch it",
        key="data-fetch",
        type="primary",
        on_click=get_background_tasks().start,
        args=(_DOWNLOAD_TASK, dataset.name),
    )
    with st.expander("Without a way to the internet", on_change="rerun", key="data-offline") as expander:
        if expander.open:
            markup.render_hint("Put these files there, and press Fetch it.")
            markup.render_key_value_table([(str(path), url) for path, url in list_required_files(dataset.name)])


def _render_progress(dataset: Dataset) -> None:
    fetch = get_background_tasks().get_latest(_DOWNLOAD_TASK, dataset.name)
    if fetch is None or not fetch.is_running or is_available(dataset):
        st.rerun()
    progress = fetch.progress
    amount = f": {progress.completed / 1e6:.1f} of {progress.total / 1e6:.1f} MB" if progress.total else " …"
    st.progress(progress.fraction, f"{progress.stage}{amount}")
    st.button("Cancel", key="data-fetch-cancel", on_click=fetch.cancel, help="What was fetched is kept.")
