"""Publication of a run as a web page: its options, and the download of the page."""

from functools import partial

import streamlit as st

from playground.core.datasets import CUSTOM_ORIGIN
from playground.engine.runs.run import Run
from playground.errors import PlaygroundError
from playground.export.web_page import PageOptions, WebPage, find_weight_type, render_web_page
from playground.ui import html
from playground.ui.progress import compute_in_turn

_WEIGHT_TYPES = {"float32": "float32: exact", "float16": "float16: half the size"}


def render_publish_panel(run: Run, *, key: str) -> None:
    """Render the options of a web page, the button that creates it, and the last page of this run."""
    with st.container(key=f"{key}-page", gap="small"):
        html.render_title("Web page")
        html.render_hint(
            "One HTML file that runs this network in any browser, also without a connection: canvas, probabilities, "
            "feature maps of every layer and their arithmetic. Import reads it again."
        )
        title = st.text_input("Title", run.record.name, key=f"{key}-page-title-{run.id}", max_chars=80)
        weights = st.segmented_control(
            "Weights",
            list(_WEIGHT_TYPES),
            default="float32",
            required=True,
            format_func=lambda name: _WEIGHT_TYPES[name],
            key=f"{key}-page-weights",
            help="The page states the accuracy of both.",
        )
        includes_images = False
        if run.get_dataset().origin == CUSTOM_ORIGIN:
            includes_images = st.checkbox(
                "Include test images of this dataset",
                key=f"{key}-page-images",
                help="Off: the page contains no image of your dataset. On: everybody who gets the page can see some.",
            )
        is_requested = st.button("Create web page", key=f"{key}-page-create")
        options = PageOptions(title, find_weight_type(weights or "float32"), includes_images)
        _render_page_download(run, options, key=f"{key}-page-made", is_requested=is_requested)


def _render_page_download(run: Run, options: PageOptions, *, key: str, is_requested: bool) -> None:
    """Create the requested page, and offer the last one that was created with these options."""
    if is_requested:
        try:
            with st.spinner("Evaluating the network and creating the page …"):
                st.session_state[key] = (run.id, options, compute_in_turn(partial(render_web_page, run, options)))
        except PlaygroundError as error:
            st.session_state.pop(key, None)
            html.render_error(error)
    made: tuple[str, PageOptions, WebPage] | None = st.session_state.get(key)
    if made is None or made[:2] != (run.id, options):
        return
    page = made[2]
    st.download_button(
        f"Download {page.file_name} ({len(page.content) / 1e6:.2f} MB)",
        page.content,
        page.file_name,
        "text/html",
        key=f"{key}-download",
        type="primary",
        on_click="ignore",
    )
    for remark in page.remarks:
        html.render_hint(remark)
