"""Web pages in the app: publication from a run, and import of a published page."""

from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from playground.core.presets import get_architecture_preset
from playground.core.recipe import Recipe
from playground.engine.model.build import build_model
from playground.engine.runs.imported_weights import create_run_from_weights
from playground.engine.runs.run import Run
from playground.export.web_page import PageOptions, render_web_page
from tests.ui.apps import html_of, state_of

NETWORK = get_architecture_preset("logistic").architecture


@pytest.fixture
def run(home: Path) -> Run:
    return create_run_from_weights(NETWORK, Recipe(seed=9), build_model(NETWORK, seed=3).state_dict(), name="My net")


def _publish_panel() -> None:
    from playground.engine.runs.repository import list_runs
    from playground.ui.panels.publish import render_publish_panel

    render_publish_panel(list_runs()[0][0], key="test")


def list_downloads(page: AppTest) -> list[str]:
    return [button.proto.label for button in page.get("download_button")]


def test_page_is_created_by_a_click_and_then_downloaded(run: Run) -> None:
    panel = AppTest.from_function(_publish_panel, default_timeout=60).run()
    assert list_downloads(panel) == []
    panel.button(key="test-page-create").click().run()
    assert not panel.exception
    (label,) = list_downloads(panel)
    assert label.startswith("Download my-net.html (0.")
    assert "with float16 weights" in html_of(panel)
    assert "CC BY-SA 3.0" in html_of(panel)


def test_page_with_other_options_has_to_be_created_again(run: Run) -> None:
    panel = AppTest.from_function(_publish_panel, default_timeout=60).run()
    panel.button(key="test-page-create").click().run()
    panel.text_input(key=f"test-page-title-{run.id}").set_value("Better").run()
    assert list_downloads(panel) == []
    panel.button(key="test-page-create").click().run()
    assert list_downloads(panel)[0].startswith("Download better.html")


def test_images_of_a_bundled_dataset_need_no_consent(run: Run) -> None:
    assert not AppTest.from_function(_publish_panel, default_timeout=60).run().checkbox


def test_error_is_shown_and_no_page_is_offered(home: Path) -> None:
    weights = build_model(NETWORK).state_dict()
    weights["1.bias"].fill_(float("nan"))
    create_run_from_weights(NETWORK, Recipe(), weights)
    panel = AppTest.from_function(_publish_panel, default_timeout=60).run()
    panel.button(key="test-page-create").click().run()
    assert "are not finite" in html_of(panel)
    assert list_downloads(panel) == []


def test_published_page_is_imported_as_a_run_with_its_network(app: AppTest, run: Run) -> None:
    content = render_web_page(run, PageOptions(title="For a friend")).content
    app.session_state["import"] = True
    page = app.run()
    page.file_uploader(key="import-file").upload("net.html", content).run()
    assert not page.exception
    state = state_of(page)
    assert state.editor.import_result is not None
    assert "Created the run For a friend from the page." in state.editor.import_result.notes[0]
    imported = state.training.find_run()
    assert imported is not None
    assert imported.record.name == "For a friend"
    assert state.editor.architecture == NETWORK
    assert state.editor.recipe.seed == 9


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b'<html><script id="network-file" data-sha256="1">QUJD</script>', "net.html is damaged"),
        (b"<!doctype html><body>Hello</body>", "the source of a web page"),
    ],
    ids=["damaged", "another page"],
)
def test_page_that_cannot_be_imported_is_an_error(app: AppTest, home: Path, content: bytes, words: str) -> None:
    app.session_state["import"] = True
    page = app.run()
    page.file_uploader(key="import-file").upload("net.html", content).run()
    assert words in html_of(page)
    assert not page.exception
