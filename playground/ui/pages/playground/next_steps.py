"""Next steps after a run: its mistakes, its layers, and a comparison."""

import streamlit as st

from playground.core.events import Evaluated
from playground.engine.runs.run import Run
from playground.ui.state import get_app_state


def render_next_steps(run: Run, test: Evaluated) -> None:
    """Render buttons for the pages that explain a completed run."""
    mistake_count = test.size - round(test.accuracy * test.size)
    with st.container(horizontal=True, vertical_alignment="center", gap="small", key="next-steps"):
        # No callbacks: they would rerun only the fragment.
        if mistake_count and st.button(
            f"See its {mistake_count:,} mistakes" if mistake_count > 1 else "See its mistake",
            key="next-mistakes",
            icon=":material/grid_on:",
            help=f"The {test.size:,} test images, by true and predicted class.",
        ):
            _open_page("mistakes", run)
        if st.button(
            "Look inside",
            key="next-inspect",
            icon=":material/search:",
            help="Filters, feature maps, and the reasons for an answer.",
        ):
            _open_page("inside", run)
        if st.button(
            "Compare runs",
            key="next-compare",
            icon=":material/show_chart:",
            help="This run's curves beside those of other runs.",
        ):
            _open_page("runs", run)


def _open_page(name: str, run: Run) -> None:
    get_app_state().inspect.run_id = run.id
    st.switch_page(st.session_state["pages"][name])
