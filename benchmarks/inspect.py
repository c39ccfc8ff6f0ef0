"""How fast one looks inside: ``python -m benchmarks.inspect [--rounds 12]``.

In Chromium, from the action to its answer on the screen, for the guide's net and for one of ten convolutions with 128
channels: another layer, a step of the time slider, another value's arithmetic, a channel switched off, the map of a
layer. Then what looking costs a run: its speed while pages look into it all the time, against the same run alone,
alternating. Needs the ``test`` extra.
"""

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable

from playwright.sync_api import Browser, Page, sync_playwright

from benchmarks.app import Server, format_milliseconds, open_page, start_server, wait_for_spare_worker
from benchmarks.data import describe_machine, print_table
from playground.core.architecture import Architecture
from playground.core.events import RunEnded
from playground.core.layers import Conv2d, GlobalAvgPool, MaxPool2d, Output
from playground.core.presets import get_architecture_preset, get_recipe_preset
from playground.engine.model.build import build_model
from playground.engine.runs.repository import create_run, list_runs
from playground.engine.runs.run import Run, serialize_event, serialize_snapshot

SNAPSHOT_COUNT = 12
_IDLE_SELECTOR = '[data-testid="stApp"][data-test-script-state="notRunning"]'


def make_deep_architecture() -> Architecture:
    """Ten convolutions of 128 channels."""
    convolutions = [Conv2d(out_channels=128, kernel_size=3, padding="same") for _ in range(10)]
    layers = (
        *convolutions[:3],
        MaxPool2d(),
        *convolutions[3:6],
        MaxPool2d(),
        *convolutions[6:],
        GlobalAvgPool(),
        Output(),
    )
    return Architecture(layers=layers)


def main() -> None:
    """Measure and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--every", type=float, default=1.0, help="Seconds from look to look while a run trains.")
    parser.add_argument("--runs", type=int, default=3, help="Runs with and without looking, to compare their speed.")
    options = parser.parse_args()
    home = tempfile.mkdtemp(prefix="cnn-playground-benchmark-")
    os.environ["CNN_PLAYGROUND_HOME"] = home
    try:
        nets = {
            "the guide's net": get_architecture_preset("guide").architecture,
            "10 convolutions of 128": make_deep_architecture(),
        }
        runs = {name: _create_run_with_snapshots(name, architecture) for name, architecture in nets.items()}
        with sync_playwright() as playwright:
            path = shutil.which("chromium") or shutil.which("google-chrome")
            browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
            server, url = start_server()
            open_page(browser, url).context.close()
            wait_for_spare_worker(server)
            rows = [("from the action to its answer", *nets)]
            columns = [_measure_inspecting(browser, url, run, options.rounds) for run in runs.values()]
            rows += [(what, *(format_milliseconds(column[what]) for column in columns)) for what in columns[0]]
            print_table(rows)
            print()
            print_table(_measure_slowdown(browser, server, url, options.runs, options.every))
            browser.close()
            server.stop()
    finally:
        shutil.rmtree(home, ignore_errors=True)
    print(f"\n{describe_machine()}, shared by server, training and Chromium.")


def _create_run_with_snapshots(name: str, architecture: Architecture) -> Run:
    """A run with the weights of another seed at each moment: what is drawn is of no matter here."""

    def write_snapshots(run: Run) -> None:
        for moment in range(SNAPSHOT_COUNT):
            weights = build_model(architecture, seed=moment).state_dict()
            run.get_snapshot_path(moment * 100).write_bytes(serialize_snapshot(dict(weights)))
        run.log_path.write_bytes(
            serialize_event(RunEnded(step=(SNAPSHOT_COUNT - 1) * 100, elapsed_s=1, status="completed"))
        )

    return create_run(architecture, get_recipe_preset("sprint").recipe, name=name, write_initial_files=write_snapshots)


def _measure_inspecting(browser: Browser, url: str, run: Run, rounds: int) -> dict[str, list[float]]:
    page = browser.new_context(viewport={"width": 1440, "height": 900}).new_page()
    page.goto(f"{url}/inside?run={run.id}")
    page.wait_for_selector(".st-key-microscope .sum b")
    found: dict[str, list[float]] = {}
    layers = page.locator(".st-key-inside-layer button")
    convolutions = [place for place in range(layers.count()) if "Conv" in layers.nth(place).inner_text()]
    found["another layer"] = _time_action(
        page, rounds, lambda number: layers.nth(convolutions[number % len(convolutions)]).click(), _MAPS_SOURCE_JS
    )
    slider = page.get_by_role("slider", name="Moment")
    found["a step of the time slider"] = _time_action(
        page,
        rounds,
        lambda number: slider.press("ArrowLeft" if number < SNAPSHOT_COUNT - 1 else "ArrowRight"),
        _MAPS_SOURCE_JS,
    )
    layers.nth(convolutions[0]).click()  # large maps: every move of the pointer is another value
    _wait_until_idle(page)
    time.sleep(0.5)
    found["another value's arithmetic"] = _time_action(
        page, rounds, lambda number: _point_at_value(page, number), _SUM_TEXT_JS
    )
    found["a channel switched off"] = _measure_channel_edits(page, rounds)
    page.goto(f"{url}/mistakes?run={run.id}")
    page.wait_for_selector(".st-key-confusion", timeout=900_000)
    _wait_until_idle(page)
    begun = time.monotonic()
    page.locator(".st-key-mistakes-view").get_by_text("Map", exact=True).click()
    page.wait_for_selector(".st-key-embedding canvas", timeout=300_000)
    found["the map of a layer, first"] = [time.monotonic() - begun]
    page.context.close()
    return found


def _time_action(page: Page, rounds: int, action: Callable[[int], object], observed_js: str) -> list[float]:
    """Seconds from an action until what ``changed`` says is another than before."""
    times = []
    for number in range(1, rounds + 1):
        _wait_until_idle(page)
        before = page.evaluate(observed_js)
        begun = time.monotonic()
        action(number)
        page.wait_for_function(f"before => ({observed_js}) !== before", arg=before, timeout=120_000, polling=5)
        times.append(time.monotonic() - begun)
    return times


_SHADOW_ROOT_JS = (
    """[...document.querySelectorAll('.st-key-microscope *')].map(node => node.shadowRoot).find(Boolean)"""
)
_MAPS_SOURCE_JS = f"{_SHADOW_ROOT_JS}?.querySelector('.grid img')?.src"
_SUM_TEXT_JS = f"{_SHADOW_ROOT_JS}?.querySelector('.tools .note')?.textContent"


def _point_at_value(page: Page, number: int) -> None:
    box = page.locator(".st-key-microscope .map.live").bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] * (number % 7 + 0.5) / 8, box["y"] + box["height"] * (number % 5 + 0.5) / 6)


def _measure_channel_edits(page: Page, rounds: int) -> list[float]:
    """From the click to the accuracy; on and off in turns."""
    _wait_until_idle(page)
    page.locator(".st-key-inside-view").get_by_text("Operate", exact=True).click()
    page.wait_for_selector(".pg-figures b", timeout=300_000)
    times = []
    for _ in range(max(2, rounds // 4)):
        for label in ("Switch off", "Switch on"):
            _wait_until_idle(page)
            begun = time.monotonic()
            page.locator(".st-key-operate-off button").get_by_text(label).first.click(timeout=300_000)
            done = "!== '–'" if label == "Switch off" else "=== '–'"
            page.wait_for_function(
                f"document.querySelectorAll('.pg-figures b')[1]?.textContent {done}", timeout=300_000, polling=5
            )
            if label == "Switch off":
                times.append(time.monotonic() - begun)
    return times


def _wait_until_idle(page: Page) -> None:
    page.wait_for_selector(_IDLE_SELECTOR, timeout=900_000)
    time.sleep(0.2)
    page.wait_for_selector(_IDLE_SELECTOR, timeout=900_000)


OBSERVERS = ("nobody", "somebody elsewhere", "somebody here")


def _measure_slowdown(
    browser: Browser, server: Server, url: str, rounds: int, interval_s: float
) -> list[tuple[str, ...]]:
    """A run's speed while somebody goes from layer to layer, one ``interval_s`` so many seconds, against the same alone.

    Somebody elsewhere costs this machine what it computes; somebody here its browser's painting too.
    """
    speeds: dict[str, list[float]] = {looks: [] for looks in OBSERVERS}
    for place in range(rounds):
        for looks in OBSERVERS if place % 2 == 0 else reversed(OBSERVERS):
            speeds[looks].append(_measure_speed(browser, server, url, observer=looks, interval_s=interval_s))
    rows = [("looks inside a run while it trains", "images/s", "of its speed alone")]
    for looks, found in speeds.items():
        ratios = [now / alone for now, alone in zip(found, speeds["nobody"], strict=True)]
        rows.append((looks, f"{statistics.median(found):,.0f}", f"{statistics.median(ratios):.2f}"))
    return rows


def _measure_speed(browser: Browser, server: Server, url: str, *, observer: str, interval_s: float) -> float:
    page = open_page(browser, url)
    wait_for_spare_worker(server)
    before = {run.id for run in list_runs()[0]}
    field = page.locator(".st-key-recipe-epochs input")
    field.fill("3")
    field.press("Enter")
    _wait_until_idle(page)
    page.locator(".st-key-train-start button:visible").click()
    while not (new := [run for run in list_runs()[0] if run.id not in before]):
        time.sleep(0.05)
    run = new[0]
    if observer != "somebody here":
        page.context.close()
    while not run.list_snapshot_steps():
        time.sleep(0.05)
    if observer == "somebody elsewhere":
        subprocess.run([sys.executable, "-m", "benchmarks.looker", run.id, str(interval_s)], check=True)
    elif observer == "somebody here":
        page.goto(f"{url}/inside?run={run.id}")
        page.wait_for_selector(".st-key-microscope .sum b")
    number = 0
    while not (history := run.read_history()).is_over:
        if observer == "somebody here":
            layers = page.locator(".st-key-inside-layer button")
            layers.nth(number % layers.count()).click()
            number += 1
        time.sleep(interval_s)
    if observer == "somebody here":
        page.context.close()
    return history.steps[-1] * run.record.recipe.batch_size / history.elapsed_s


if __name__ == "__main__":
    main()
