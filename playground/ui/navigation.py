"""The frame of every page: navigation, styles and the status of the attached run."""

from html import escape

import streamlit as st

from playground.engine.model.device import list_available_devices
from playground.engine.paths import find_bundled
from playground.engine.runs.record import PRETRAINED
from playground.engine.runs.run import Run
from playground.errors import PlaygroundError
from playground.ui import html
from playground.ui.actions import describe_status
from playground.ui.canvas import CANVAS_CSS
from playground.ui.pages.data.page import render_data_page
from playground.ui.pages.inspect.page import render_inspect_page
from playground.ui.pages.mistakes.page import render_mistakes_page
from playground.ui.pages.playground.page import render_playground_page
from playground.ui.pages.runs.page import render_runs_page
from playground.ui.services import find_run_or_none, get_scheduler
from playground.ui.shortcuts import render_shortcuts_popover
from playground.ui.state import get_app_state, get_run_history

_INSPECTING_PAGES = ("inside", "mistakes")
"""Paths of the pages that show the run chosen on them."""
_STATUS_INTERVAL_S = 1.0


def render_app() -> None:
    """Render the app; called for every run of the script."""
    st.set_page_config(page_title="CNN Playground", page_icon=str(find_bundled("assets/logo.svg")), layout="wide")
    st.html(f"<style>{find_bundled('assets/style.css').read_text(encoding='utf-8')}{CANVAS_CSS}</style>")
    st.logo(str(find_bundled("assets/wordmark.svg")), size="large")
    pages = {
        "playground": st.Page(render_playground_page, title="Playground", url_path="playground", default=True),
        "inside": st.Page(render_inspect_page, title="Inspect", url_path="inside"),
        "mistakes": st.Page(render_mistakes_page, title="Mistakes", url_path="mistakes"),
        "data": st.Page(render_data_page, title="Data", url_path="data"),
        "runs": st.Page(render_runs_page, title="Runs", url_path="runs"),
    }
    st.session_state["pages"] = pages
    page = st.navigation(list(pages.values()), position="top")
    try:
        _render_status(page.url_path)
        render_shortcuts_popover()
        _render_notice()
        page.run()
        # After the page, so that its rendering and the start of the spare worker do not compete for the cores.
        get_scheduler().ensure_spare_worker()
    except PlaygroundError as error:
        html.render_error(error)


def _render_status(page_path: str) -> None:
    """Render name and status of the run that the page shows, and put its id into the address."""
    state = get_app_state()
    run_id = state.get_viewed_run_id(follows_inspect=page_path in _INSPECTING_PAGES)
    run = find_run_or_none(run_id)
    state.show_in_address(run.id if run else None)
    is_live = run is not None and (get_scheduler().is_active(run.id) or run.is_live())
    # A fragment: while a run trains, most of the page is not rendered again.
    st.fragment(_render_status_line, run_every=_STATUS_INTERVAL_S if is_live else None)(run)


def _render_status_line(run: Run | None) -> None:
    if run is None:
        text = f"No run · {', '.join(list_available_devices())}"
    elif run.id == PRETRAINED:
        text = "Pretrained model"
    else:
        history = get_run_history(run)
        start = history.start_event
        device = f" · {start.device}, {start.precision}" if start else ""
        text = f"{run.record.name} · {describe_status(get_app_state(), run, history)}{device}"
    st.html(f'<div class="pg-status">{escape(text)}</div>')


def _render_notice() -> None:
    notice = get_app_state().notice
    if notice is None:
        return
    with st.container(horizontal=True, vertical_alignment="center", gap="small", key="notice"):
        html.render_error(notice)
        st.button("Dismiss", key="notice-dismiss", on_click=_dismiss_notice)


def _dismiss_notice() -> None:
    get_app_state().notice = None
