"""The browser engine in Chromium: from a file without network, under a strict policy, and under a burst of images."""

import json
from base64 import b64encode
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Browser

from playground.engine.runs.record import PRETRAINED
from playground.engine.runs.repository import find_run
from playground.interpret.browser_network import encode_model
from playground.interpret.evaluation.predict import predict
from playground.interpret.model import Model, load_model
from playground.web.assets import read_engine_script

pytestmark = pytest.mark.browser

STRICT_POLICY = "default-src 'none'; script-src 'unsafe-inline'"
"""Forbids workers and WebAssembly."""

PROGRAM = """
const bytes = Uint8Array.from(atob(INPUT.content), (character) => character.charCodeAt(0))
const results = []
window.answer = new Promise((resolve, reject) => {
  const engine = cnnEngine.startEngine({
    onLoad: () => INPUT.images.forEach((image) => engine.run(Float32Array.from(image))),
    onResult: ({ image, probabilities }) => {
      results.push([...probabilities])
      const isLast = image.every((value, index) => value === Math.fround(INPUT.images.at(-1)[index]))
      const { hasWebAssembly } = engine.description
      if (isLast) resolve({ results, mode: engine.mode, hasWebAssembly })
    },
    onError: (message) => reject(new Error(message)),
  })
  engine.load(bytes.buffer)
})
"""


@pytest.fixture(scope="module")
def model() -> Model:
    return load_model(find_run(PRETRAINED))


def run_page(browser: Browser, model: Model, images: np.ndarray[Any, Any], folder: Path, policy: str = "") -> Any:
    """Open a page from a file with the network switched off, and return the answer of its program."""
    data = json.dumps({"content": b64encode(encode_model(model)).decode(), "images": images.tolist()})
    path = folder / "page.html"
    meta = f'<meta http-equiv="Content-Security-Policy" content="{policy}">' if policy else ""
    script = f"<script>{read_engine_script()}</script><script>const INPUT = {data}\n{PROGRAM}</script>"
    path.write_text(f'<!doctype html><meta charset="utf-8">{meta}{script}', encoding="utf-8")
    context = browser.new_context(offline=True)
    page = context.new_page()
    requested: list[str] = []
    page.on("request", lambda request: requested.append(request.url))
    page.goto(path.as_uri())
    answer = page.evaluate("window.answer")
    context.close()
    assert [url for url in requested if not url.startswith(("file:", "blob:"))] == []
    return answer


def draw_images(count: int) -> np.ndarray[Any, Any]:
    return np.random.default_rng(3).random((count, 784)).astype(np.float32)


@pytest.mark.parametrize(
    ("policy", "mode", "has_wasm"), [("", "worker", True), (STRICT_POLICY, "page", False)], ids=["free", "strict"]
)
def test_page_from_a_file_has_the_servers_probabilities(
    browser: Browser, model: Model, tmp_path: Path, policy: str, mode: str, has_wasm: bool
) -> None:
    images = draw_images(1)
    answer = run_page(browser, model, images, tmp_path, policy)
    assert (answer["mode"], answer["hasWebAssembly"]) == (mode, has_wasm)
    expected = predict(model, [images[0].reshape(1, 28, 28)])[0].probabilities
    np.testing.assert_allclose(answer["results"][0], expected, atol=1e-5)


def test_only_the_latest_of_many_images_is_computed(browser: Browser, model: Model, tmp_path: Path) -> None:
    images = draw_images(50)
    answer = run_page(browser, model, images, tmp_path)
    assert len(answer["results"]) == 2
    expected = predict(model, [images[-1].reshape(1, 28, 28)])[0].probabilities
    np.testing.assert_allclose(answer["results"][-1], expected, atol=1e-5)
