"""Somebody who looks inside a run without a browser: ``python -m benchmarks.looker RUN SECONDS``.

Draws the page Look inside every so many seconds, each time at another layer, until the run is over: what looking
costs the machine on which the app runs, without what painting costs the one that shows it.
"""

import sys
import time

from streamlit.testing.v1 import AppTest

from playground.engine.runs.repository import find_run
from playground.interpret.model import limit_threads


def _render_page() -> None:
    import streamlit as st

    from playground.ui.pages.inspect import page as inside

    st.session_state["pages"] = {}
    inside.render_inspect_page()


def main(run_id: str, interval_s: str) -> None:
    limit_threads()
    run = find_run(run_id)
    layers = [layer.id for layer in run.record.architecture.layers]
    app = AppTest.from_function(_render_page, default_timeout=60)
    app.query_params["run"] = run_id
    number = 0
    while not run.read_history().is_over:
        begun = time.monotonic()
        app.run()
        assert not app.exception
        app.session_state["playground"].inspect.layer_id = layers[number % len(layers)]
        number += 1
        time.sleep(max(0.0, float(interval_s) - (time.monotonic() - begun)))


if __name__ == "__main__":
    main(*sys.argv[1:])
