"""Forward times of the presets in the browser: ``python -m benchmarks.browser_engine [--only guide] [--rounds 200]``.

Each preset runs in Chromium, in the worker that the app starts, with untrained weights.
"Forward" is the computation of all layers, with WebAssembly and in plain JavaScript; "round trip" lasts from the image
on the page to the values of all layers on the page, with WebAssembly.
"""

import argparse
from base64 import b64encode
from typing import Any

from playwright.sync_api import Browser, sync_playwright

from benchmarks.data import print_table
from playground.core.architecture import Architecture
from playground.core.presets import ARCHITECTURE_PRESETS
from playground.core.summary import summarize
from playground.engine.model.build import build_model
from playground.interpret.browser_network import encode_model
from playground.interpret.model import Model
from playground.web.assets import read_engine_script
from tests.browser.conftest import find_browser_or_skip

_WARM_UP_ROUNDS = 20
_MEASURE = """
async ({ content, rounds, mayUseWebAssembly }) => {
  const bytes = Uint8Array.from(atob(content), (character) => character.charCodeAt(0))
  const listener = {}
  const engine = cnnEngine.startEngine({
    mayUseWebAssembly,
    onLoad: (description) => listener.resolve(description),
    onResult: (result) => listener.resolve(result),
    onError: (message) => listener.reject(new Error(message)),
  })
  const next = (start) => new Promise((resolve, reject) => {
    Object.assign(listener, { resolve, reject })
    start()
  })
  const description = await next(() => engine.load(bytes.buffer))
  const count = description.inputShape.reduce((product, size) => product * size, 1)
  const image = Float32Array.from({ length: count }, (_, index) => (index % 5 === 0 ? (index % 7) / 6 : 0))
  const forward = []
  const roundTrip = []
  for (let round = 0; round < rounds; round++) {
    const startedAt = performance.now()
    const { elapsedMs } = await next(() => engine.run(image))
    roundTrip.push(performance.now() - startedAt)
    forward.push(elapsedMs)
    await new Promise((resolve) => setTimeout(resolve, 1))
  }
  engine.stop()
  return { forward, roundTrip, mode: engine.mode, hasWebAssembly: description.hasWebAssembly }
}
"""


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="*", default=None, help="Names of presets.")
    parser.add_argument("--rounds", type=int, default=200)
    options = parser.parse_args()
    presets = {name: preset.architecture for name, preset in ARCHITECTURE_PRESETS.items() if not preset.is_broken}
    rows = [["median / p95 in ms", "million multiply-adds", "WebAssembly", "plain JavaScript", "round trip"]]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find_browser_or_skip(), args=["--no-sandbox"])
        for name, architecture in presets.items():
            if options.only is None or name in options.only:
                rows.append([name, *_measure_network(browser, architecture, options.rounds)])
        browser.close()
    print_table(rows)


def _measure_network(browser: Browser, architecture: Architecture, rounds: int) -> list[str]:
    model = Model("benchmark", 0, architecture, build_model(architecture).eval().requires_grad_(False))
    page = browser.new_page()
    page.add_script_tag(content=read_engine_script())
    arguments = {"content": b64encode(encode_model(model)).decode(), "rounds": rounds + _WARM_UP_ROUNDS}
    with_wasm, plain = (
        page.evaluate(_MEASURE, {**arguments, "mayUseWebAssembly": may_use}) for may_use in (True, False)
    )
    page.close()
    assert with_wasm["mode"] == plain["mode"] == "worker"
    assert (with_wasm["hasWebAssembly"], plain["hasWebAssembly"]) == (True, False)
    multiply_adds = f"{summarize(architecture).multiply_adds / 1e6:.2f}"
    times = (with_wasm["forward"], plain["forward"], with_wasm["roundTrip"])
    return [multiply_adds, *(_format_times(values[_WARM_UP_ROUNDS:]) for values in times)]


def _format_times(times: list[Any]) -> str:
    ordered = sorted(times)
    return f"{ordered[len(ordered) // 2]:.2f} / {ordered[int(len(ordered) * 0.95)]:.2f}"


if __name__ == "__main__":
    main()
