"""Long computations on a page: bounded over all sessions, with a progress bar, and canceled by any click."""

import os
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from typing import NoReturn, TypeVar, cast

import streamlit as st
from streamlit.delta_generator import DeltaGenerator
from streamlit.errors import StreamlitAPIException

from playground.engine.progress import Steps

Step = TypeVar("Step")
Result = TypeVar("Result")

MAX_CONCURRENT_STEPS = max(2, (os.cpu_count() or 2) // 2)
"""Number of sessions that compute at a time; the others wait for their turn. The other cores are for training."""

# Few threads also bound the memory: the C library keeps some of it for every thread that computed.
_pool = ThreadPoolExecutor(MAX_CONCURRENT_STEPS, thread_name_prefix="computation")


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
    """Take the steps of a computation in one of the threads that all sessions share.

    A result that is known, and the first progress of another one, come without waiting for a thread. Between two steps
    the script can be stopped: by a click, or because the page was left. Then the computation ends, unless other
    sessions wait for it, too.
    """
    with closing(steps):
        step, result = _take_step(steps)
        while step is not None:
            yield step
            step, result = _pool.submit(_take_step, steps).result()
        return cast("Result", result)


def compute_in_turn(compute: Callable[[], Result]) -> Result:
    """Compute without progress in one of the threads that all sessions share."""
    return _pool.submit(compute).result()


def _take_step(steps: Generator[Step, None, Result]) -> tuple[Step | None, Result | None]:
    """Return the next step, or None and the result; a StopIteration cannot pass through a future."""
    try:
        return next(steps), None
    except StopIteration as end:
        return None, end.value


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
