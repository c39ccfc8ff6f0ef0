"""Latency of live drawing in Chromium: ``python -m benchmarks.live_drawing [--networks guide vgg] [--out FILE.json]``.

For each network, while a run of it trains and after the run was stopped: time from a pointer move to the first task
after the frame that shows its answer, JavaScript on the main thread per frame, and forward pass in the worker. Then the
time from a snapshot to its weights in the browser, and the training throughput while somebody draws, relative to the
windows of the same run, in turn with these, in which nobody does. Needs the ``test`` extra.
"""

import argparse
import itertools
import json
import os
import statistics
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

from playwright.sync_api import Page

from benchmarks.app import Server, open_page, run_app, wait_for_spare_worker
from benchmarks.data import describe_machine, print_table
from playground.core.presets import get_architecture_preset, get_recipe_preset
from playground.core.share_link import encode_link
from playground.engine.runs.repository import find_run, list_runs
from playground.engine.runs.run import Run

NETWORKS = ("guide", "lenet5", "vgg")
EPOCHS = 100
"""More than any run here trains: it is stopped after its last window."""
TIMEOUT_MS = 180_000
POLLING_MS = 200
"""Interval of checks in the page; checking at every frame, the default, takes a core from the training."""

# A three, as fractions of the canvas; a stroke has 60 moves, about one per frame.
STROKE = (
    (0.28, 0.26), (0.40, 0.17), (0.58, 0.18), (0.68, 0.30), (0.60, 0.43), (0.44, 0.49),
    (0.62, 0.54), (0.71, 0.68), (0.62, 0.82), (0.44, 0.86), (0.28, 0.78),
)  # fmt: skip
MOVES_PER_PART = 6
FRAME_S = 1 / 60

# The engine of the network's own run is watched, not that of the pretrained model, which runs beside it. Of the images
# that come while one is computed only the latest counts, so a result belongs to the move whose image was computed.
RECORD_JS = """() => {
    const samples = (globalThis.liveSamples = { painted: [], forward: [], work: [], loads: [] })
    const store = globalThis[Symbol.for("cnn-playground.live")]
    const watched = new WeakSet()
    const { port1, port2 } = new MessageChannel()
    let begun = 0, movedAt = 0, computing = 0, waiting = 0, work = 0, shown = [], isFrameAwaited = false

    port1.onmessage = () => {
        const now = performance.now()
        samples.painted.push(...shown.map((time) => now - time))
        samples.work.push(work)
        work = 0
        shown = []
        isFrameAwaited = false
    }
    const addWork = (milliseconds) => {
        work += milliseconds
        if (isFrameAwaited) return
        isFrameAwaited = true
        requestAnimationFrame(() => port2.postMessage(null))
    }
    const announce = store.announce.bind(store)
    store.announce = (name, detail) => {
        const startedAt = performance.now()
        announce(name, detail)
        if (name !== "result" || !store.isDrawing) return
        addWork(performance.now() - startedAt)
        if (detail.runId === "pretrained") return
        samples.forward.push(detail.result.elapsedMs)
        if (computing) shown.push(computing)
        computing = waiting
        waiting = 0
    }
    const watch = ([id, { client }]) => {
        if (watched.has(client)) return
        watched.add(client)
        const run = client.run.bind(client)
        client.run = (image) => {
            run(image)
            if (!begun) return
            const now = performance.now()
            addWork(now - begun)
            begun = now
            if (id === "pretrained") return
            if (computing) waiting = movedAt
            else computing = movedAt
        }
    }
    addEventListener("mousedown", () => {
        computing = waiting = 0
        for (const network of store.networks) watch(network)
    }, { capture: true })
    addEventListener("pointermove", (event) => { movedAt = event.timeStamp }, { capture: true })
    addEventListener("mousemove", () => { begun = performance.now() }, { capture: true })
    addEventListener("mousemove", () => { begun = 0 })
    addEventListener("mouseup", () => { begun = 0 }, { capture: true })

    let known = ""
    setInterval(() => {
        for (const [id, { step }] of store.networks) {
            if (id === "pretrained" || step === null || known === `${id}@${step}`) continue
            known = `${id}@${step}`
            samples.loads.push({ runId: id, step, loadedAt: Date.now() / 1000 })
        }
    }, 20)
}"""
HAS_STEP_JS = """([runId, step]) =>
    (globalThis[Symbol.for("cnn-playground.live")].networks.get(runId)?.step ?? -1) >= step"""
TAKE_SAMPLES_JS = """() => {
    const taken = structuredClone(liveSamples)
    for (const list of Object.values(liveSamples)) list.length = 0
    return taken
}"""
HAS_EMPTY_CANVAS_JS = """() => {
    const canvases = [...document.querySelectorAll(".st-key-canvas *")]
        .flatMap(node => [...node.shadowRoot?.querySelectorAll("canvas.upper-canvas") ?? []])
    return canvases.length > 0 && !canvases[0].dataset.isDrawn
}"""
"""Streamlit may keep a cleared canvas, hidden, after its successor while a run refreshes the page."""

Samples = dict[str, list[Any]]


def main() -> None:
    """Run the benchmark, print its table, and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--networks", nargs="+", default=list(NETWORKS))
    parser.add_argument("--windows", type=int, default=4, help="Windows with and without drawing while a run trains.")
    parser.add_argument("--seconds", type=float, default=10.0, help="Length of a window.")
    parser.add_argument("--strokes", type=int, default=10, help="Strokes after the run has ended.")
    parser.add_argument("--limit", type=int, help="Number of training images; all by default.")
    parser.add_argument("--out", type=Path, help="JSON file for the figures.")
    options = parser.parse_args()
    figures: dict[str, dict[str, Any]] = {}
    load_before = os.getloadavg()[0]
    with run_app() as (server, browser, url):
        for network in options.networks:
            recipe = get_recipe_preset("sprint").recipe.replace(limit=options.limit, epochs=EPOCHS)
            link = encode_link(get_architecture_preset(network).architecture, recipe)
            page = open_page(browser, f"{url}/?net={link}")
            page.set_default_timeout(TIMEOUT_MS)
            page.evaluate(RECORD_JS)
            figures[network] = _measure_network(page, server, options.windows, options.seconds, options.strokes)
            page.context.close()
    _print_figures(figures)
    print(f"\n{describe_machine()}, shared by server, training and Chromium; load before: {load_before:.2f}.")
    if options.out:
        content = {"machine": describe_machine(), "load_before": load_before, "networks": figures}
        options.out.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def _measure_network(
    page: Page, server: Server, window_count: int, window_s: float, stroke_count: int
) -> dict[str, Any]:
    """Draw while a run of the page's network trains, and after it was stopped."""
    run = _start_training(page, server)
    _wait_for_step(page, run, 1)
    _take_samples(page)
    speeds: dict[bool, list[float]] = defaultdict(list)
    training: Samples = defaultdict(list)
    for number in range(2 * window_count):
        is_drawing = number % 4 in (1, 2)  # in turn, so that a slow moment of the machine does not always hit the same
        speeds[is_drawing].append(_measure_window(page, run, window_s, is_drawing=is_drawing))
        for name, values in _take_samples(page).items():
            training[name] += values
    assert not run.read_history().is_over, "the run ended before its last window"
    page.locator(".st-key-train-stop button:visible").click()
    page.wait_for_selector(".st-key-train-start button")
    _wait_for_step(page, run, max(run.list_snapshot_steps()))
    for _ in range(stroke_count):
        _draw_stroke(page)
    idle = _take_samples(page)
    ratio = statistics.median(drawn / watched for drawn, watched in zip(speeds[True], speeds[False], strict=True))
    return {
        "idle": _summarize_moves(idle),
        "training": _summarize_moves(training),
        "weights_update_ms": _summarize(_compute_delays(run, training["loads"])),
        "images_per_second": {"drawing": speeds[True], "watching": speeds[False], "ratio": ratio},
    }


def _start_training(page: Page, server: Server) -> Run:
    """Click Train and return the new run."""
    wait_for_spare_worker(server)
    known = {run.id for run in list_runs()[0]}
    page.locator(".st-key-train-start button:visible").click()
    while not (new := {run.id for run in list_runs()[0]} - known):
        time.sleep(POLLING_MS / 1000)
    return find_run(new.pop())


def _wait_for_step(page: Page, run: Run, step: int) -> None:
    """Wait until the browser has the weights of this step, or newer ones."""
    page.wait_for_function(HAS_STEP_JS, arg=[run.id, step], polling=POLLING_MS)


def _measure_window(page: Page, run: Run, seconds: float, *, is_drawing: bool) -> float:
    """Return the training images per second, evaluations included, of a window in which somebody draws or watches."""
    before = run.read_history()
    ends_at = time.monotonic() + seconds
    while time.monotonic() < ends_at:
        if is_drawing:
            _draw_stroke(page)
        else:
            time.sleep(min(seconds, 0.5))
    after = run.read_history()
    images = (after.step - before.step) * run.record.recipe.batch_size
    return images / (after.elapsed_s - before.elapsed_s)


def _draw_stroke(page: Page) -> None:
    """Draw a three at the pace of a hand, wait for the server's answer, and clear the canvas."""
    page.wait_for_function(HAS_EMPTY_CANVAS_JS, polling=POLLING_MS)
    canvas = page.locator(".st-key-canvas canvas.upper-canvas").first
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
    page.locator(".st-key-seen canvas").first.wait_for(state="detached")
    canvas.evaluate("canvas => { canvas.dataset.isDrawn = true }")
    page.locator(".st-key-canvas-clear button:visible").click()
    page.wait_for_function(HAS_EMPTY_CANVAS_JS, polling=POLLING_MS)


def _take_samples(page: Page) -> Samples:
    """Return what was recorded since the last call."""
    samples: Samples = page.evaluate(TAKE_SAMPLES_JS)
    return samples


def _compute_delays(run: Run, loads: list[dict[str, Any]]) -> list[float]:
    """Return the milliseconds from the snapshots to their weights in the browser, of those that it has loaded."""
    written = {load["step"]: run.get_snapshot_mtime_ns(load["step"]) / 1e9 for load in loads}
    return [
        (load["loadedAt"] - written[load["step"]]) * 1000
        for load in loads
        if load["runId"] == run.id and written[load["step"]]
    ]


def _summarize_moves(samples: Samples) -> dict[str, Any]:
    return {f"{name}_ms": _summarize(samples[name]) for name in ("painted", "work", "forward")}


def _summarize(values: list[float]) -> dict[str, float]:
    """Summarize times by their median and 95th percentile."""
    if not values:
        return {"count": 0}
    ordered = sorted(values)
    return {
        "median": round(statistics.median(ordered), 2),
        "p95": round(ordered[min(len(ordered) - 1, int(len(ordered) * 0.95))], 2),
        "count": len(ordered),
    }


def _print_figures(figures: dict[str, dict[str, Any]]) -> None:
    header = ("median / p95 in ms", "pointer move to painted", "main thread per frame", "forward pass")
    rows: list[tuple[str, ...]] = [(*header, "snapshot to its weights", "images/s, relative")]
    for network, figure in figures.items():
        for state in ("idle", "training"):
            moves = figure[state]
            times = [_format(moves[name]) for name in ("painted_ms", "work_ms", "forward_ms")]
            rest = ["", ""]
            if state == "training":
                speeds = figure["images_per_second"]
                drawing = statistics.median(speeds["drawing"])
                rest = [_format(figure["weights_update_ms"]), f"{drawing:,.0f}, {speeds['ratio']:.2f}"]
            rows.append((f"{network}, {state}", *times, *rest))
    print_table(rows)


def _format(summary: dict[str, float]) -> str:
    if not summary["count"]:
        return "none"
    return f"{summary['median']:.1f} / {summary['p95']:.1f} (of {summary['count']})"


if __name__ == "__main__":
    main()
