"""Share links below the path of a proxy, and results of imports beside the text or file that they belong to."""

import json

import pytest
from streamlit.testing.v1 import AppTest

from playground.core.presets import get_architecture_preset, get_recipe_preset
from playground.core.share_link import encode_link
from playground.ui.panels.share import make_share_url
from tests.ui.apps import html_of, state_of

_CODE = "nn.Sequential(nn.Flatten(), nn.Linear(784, 10))"
_UNSUPPORTED = "nn.Sequential(nn.Flatten(), nn.Transformer())"


@pytest.mark.parametrize(
    ("app_url", "expected"),
    [
        ("http://localhost:8501", "http://localhost:8501/?net=1.abc"),
        ("http://localhost:8501/", "http://localhost:8501/?net=1.abc"),
        ("http://localhost:8501/class/cnn/", "http://localhost:8501/class/cnn/?net=1.abc"),
        ("https://hub.example.org/user/a%20b/proxy/8501", "https://hub.example.org/user/a%20b/proxy/8501/?net=1.abc"),
        ("https://example.org/cnn/?run=x#top", "https://example.org/cnn/?net=1.abc"),
    ],
)
def test_share_link_keeps_the_path_of_a_proxy(app_url: str, expected: str) -> None:
    assert make_share_url(app_url, "1.abc") == expected


def _upload(page: AppTest, name: str, content: bytes) -> None:
    page.file_uploader(key="import-file").upload(name, content).run()


def _paste(page: AppTest, text: str) -> None:
    page.text_area(key="import-text").set_value(text)
    page.button(key="import-read").click().run()


@pytest.fixture
def panel(app: AppTest) -> AppTest:
    app.session_state["import"] = True
    return app.run()


def test_result_of_an_earlier_text_is_no_longer_shown(panel: AppTest) -> None:
    _paste(panel, _UNSUPPORTED)
    assert "Transformer() is not supported" in html_of(panel)
    panel.text_area(key="import-text").set_value(_CODE).run()
    assert "Transformer() is not supported" not in html_of(panel)
    panel.button(key="import-read").click().run()
    assert "Imported 2 layers." in html_of(panel)
    _paste(panel, " ")
    assert "The text is empty." in html_of(panel)
    assert "Imported" not in html_of(panel)


def test_result_of_a_text_gives_way_to_that_of_a_file_and_goes_with_it(panel: AppTest) -> None:
    _paste(panel, _UNSUPPORTED)
    _upload(panel, "model.h5", b"\x89HDF\r\n\x1a\n")
    assert "model.h5 cannot be imported: it is an HDF5 file of Keras" in html_of(panel)
    assert "Transformer() is not supported" not in html_of(panel)
    panel.file_uploader(key="import-file").clear().run()
    assert "model.h5" not in html_of(panel)
    assert not panel.exception


_GUIDE = get_architecture_preset("guide").architecture
_NOTEBOOK = {"nbformat": 4, "cells": [{"cell_type": "code", "source": [f"model = {_CODE}"]}], "metadata": {}}
FILES = {
    "notebook.ipynb": json.dumps(_NOTEBOOK).encode(),
    "UTF-16.py": _CODE.encode("utf-16"),
    "network.json": b"\xef\xbb\xbf" + get_architecture_preset("logistic").architecture.to_canonical_json().encode(),
    "link.txt": f"<https://example.org/?net={encode_link(_GUIDE, get_recipe_preset('sprint').recipe)}>".encode(),
}


@pytest.mark.parametrize("name", FILES)
def test_file_is_imported(panel: AppTest, name: str) -> None:
    _upload(panel, name, FILES[name])
    layers = len(_GUIDE.layers) if name == "link.txt" else 2
    assert f"Imported {layers} layers." in html_of(panel)
    assert len(state_of(panel).editor.architecture.layers) == layers


def test_page_accepts_files_that_are_refused_with_advice(panel: AppTest) -> None:
    types = panel.file_uploader(key="import-file").allowed_type
    assert {".py", ".ipynb", ".keras", ".safetensors", ".h5", ".pt", ".onnx"} <= set(types)
