"""How the app feels, measured in Chromium against the real server: ``python -m benchmarks.app_figures``.

Prints a table of medians (and 95th percentiles): start of the server to a usable page, click to the first point of the
chart, stroke to prediction, layer to maps, memory. Needs the ``test`` extra.
"""

import os
import shutil
import tempfile
import time
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

from benchmarks.app import (
    CURVE_POINTS_JS,
    Server,
    format_milliseconds,
    format_seconds,
    open_page,
    read_memory_mb,
    start_server,
    wait_for_spare_worker,
)

STROKE_COUNT = 20


def main() -> None:
    home = Path(tempfile.mkdtemp(prefix="cnn-playground-benchmark-"))
    os.environ["CNN_PLAYGROUND_HOME"] = str(home)
    rows: list[tuple[str, str]] = []
    try:
        with sync_playwright() as playwright:
            path = shutil.which("chromium") or shutil.which("google-chrome")
            browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
            starts = []
            for _ in range(3):
                server, url = start_server()
                begun = time.monotonic()
                page = open_page(browser, url)
                starts.append(time.monotonic() - begun + server.startup_s)
                if len(starts) < 3:
                    page.context.close()
                    server.stop()
            rows.append(("server start to usable page", format_seconds(starts)))
            rows += measure_memory(browser, server, url)
            rows += measure_training(page, server)
            rows += measure_drawing(page)
            rows += measure_inspecting(page)
            browser.close()
            server.stop()
    finally:
        shutil.rmtree(home, ignore_errors=True)
    width = max(len(name) for name, _ in rows)
    for name, value in rows:
        print(f"{name:<{width}}  {value}")


def measure_memory(browser: Browser, server: Server, url: str) -> list[tuple[str, str]]:
    wait_for_spare_worker(server)
    app, spare = read_memory_mb(server.process.pid), read_memory_mb(server.list_child_pids()[0])
    pages = [open_page(browser, url) for _ in range(4)]
    time.sleep(2)
    each = (read_memory_mb(server.process.pid)[0] - app[0]) / len(pages)
    for page in pages:
        page.context.close()
    return [
        ("memory of the app, no run (resident, proportional)", f"{app[0]:.0f} MB, {app[1]:.0f} MB"),
        ("memory of the warm spare worker", f"{spare[0]:.0f} MB, {spare[1]:.0f} MB"),
        ("one more open page", f"{each:.1f} MB"),
    ]


def measure_training(page: Page, server: Server) -> list[tuple[str, str]]:
    times, worker = [], 0.0
    for _ in range(3):
        wait_for_spare_worker(server)
        begun = time.monotonic()
        page.locator(".st-key-train-start button:visible").click()
        page.wait_for_function(f"{CURVE_POINTS_JS} > 0")
        times.append(time.monotonic() - begun)
        page.wait_for_function(f"{CURVE_POINTS_JS} > 60", timeout=120_000)
        worker = read_memory_mb(server.list_child_pids()[0])[0]
        page.locator(".st-key-train-reset button:visible").click()
    return [
        ("click on Train to first point, warm", format_seconds(times)),
        ("memory of a training worker", f"{worker:.0f} MB"),
    ]


def measure_drawing(page: Page) -> list[tuple[str, str]]:
    times = []
    box = page.locator(".st-key-canvas canvas.upper-canvas").bounding_box()
    assert box is not None
    page.wait_for_selector(".st-key-prediction .pg-bar")
    seen = "(document.querySelector('.st-key-prediction')?.innerText ?? '')"
    for place in range(STROKE_COUNT):
        page.wait_for_timeout(700)  # whatever is still on its way belongs to the stroke before
        before = page.evaluate(seen)
        x = box["x"] + 40 + 8 * place
        page.mouse.move(x, box["y"] + 40)
        page.mouse.down()
        page.mouse.move(x + 20, box["y"] + 200, steps=6)
        page.mouse.up()
        begun = time.monotonic()
        try:
            page.wait_for_function(f"before => {seen} !== before", arg=before, timeout=3000, polling=10)
            times.append(time.monotonic() - begun)
        except Exception:  # the bars may round to the same figures; such a stroke says nothing
            continue
    return [("end of a stroke to new probabilities", format_milliseconds(times))]


def measure_inspecting(page: Page) -> list[tuple[str, str]]:
    times = []
    page.locator('[data-testid="stTopNavLink"]').filter(has_text="Inspect").click()
    page.wait_for_selector('[data-testid="stMain"] .pg-table')
    image = "(document.querySelector('[data-testid=stColumn]:nth-child(2) img')?.src ?? '')"
    for place in range(20):
        layer = ("1 Conv", "3 Conv", "2 Max-pool", "5 Conv", "4 Max-pool")[place % 5]
        before = page.evaluate(image)
        begun = time.monotonic()
        page.get_by_text(layer, exact=True).click()
        page.wait_for_function(f"before => {image} !== before", arg=before, polling=10)
        times.append(time.monotonic() - begun)
    return [("layer chosen to its maps", format_milliseconds(times))]


if __name__ == "__main__":
    main()
