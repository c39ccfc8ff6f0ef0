"""Response times and memory of the app in Chromium: ``python -m benchmarks.app_figures [--rounds 3] [--strokes 20]``.

Prints medians and 95th percentiles: server start to usable page, click on Train to the first point of the chart, stroke
to prediction, layer to feature maps, and memory. Needs the ``test`` extra.
"""

import argparse
import time

from playwright.sync_api import Browser, Page, TimeoutError

from benchmarks.app import (
    CURVE_POINTS_JS,
    IDLE_SELECTOR,
    INSPECT_LINK,
    MAPS_SOURCE_JS,
    Server,
    add_training_limit,
    format_milliseconds,
    format_seconds,
    launch_chromium,
    open_page,
    read_memory_mb,
    start_server,
    temporary_data_folder,
    wait_for_spare_worker,
)


def main() -> None:
    """Run the benchmark and print its table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="Server starts, and runs.")
    parser.add_argument("--strokes", type=int, default=20, help="Strokes, and choices of a layer.")
    parser.add_argument("--pages", type=int, default=4, help="Further open pages whose memory is measured.")
    parser.add_argument("--limit", type=int, help="Number of training images; all by default.")
    options = parser.parse_args()
    rows: list[tuple[str, str]] = []
    with temporary_data_folder(), launch_chromium() as browser:
        starts = []
        for number in range(options.rounds):
            server, url = start_server()
            started_at = time.monotonic()
            page = open_page(browser, add_training_limit(url, options.limit))
            starts.append(time.monotonic() - started_at + server.startup_s)
            if number < options.rounds - 1:
                page.context.close()
                server.stop()
        rows.append(("server start to usable page", format_seconds(starts)))
        rows += measure_memory(browser, server, url, options.pages)
        rows += measure_training(page, server, options.rounds)
        rows += measure_drawing(page, options.strokes)
        rows += measure_inspecting(page, options.strokes)
        server.stop()
    width = max(len(name) for name, _ in rows)
    for name, value in rows:
        print(f"{name:<{width}}  {value}")


def measure_memory(browser: Browser, server: Server, url: str, page_count: int) -> list[tuple[str, str]]:
    wait_for_spare_worker(server)
    app, spare = read_memory_mb(server.process.pid), read_memory_mb(server.list_child_pids()[0])
    pages = [open_page(browser, url) for _ in range(page_count)]
    time.sleep(2)
    each = (read_memory_mb(server.process.pid)[0] - app[0]) / len(pages)
    for page in pages:
        page.context.close()
    return [
        ("memory of the app, no run (resident, proportional)", f"{app[0]:.0f} MB, {app[1]:.0f} MB"),
        ("memory of the warm spare worker", f"{spare[0]:.0f} MB, {spare[1]:.0f} MB"),
        ("one more open page", f"{each:.1f} MB"),
    ]


def measure_training(page: Page, server: Server, rounds: int) -> list[tuple[str, str]]:
    times, worker_mb = [], 0.0
    for _ in range(rounds):
        wait_for_spare_worker(server)
        started_at = time.monotonic()
        page.locator(".st-key-train-start button:visible").click()
        page.wait_for_function(f"{CURVE_POINTS_JS} > 0")
        times.append(time.monotonic() - started_at)
        page.wait_for_function(f"{CURVE_POINTS_JS} > 5", timeout=120_000)
        worker_mb = read_memory_mb(server.list_child_pids()[0])[0]
        page.locator(".st-key-train-reset button:visible").click()
    return [
        ("click on Train to first point, warm", format_seconds(times)),
        ("memory of a training worker", f"{worker_mb:.0f} MB"),
    ]


def measure_drawing(page: Page, stroke_count: int) -> list[tuple[str, str]]:
    times: list[float] = []
    box = page.locator(".st-key-canvas canvas.upper-canvas").bounding_box()
    assert box is not None
    page.wait_for_selector(".st-key-prediction .pg-bar")
    prediction_text_js = "(document.querySelector('.st-key-prediction')?.innerText ?? '')"
    for number in range(stroke_count):
        page.wait_for_timeout(700)  # pending updates belong to the previous stroke
        before = page.evaluate(prediction_text_js)
        x = box["x"] + 40 + 8 * number
        page.mouse.move(x, box["y"] + 40)
        page.mouse.down()
        page.mouse.move(x + 20, box["y"] + 200, steps=6)
        page.mouse.up()
        started_at = time.monotonic()
        try:
            page.wait_for_function(f"before => {prediction_text_js} !== before", arg=before, timeout=3000, polling=10)
            times.append(time.monotonic() - started_at)
        except TimeoutError:  # the rounded probabilities may be equal; then the stroke is not counted
            continue
    return [("end of a stroke to new probabilities", format_milliseconds(times))]


def measure_inspecting(page: Page, count: int) -> list[tuple[str, str]]:
    page.locator(INSPECT_LINK).click()
    page.wait_for_selector(".st-key-microscope .sum b")
    layers = page.locator(".st-key-inside-layer button")
    convolutions = [index for index in range(layers.count()) if "Conv" in layers.nth(index).inner_text()]
    times = []
    for number in range(1, count + 1):
        page.wait_for_selector(IDLE_SELECTOR)
        before = page.evaluate(MAPS_SOURCE_JS)
        started_at = time.monotonic()
        layers.nth(convolutions[number % len(convolutions)]).click()
        page.wait_for_function(f"before => ({MAPS_SOURCE_JS}) !== before", arg=before, polling=10)
        times.append(time.monotonic() - started_at)
    return [("layer chosen to its feature maps", format_milliseconds(times))]


if __name__ == "__main__":
    main()
