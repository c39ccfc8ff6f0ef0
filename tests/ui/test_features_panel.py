"""The panel of features through AppTest, with the real process behind it."""

from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from playground.engine.background_task import BackgroundTask
from playground.engine.data.custom.store import list_custom_datasets
from playground.ui import services as server
from playground.ui.pages.data import features
from tests.random_extractor import light_and_dark, put_random_weights
from tests.ui.test_data_page import data_page  # noqa: F401 -- a fixture
from tests.ui.test_pages import app, html_of, state_of  # noqa: F401 -- app is a fixture


@pytest.fixture
def panel(data_page: AppTest) -> AppTest:  # noqa: F811
    """The data page with the panel open, and small images chosen."""
    name = light_and_dark()
    data_page.session_state["features"] = True
    data_page.run()
    return data_page.selectbox(key="data-name").set_value(name).run()


def errand_of(page: AppTest) -> BackgroundTask:
    command = state_of(page).data.extraction_task_key
    assert command is not None
    errand = server.get_background_tasks().get_latest(*command)
    assert errand is not None
    return errand


def test_features_become_the_data_set_that_is_shown(panel: AppTest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(features, "_EXTRACTION_TASK", "tests.random_extractor")
    put_random_weights("mobilenet_v3_small")
    panel.selectbox(key="features-by").set_value("mobilenet_v3_small").run()
    assert "10 MB are fetched first" in html_of(panel)
    panel.button(key="features-start").click().run()
    assert not panel.exception
    assert panel.button(key="features-cancel")
    errand_of(panel).wait()
    panel.run()
    assert not panel.exception
    (made,) = (name for name in list_custom_datasets() if "mobilenet" in name)
    assert panel.selectbox(key="data-name").value == made
    assert "Light by MobileNetV3-Small" in html_of(panel)
    assert "Features of a pretrained network, extracted from Light. Your own images." in html_of(panel)
    panel.button(key="data-use").click().run()
    assert state_of(panel).editor.architecture.input.shape == (1, 24, 24)
    assert not panel.exception


def test_without_a_network_the_problem_stands_beside_the_form(
    panel: AppTest, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for scheme in ("http", "https"):
        monkeypatch.setenv(f"{scheme}_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("no_proxy", "")
    panel.button(key="features-start").click().run()
    errand_of(panel).wait()
    panel.run()
    assert not panel.exception
    assert "ResNet-18 cannot be downloaded" in html_of(panel)
    assert f"put resnet18-f37072fd.pth into {home / 'datasets' / 'torchvision'} by hand" in html_of(panel)
    assert not panel.button(key="features-start").disabled


def test_a_cancel_brings_the_form_back(panel: AppTest) -> None:
    panel.button(key="features-start").click().run()
    errand = errand_of(panel)
    panel.button(key="features-cancel").click().run()
    errand.wait()
    panel.run()
    assert not panel.exception
    assert errand.error is None
    assert panel.button(key="features-start")
    assert len(list_custom_datasets()) == 1


def test_there_is_nothing_to_look_at_before_a_data_set_is_here(panel: AppTest) -> None:
    panel.selectbox(key="data-name").set_value("kmnist").run()
    assert not panel.exception
    assert not [button for button in panel.button if button.key == "features-start"]
