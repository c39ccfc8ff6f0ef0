"""Long computations on a page: bounded over all sessions, with a progress bar, and canceled by any click."""

import os
import threading
from collections.abc import Generator, Iterator
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext, suppress
from typing import NoReturn, TypeVar

import streamlit as st
from streamlit.delta_generator import DeltaGenerator
from streamlit.errors import StreamlitAPIException

from playground.engine.progress import Steps

Step = TypeVar("Step")
Result = TypeVar("Result")

MAX_CONCURRENT_STEPS = max(2, (os.cpu_count() or 2) // 2)
"""Number of sessions that compute at a time; the others wait for their turn. The other cores are for training."""

_step_slots = threading.BoundedSemaphore(MAX_CONCURRENT_STEPS)


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


def take_turns(steps: Generator[Step, None, Result]) -> Generator[Step, None, Result]:
    """Take the steps of a computation, waiting before each while ``MAX_CONCURRENT_STEPS`` sessions compute.

    A result that is known, and the first progress of another one, come without waiting. Between two steps the script
    can be stopped: by a click, or because the page was left. Then the computation ends, unless other sessions wait for
    it, too.
    """
    with closing(steps):
        turn: AbstractContextManager[object] = nullcontext()
        while True:
            with turn:
                try:
                    step = next(steps)
                except StopIteration as end:
                    result: Result = end.value
                    return result
            turn = _step_slots
            yield step


def run_with_progress(steps: Steps[Result], container: DeltaGenerator | None = None) -> Result:
    """Run a computation with a progress bar in a container, which is emptied afterwards."""
    container = container or st.empty()
    with closing(take_turns(steps)) as turns:
        while True:
            try:
                progress = next(turns)
            except StopIteration as end:
                container.empty()
                result: Result = end.value
                return result
            container.progress(progress.fraction, f"{progress.stage} …")
