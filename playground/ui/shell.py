"""The frame around every page: navigation, styles, and the state of the run at the top."""

from html import escape

import streamlit as st

from playground.engine.model.device import available_devices
from playground.engine.paths import bundled
from playground.errors import PlaygroundError
from playground.ui import html as markup
from playground.ui.canvas import CANVAS_CSS
from playground.ui.pages.data import page as data
from playground.ui.pages.inspect import page as inside
from playground.ui.pages.mistakes import page as mistakes
from playground.ui.pages.playground import page as playground
from playground.ui.pages.runs import page as runs
from playground.ui.services import supervisor
from playground.ui.state import app_state, run_history


def show() -> None:
    """Draw the app: called once for every run of the script."""
    st.set_page_config(page_title="CNN Playground", page_icon=str(bundled("assets/logo.svg")), layout="wide")
    st.html(f"<style>{bundled('assets/style.css').read_text(encoding='utf-8')}{CANVAS_CSS}</style>")
    st.logo(str(bundled("assets/wordmark.svg")), size="large")
    pages = {
        "playground": st.Page(playground.page, title="Playground", url_path="playground", default=True),
        "inside": st.Page(inside.page, title="Look inside", url_path="inside"),
        "mistakes": st.Page(mistakes.page, title="Mistakes", url_path="mistakes"),
        "data": st.Page(data.page, title="Data", url_path="data"),
        "runs": st.Page(runs.page, title="Runs", url_path="runs"),
    }
    st.session_state["pages"] = pages
    chosen = st.navigation(list(pages.values()), position="top")
    try:
        _status()
        chosen.run()
        # After the page is drawn, so that its start and the spare worker's do not fight for the cores.
        supervisor().warm()
    except PlaygroundError as problem:
        markup.problem(problem)


def _status() -> None:
    run = app_state().run
    if run is None:
        text = f"no run · {', '.join(available_devices())}"
    else:
        history = run_history(run)
        started = history.started
        where = f" · {started.device}, {started.precision}" if started else ""
        text = f"{run.record.name} · {history.phase}{where}"
    st.html(f'<div class="pg-status">{escape(text)}</div>')
