"""Load of the Inspect page without a browser: ``python -m benchmarks.contenders.inspect_load RUN SECONDS``.

Renders the Inspect page at another layer every so many seconds until the run is over. This is the cost for the machine
that runs the app, without the cost of painting in a browser.
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
    while True:
        started_at = time.monotonic()
        app.run()
        assert not app.exception
        if run.read_history().is_over:
            break
        app.session_state["playground"].inspect.layer_id = layers[number % len(layers)]
        number += 1
        time.sleep(max(0.0, float(interval_s) - (time.monotonic() - started_at)))


if __name__ == "__main__":
    main(*sys.argv[1:])
