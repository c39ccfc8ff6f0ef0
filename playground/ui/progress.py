"""Long work on a page: a bar while it goes on, and the answer at its end."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import NoReturn, TypeVar

import streamlit as st
from streamlit.delta_generator import DeltaGenerator
from streamlit.errors import StreamlitAPIException

from playground.engine.progress import Progress
from playground.errors import PlaygroundError

Result = TypeVar("Result")


def rerun_fragment_or_page() -> NoReturn:
    """Draw this fragment anew, or the page where it is being drawn as a whole: Streamlit allows each only there."""
    with suppress(StreamlitAPIException):
        st.rerun(scope="fragment")
    st.rerun()


@contextmanager
def show_stop_button(key: str) -> Iterator[DeltaGenerator]:
    """A place to show work that goes on, with a button beside it that ends it; both are gone afterwards.

    A click anywhere ends the script, and with it the work: the button needs to do nothing more.
    """
    place, button = st.empty(), st.empty()
    button.button("Stop", key=key)
    try:
        yield place
    finally:
        place.empty()
        button.empty()


def run_with_progress(steps: Iterator[tuple[Progress, Result | None]]) -> Result:
    """Drive work that yields (progress, None) and at last (progress, answer); no bar where it is there at once.

    A click anywhere ends the script, and with it the work. Raises PlaygroundError for work without an answer.
    """
    place = st.empty()
    found: Result | None = None
    for progress, found in steps:
        if found is None:
            place.progress(progress.fraction, f"{progress.stage} …")
    place.empty()
    if found is None:
        raise PlaygroundError("The work ended without an answer.", fix="Try again.")
    return found
