"""Fetching a data set from a page: what it takes, how far it is, a way to stop it, and what to do offline."""

import streamlit as st

from playground.core.datasets import Dataset
from playground.engine.data.fetch import files_wanted
from playground.engine.data.registry import is_here
from playground.ui import html as markup
from playground.ui.services import errands

_LOOK_S = 0.5
_FETCH = "playground.engine.data.fetch"


def fetch_panel(dataset: Dataset) -> None:
    """A button to begin with; then its progress, followed until it is over."""
    fetch = errands().last(_FETCH, dataset.name)
    if fetch is not None and fetch.is_going_on:
        st.fragment(_progress, run_every=_LOOK_S)(dataset)
        return
    markup.hint(f"{dataset.title} is not on this machine yet: {dataset.download_mb} MB, fetched once and checked.")
    if fetch is not None and fetch.problem:
        markup.problem(fetch.problem)
    st.button("Fetch it", key="data-fetch", type="primary", on_click=errands().start, args=(_FETCH, dataset.name))
    with st.expander("Without a way to the internet", on_change="rerun", key="data-offline") as expander:
        if expander.open:
            markup.hint("Put these files there, and press Fetch it.")
            markup.table([(str(path), url) for path, url in files_wanted(dataset.name)])


def _progress(dataset: Dataset) -> None:
    fetch = errands().last(_FETCH, dataset.name)
    if fetch is None or not fetch.is_going_on or is_here(dataset):
        st.rerun()
    progress = fetch.progress
    share = progress.done / progress.total if progress.total else 0.0
    amount = f": {progress.done / 1e6:.1f} of {progress.total / 1e6:.1f} MB" if progress.total else " …"
    st.progress(min(1.0, share), f"{progress.doing}{amount}")
    st.button("Cancel", key="data-fetch-cancel", on_click=fetch.cancel, help="What was fetched is kept.")
