"""Latency of live drawing in Chromium: ``python -m benchmarks.live_drawing [--strokes 6] [--networks guide vgg]``.

For each network, after its training and while another run of it trains: time from a pointer move to the first task
after the frame that shows the answer, the forward pass in the worker, and the page's own work per move; medians and
95th percentiles. Then the time from a new snapshot to its weights in the browser, and the throughput of a run during
which somebody draws, relative to the run before. Needs the ``test`` extra.
"""

import argparse
import itertools
import os
import shutil
import tempfile
import time

from playwright.sync_api import Page, sync_playwright

from benchmarks.app import format_milliseconds, open_page, start_server, wait_for_spare_worker
from benchmarks.data import describe_machine, print_table
from playground.core.presets import get_architecture_preset, get_recipe_preset
from playground.core.share_link import encode_link
from playground.engine.runs.repository import find_run

NETWORKS = ("guide", "lenet5", "vgg")
# A three, as fractions of the canvas; a stroke has 60 moves, about one per frame.
STROKE = (
    (0.28, 0.26), (0.40, 0.17), (0.58, 0.18), (0.68, 0.30), (0.60, 0.43), (0.44, 0.49),
    (0.62, 0.54), (0.71, 0.68), (0.62, 0.82), (0.44, 0.86), (0.28, 0.78),
)  # fmt: skip
MOVES_PER_PART = 6
FRAME_S = 1 / 60
# Streamlit's pages have no hook for this: the marks of live drawing are recorded as they are set.
RECORD_JS = """() => {
    const samples = (globalThis.liveSamples = {painted: [], forward: [], work: []})
    const channel = new MessageChannel()
    const mark = performance.mark.bind(performance)
    let moved = 0, begun = 0, work = 0, resulted = 0, waiting = []
    channel.port1.onmessage = () => {
        for (const time of waiting) samples.painted.push(performance.now() - time)
        waiting = []
    }
    performance.mark = (name, options) => {
        const now = performance.now()
        if (name === "live-drawing-move") { moved = options.startTime; begun = now }
        if (name === "live-drawing-sent") work = now - begun
        if (name === "live-drawing-result") { resulted = now; samples.forward.push(options.detail.elapsedMs) }
        if (name === "live-drawing-shown") {
            samples.work.push(work + now - resulted)
            work = 0
            if (moved) {
                waiting.push(moved)
                requestAnimationFrame(() => channel.port2.postMessage(null))
            }
            moved = 0
        }
        return mark(name, options)
    }
}"""
TAKE_SAMPLES_JS = """() => {
    const taken = structuredClone(liveSamples)
    for (const list of Object.values(liveSamples)) list.length = 0
    return taken
}"""
LOADED_STEP_JS = """() => Math.max(-1, ...[...(globalThis[Symbol.for("cnn-playground.live")]?.networks ?? [])]
    .filter(([id]) => id !== "pretrained").map(([_, {step}]) => step ?? -1))"""


def main() -> None:
    """Run the benchmark and print its table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--strokes", type=int, default=6)
    parser.add_argument("--networks", nargs="+", default=list(NETWORKS))
    parser.add_argument("--limit", type=int, help="Number of training images; all by default.")
    options = parser.parse_args()
    home = tempfile.mkdtemp(prefix="cnn-playground-benchmark-")
    os.environ["CNN_PLAYGROUND_HOME"] = home
    rows: list[tuple[str, ...]] = [
        (
            "",
            "pointer move to painted",
            "forward pass",
            "page's work per move",
            "new snapshot to its weights",
            "images/s",
        )
    ]
    try:
        with sync_playwright() as playwright:
            path = shutil.which("chromium") or shutil.which("google-chrome")
            browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
            server, url = start_server()
            try:
                for network in options.networks:
                    recipe = get_recipe_preset("sprint").recipe.replace(limit=options.limit)
                    link = encode_link(get_architecture_preset(network).architecture, recipe)
                    page = open_page(browser, f"{url}/?net={link}")
                    page.evaluate(RECORD_JS)
                    wait_for_spare_worker(server)
                    rows += measure_network(page, network, options.strokes)
                    page.context.close()
            finally:
                browser.close()
                server.stop()
    finally:
        shutil.rmtree(home, ignore_errors=True)
    print_table(rows)
    print(f"\n{describe_machine()}, shared by server, training and Chromium.")


def measure_network(page: Page, network: str, stroke_count: int) -> list[tuple[str, ...]]:
    """Train the network, draw, and draw again while it trains once more; return a row for each."""
    start_training(page)
    delays = wait_for_end(page)
    idle_speed = read_speed()
    for _ in range(stroke_count):
        draw_stroke(page)
    idle = read_samples(page)
    page.locator(".st-key-train-start button:visible").click()
    page.wait_for_function(f"({LOADED_STEP_JS})() === 0", timeout=120_000)
    while not read_is_over():
        draw_stroke(page)
    training = read_samples(page)
    speed = read_speed()
    return [
        (f"{network}, idle", *idle, format_milliseconds(delays) if delays else "", f"{idle_speed:,.0f}"),
        (f"{network}, training", *training, "", f"{speed:,.0f} ({speed / idle_speed:.2f})"),
    ]


def start_training(page: Page) -> None:
    """Click Train and wait until the run exists."""
    page.locator(".st-key-train-start button:visible").click()
    page.wait_for_function(f"({LOADED_STEP_JS})() >= 0", timeout=120_000)


def wait_for_end(page: Page) -> list[float]:
    """Wait for the end of the latest run; return the seconds from each snapshot to its weights in the browser."""
    run = find_run("latest")
    delays: list[float] = []
    known = -1
    while True:
        loaded = int(page.evaluate(LOADED_STEP_JS))
        if loaded > known:
            delays.append(time.time() - run.get_snapshot_mtime_ns(loaded) / 1e9)
            known = loaded
        if read_is_over() and loaded == max(run.list_snapshot_steps()):
            return delays
        time.sleep(0.01)


def draw_stroke(page: Page) -> None:
    """Draw a three at the pace of a hand, on an empty canvas."""
    page.locator(".st-key-canvas-clear button:visible").click()
    page.locator('[data-testid="stApp"][data-test-script-state="notRunning"]').wait_for()
    canvas = page.locator(".st-key-canvas canvas.upper-canvas")
    canvas.wait_for()  # the cleared canvas is another one
    box = canvas.bounding_box()
    assert box is not None
    points = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in STROKE]
    page.mouse.move(*points[0])
    page.mouse.down()
    for (x, y), (next_x, next_y) in itertools.pairwise(points):
        for part in range(1, MOVES_PER_PART + 1):
            share = part / MOVES_PER_PART
            page.mouse.move(x + (next_x - x) * share, y + (next_y - y) * share)
            time.sleep(FRAME_S)
    page.mouse.up()


def read_samples(page: Page) -> tuple[str, str, str]:
    """Return the times of the moves since the last call, formatted."""
    samples = page.evaluate(TAKE_SAMPLES_JS)
    painted, forward, work = (
        [value / 1000 for value in samples[name]] or [float("nan")] for name in ("painted", "forward", "work")
    )
    return format_milliseconds(painted), format_milliseconds(forward), format_milliseconds(work)


def read_is_over() -> bool:
    """Return true if the latest run has ended."""
    return find_run("latest").read_history().is_over


def read_speed() -> float:
    """Return the training images per second of the latest run, evaluations included."""
    run = find_run("latest")
    history = run.read_history()
    return history.steps[-1] * run.record.recipe.batch_size / history.elapsed_s


if __name__ == "__main__":
    main()
