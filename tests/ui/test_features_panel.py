"""Feature extraction panel through AppTest, with the real background process."""

from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from playground.engine.background_task import BackgroundTask
from playground.engine.data.custom.store import list_custom_datasets
from playground.ui.pages.data import features
from playground.ui.services import get_background_tasks
from tests.random_extractor import light_and_dark, put_random_weights
from tests.ui.apps import find, html_of, state_of
from tests.ui.test_data_page import data_page  # noqa: F401 -- a fixture


@pytest.fixture
def panel(data_page: AppTest) -> AppTest:  # noqa: F811
    """The Data page with the open panel and a dataset of small images."""
    name = light_and_dark()
    data_page.session_state["features"] = True
    data_page.run()
    return data_page.selectbox(key="data-name").set_value(name).run()


def get_task(page: AppTest) -> BackgroundTask:
    task_key = state_of(page).data.extraction_task_key
    assert task_key is not None
    task = get_background_tasks().get_latest(*task_key)
    assert task is not None
    return task


def test_extracted_features_become_the_selected_dataset(panel: AppTest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(features, "_EXTRACTION_TASK", "tests.random_extractor")
    put_random_weights("mobilenet_v3_small")
    panel.selectbox(key="features-by").set_value("mobilenet_v3_small").run()
    assert "10 MB are downloaded first" in html_of(panel)
    panel.button(key="features-start").click().run()
    assert not panel.exception
    assert panel.button(key="features-cancel")
    get_task(panel).wait()
    panel.run()
    assert not panel.exception
    (dataset_name,) = (name for name in list_custom_datasets() if "mobilenet" in name)
    assert find(panel.selectbox, "data-name").value == dataset_name
    assert "Light by MobileNetV3-Small" in html_of(panel)
    assert "Features of a pretrained network, extracted from Light. Your own images." in html_of(panel)
    panel.button(key="data-use").click().run()
    assert state_of(panel).editor.architecture.input.shape == (1, 24, 24)
    assert not panel.exception


def test_failed_download_shows_its_error_beside_the_form(
    panel: AppTest, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for scheme in ("http", "https"):
        monkeypatch.setenv(f"{scheme}_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("no_proxy", "")
    panel.button(key="features-start").click().run()
    get_task(panel).wait()
    panel.run()
    assert not panel.exception
    assert "ResNet-18 cannot be downloaded" in html_of(panel)
    assert f"put resnet18-f37072fd.pth into {home / 'datasets' / 'torchvision'} by hand" in html_of(panel)
    assert not panel.button(key="features-start").disabled


def test_cancel_restores_the_form(panel: AppTest) -> None:
    panel.button(key="features-start").click().run()
    task = get_task(panel)
    panel.button(key="features-cancel").click().run()
    task.wait()
    panel.run()
    assert not panel.exception
    assert task.error is None
    assert panel.button(key="features-start")
    assert len(list_custom_datasets()) == 1


def test_panel_is_hidden_for_a_missing_dataset(panel: AppTest) -> None:
    panel.selectbox(key="data-name").set_value("kmnist").run()
    assert not panel.exception
    assert not [button for button in panel.button if button.key == "features-start"]
