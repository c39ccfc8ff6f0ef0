"""Download of a dataset: size, progress, cancellation, and instructions for offline use."""

import streamlit as st

from playground.core.datasets import Dataset
from playground.engine.data.dataset_lookup import is_available
from playground.engine.data.fetch import list_required_files
from playground.ui import html
from playground.ui.services import get_background_tasks

_POLL_INTERVAL_S = 0.5
_DOWNLOAD_TASK = "playground.engine.data.fetch"


def render_download_panel(dataset: Dataset) -> None:
    """Render the download button, or the progress of a running download."""
    task = get_background_tasks().get_latest(_DOWNLOAD_TASK, dataset.name)
    if task is not None and task.is_running:
        st.fragment(_render_progress, run_every=_POLL_INTERVAL_S)(dataset)
        return
    html.render_hint(
        f"{dataset.title} is not downloaded yet. Size: {dataset.download_mb} MB; downloaded once and verified."
    )
    if task is not None and task.error:
        html.render_error(task.error)
    st.button(
        "Download",
        key="data-fetch",
        type="primary",
        on_click=get_background_tasks().start,
        args=(_DOWNLOAD_TASK, dataset.name),
    )
    with st.expander("Offline installation", on_change="rerun", key="data-offline") as expander:
        if expander.open:
            html.render_hint("Copy these files to these paths, then press Download.")
            html.render_key_value_table([(str(path), url) for path, url in list_required_files(dataset.name)])


def _render_progress(dataset: Dataset) -> None:
    task = get_background_tasks().get_latest(_DOWNLOAD_TASK, dataset.name)
    if task is None or not task.is_running or is_available(dataset):
        st.rerun()
    progress = task.progress
    amount = f": {progress.completed / 1e6:.1f} of {progress.total / 1e6:.1f} MB" if progress.total else " …"
    st.progress(progress.fraction, f"{progress.stage}{amount}")
    st.button("Cancel", key="data-fetch-cancel", on_click=task.cancel, help="Partial downloads are kept.")
