"""Next steps after a run: its mistakes, its layers, and a comparison."""

import streamlit as st

from playground.core.events import Evaluated
from playground.engine.runs.run import Run
from playground.ui.state import get_app_state


def render_next_steps(run: Run, test: Evaluated) -> None:
    """Render buttons for the pages that explain a completed run."""
    mistake_count = test.size - round(test.accuracy * test.size)
    steps = [
        ("inside", "next-inspect", "Look inside", "search", "Filters, feature maps, and the reasons for an answer."),
        ("runs", "next-compare", "Compare runs", "show_chart", "This run's curves beside those of other runs."),
    ]
    if mistake_count:
        label = f"See its {mistake_count:,} mistakes" if mistake_count > 1 else "See its mistake"
        tooltip = f"The {test.size:,} test images, by true and predicted class."
        steps.insert(0, ("mistakes", "next-mistakes", label, "grid_on", tooltip))
    with st.container(horizontal=True, vertical_alignment="center", gap="small", key="next-steps"):
        for page, key, label, icon, tooltip in steps:
            # No callback: it would rerun only the fragment.
            if st.button(label, key=key, icon=f":material/{icon}:", help=tooltip):
                _open_page(page, run)


def _open_page(name: str, run: Run) -> None:
    get_app_state().inspect.run_id = run.id
    st.switch_page(st.session_state["pages"][name])
