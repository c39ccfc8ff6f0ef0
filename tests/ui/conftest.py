"""The app without worker processes."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from playground.ui import services
from tests.ui.apps import SCRIPT, NoWorkers


@pytest.fixture
def app(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[AppTest]:
    """The app with an empty data folder, before its first script run."""
    st.cache_resource.clear()
    monkeypatch.setattr(services, "Scheduler", NoWorkers)
    # It would start at any time, also in a later test of this process, and use the pretrained model.
    monkeypatch.setattr(services, "prepare_detector", lambda: None)
    yield AppTest.from_file(SCRIPT, default_timeout=60)
    st.cache_resource.clear()
