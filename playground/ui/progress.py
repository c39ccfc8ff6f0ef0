"""Long computations on a page: a progress bar meanwhile, and a button that cancels."""

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
    """Rerun the current fragment, or the page outside of one; Streamlit allows a fragment rerun only inside."""
    with suppress(StreamlitAPIException):
        st.rerun(scope="fragment")
    st.rerun()


@contextmanager
def show_stop_button(key: str) -> Iterator[DeltaGenerator]:
    """Yield a container for progress with a Stop button beside it; both are removed afterwards.

    Any click stops the script and with it the computation, so the button needs no callback.
    """
    container, button = st.empty(), st.empty()
    button.button("Stop", key=key)
    try:
        yield container
    finally:
        container.empty()
        button.empty()


def run_with_progress(steps: Iterator[tuple[Progress, Result | None]]) -> Result:
    """Run a computation that yields (progress, None) and at last (progress, result), with a progress bar.

    Any click stops the script and with it the computation. Raises PlaygroundError if there is no result.
    """
    container = st.empty()
    result: Result | None = None
    for progress, result in steps:
        if result is None:
            container.progress(progress.fraction, f"{progress.stage} …")
    container.empty()
    if result is None:
        raise PlaygroundError("The computation ended without a result.", fix="Try again.")
    return result
