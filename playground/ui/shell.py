"""The frame around every page: navigation, styles, and the state of the run at the top."""

from html import escape

import streamlit as st

from playground.engine.model.device import list_available_devices
from playground.engine.paths import find_bundled
from playground.errors import PlaygroundError
from playground.ui import html as markup
from playground.ui.canvas import CANVAS_CSS
from playground.ui.pages.data import page as data
from playground.ui.pages.inspect import page as inside
from playground.ui.pages.mistakes import page as mistakes
from playground.ui.pages.playground import page as playground
from playground.ui.pages.runs import page as runs
from playground.ui.services import get_scheduler
from playground.ui.state import get_app_state, get_run_history


def render_app() -> None:
    """Draw the app: called once for every run of the script."""
    st.set_page_config(page_title="CNN Playground", page_icon=str(find_bundled("assets/logo.svg")), layout="wide")
    st.html(f"<style>{find_bundled('assets/style.css').read_text(encoding='utf-8')}{CANVAS_CSS}</style>")
    st.logo(str(find_bundled("assets/wordmark.svg")), size="large")
    pages = {
        "playground": st.Page(
            playground.render_playground_page, title="Playground", url_path="playground", default=True
        ),
        "inside": st.Page(inside.render_inspect_page, title="Look inside", url_path="inside"),
        "mistakes": st.Page(mistakes.render_mistakes_page, title="Mistakes", url_path="mistakes"),
        "data": st.Page(data.render_data_page, title="Data", url_path="data"),
        "runs": st.Page(runs.render_runs_page, title="Runs", url_path="runs"),
    }
    st.session_state["pages"] = pages
    chosen = st.navigation(list(pages.values()), position="top")
    try:
        _render_status()
        chosen.run()
        # After the page is drawn, so that its start and the spare worker's do not fight for the cores.
        get_scheduler().ensure_spare_worker()
    except PlaygroundError as problem:
        markup.render_error(problem)


def _render_status() -> None:
    run = get_app_state().training.find_run()
    if run is None:
        text = f"no run · {', '.join(list_available_devices())}"
    else:
        history = get_run_history(run)
        started = history.start_event
        where = f" · {started.device}, {started.precision}" if started else ""
        text = f"{run.record.name} · {history.status}{where}"
    st.html(f'<div class="pg-status">{escape(text)}</div>')
