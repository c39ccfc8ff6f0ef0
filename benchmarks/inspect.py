"""Response times of the Inspect page, and its cost for a run: ``python -m benchmarks.inspect [--rounds 12]``.

In Chromium, from an action to its result on the screen, for the guide's network and for one of ten convolutions with
128 channels: another layer, a step of the slider, another value's arithmetic, a channel switched off, the projection of
a layer. Then the training throughput of a run while it is inspected, relative to the same run alone, alternating.
Needs the ``test`` extra.
"""

import argparse
import statistics
import subprocess
import sys
import time
from collections.abc import Callable

from playwright.sync_api import Browser, Page

from benchmarks.app import (
    IDLE_SELECTOR,
    MAPS_SOURCE_JS,
    SHADOW_ROOT_JS,
    Server,
    add_training_limit,
    format_milliseconds,
    open_page,
    run_app,
    wait_for_spare_worker,
)
from benchmarks.data import describe_machine, print_table
from playground.core.architecture import Architecture
from playground.core.events import RunEnded
from playground.core.layers import Conv2d, GlobalAvgPool, MaxPool2d, Output
from playground.core.presets import get_architecture_preset, get_recipe_preset
from playground.engine.model.build import build_model
from playground.engine.runs.repository import create_run, list_runs
from playground.engine.runs.run import Run
from playground.engine.runs.run_files import serialize_event, serialize_snapshot

SNAPSHOT_COUNT = 12


def make_deep_architecture() -> Architecture:
    """Make a network of ten convolutions with 128 channels."""
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
    """Run the benchmark and print its tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--every", type=float, default=1.0, help="Seconds between two inspections while a run trains.")
    parser.add_argument("--runs", type=int, default=3, help="Runs with and without inspection.")
    parser.add_argument("--limit", type=int, help="Number of training images; all by default.")
    parser.add_argument("--only-guide", action="store_true", help="Leave out the network of ten convolutions.")
    options = parser.parse_args()
    with run_app() as (server, browser, url):
        architectures = {"the guide's network": get_architecture_preset("guide").architecture}
        if not options.only_guide:
            architectures["10 convolutions of 128"] = make_deep_architecture()
        runs = {name: _create_run_with_snapshots(name, architecture) for name, architecture in architectures.items()}
        open_page(browser, url).context.close()
        wait_for_spare_worker(server)
        rows = [("from the action to its result", *architectures)]
        columns = [_measure_inspecting(browser, url, run, options.rounds) for run in runs.values()]
        rows += [(action, *(format_milliseconds(column[action]) for column in columns)) for action in columns[0]]
        print_table(rows)
        print()
        training_url = add_training_limit(url, options.limit)
        print_table(_measure_slowdown(browser, server, training_url, url, options.runs, options.every))
    print(f"\n{describe_machine()}, shared by server, training and Chromium.")


def _create_run_with_snapshots(name: str, architecture: Architecture) -> Run:
    """Create a run whose snapshots have the initial weights of different seeds; the values do not matter here."""

    def write_snapshots(run: Run) -> None:
        for number in range(SNAPSHOT_COUNT):
            weights = build_model(architecture, seed=number).state_dict()
            run.get_snapshot_path(number * 100).write_bytes(serialize_snapshot(dict(weights)))
        run.log_path.write_bytes(
            serialize_event(RunEnded(step=(SNAPSHOT_COUNT - 1) * 100, elapsed_s=1, status="completed"))
        )

    return create_run(architecture, get_recipe_preset("sprint").recipe, name=name, write_initial_files=write_snapshots)


def _measure_inspecting(browser: Browser, url: str, run: Run, rounds: int) -> dict[str, list[float]]:
    page = browser.new_context(viewport={"width": 1440, "height": 900}).new_page()
    page.goto(f"{url}/inside?run={run.id}")
    page.wait_for_selector(".st-key-microscope .sum b")
    times: dict[str, list[float]] = {}
    layers = page.locator(".st-key-inside-layer button")
    layers.filter(has_text="Conv").first.wait_for()
    convolutions = [index for index in range(layers.count()) if "Conv" in layers.nth(index).inner_text()]
    times["another layer"] = _time_action(
        page, rounds, lambda number: layers.nth(convolutions[number % len(convolutions)]).click(), MAPS_SOURCE_JS
    )
    slider = page.get_by_role("slider", name="Step")
    times["a step of the time slider"] = _time_action(
        page,
        rounds,
        lambda number: slider.press("ArrowLeft" if number < SNAPSHOT_COUNT - 1 else "ArrowRight"),
        MAPS_SOURCE_JS,
    )
    layers.nth(convolutions[0]).click()  # large feature maps, so that every move of the pointer selects another value
    _wait_until_idle(page)
    time.sleep(0.5)
    times["another value's arithmetic"] = _time_action(
        page, rounds, lambda number: _point_at_value(page, number), _SUM_TEXT_JS
    )
    times["a channel switched off"] = _measure_channel_edits(page, rounds)
    page.goto(f"{url}/mistakes?run={run.id}")
    page.wait_for_selector(".st-key-confusion", timeout=900_000)
    _wait_until_idle(page)
    started_at = time.monotonic()
    page.locator(".st-key-mistakes-view").get_by_text("Embedding", exact=True).click()
    page.wait_for_selector(".st-key-embedding canvas", timeout=300_000)
    times["the projection of a layer, first"] = [time.monotonic() - started_at]
    page.context.close()
    return times


def _time_action(page: Page, rounds: int, action: Callable[[int], object], observed_js: str) -> list[float]:
    """Measure the seconds from an action until the value of ``observed_js`` changes."""
    times = []
    for number in range(1, rounds + 1):
        _wait_until_idle(page)
        before = page.evaluate(observed_js)
        started_at = time.monotonic()
        action(number)
        page.wait_for_function(f"before => ({observed_js}) !== before", arg=before, timeout=120_000, polling=5)
        times.append(time.monotonic() - started_at)
    return times


_SUM_TEXT_JS = f"{SHADOW_ROOT_JS}?.querySelector('.tools .note')?.textContent"


def _point_at_value(page: Page, number: int) -> None:
    box = page.locator(".st-key-microscope .map.live").bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] * (number % 7 + 0.5) / 8, box["y"] + box["height"] * (number % 5 + 0.5) / 6)


def _measure_channel_edits(page: Page, rounds: int) -> list[float]:
    """Measure the seconds from switching a channel off to the new accuracy."""
    _wait_until_idle(page)
    page.locator(".st-key-inside-view").get_by_text("Edit", exact=True).click()
    page.wait_for_selector(".pg-figures b", timeout=300_000)
    times = []
    for _ in range(max(2, rounds // 4)):
        for label in ("Switch off", "Switch on"):
            _wait_until_idle(page)
            started_at = time.monotonic()
            page.locator(".st-key-operate-off button").get_by_text(label).first.click(timeout=300_000)
            done = "!== '–'" if label == "Switch off" else "=== '–'"
            page.wait_for_function(
                f"document.querySelectorAll('.pg-figures b')[1]?.textContent {done}", timeout=300_000, polling=5
            )
            if label == "Switch off":
                times.append(time.monotonic() - started_at)
    return times


def _wait_until_idle(page: Page) -> None:
    page.wait_for_selector(IDLE_SELECTOR, timeout=900_000)
    time.sleep(0.2)
    page.wait_for_selector(IDLE_SELECTOR, timeout=900_000)


OBSERVERS = ("not inspected", "inspected on another machine", "inspected on this machine")


def _measure_slowdown(
    browser: Browser, server: Server, start_url: str, url: str, rounds: int, interval_s: float
) -> list[tuple[str, ...]]:
    """Measure the throughput of a run while a page inspects another layer every ``interval_s`` seconds.

    On another machine the page costs only the server's computation; on this machine also the painting in the browser.
    """
    speeds: dict[str, list[float]] = {observer: [] for observer in OBSERVERS}
    for number in range(rounds):
        for observer in OBSERVERS if number % 2 == 0 else reversed(OBSERVERS):
            speeds[observer].append(
                _measure_speed(browser, server, start_url, url, observer=observer, interval_s=interval_s)
            )
    rows: list[tuple[str, ...]] = [("a run while it trains", "images/s", "relative to not inspected")]
    for observer, values in speeds.items():
        ratios = [now / alone for now, alone in zip(values, speeds["not inspected"], strict=True)]
        rows.append((observer, f"{statistics.median(values):,.0f}", f"{statistics.median(ratios):.2f}"))
    return rows


def _measure_speed(
    browser: Browser, server: Server, start_url: str, url: str, *, observer: str, interval_s: float
) -> float:
    page = open_page(browser, start_url)
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
    if observer != "inspected on this machine":
        page.context.close()
    while not run.list_snapshot_steps():
        time.sleep(0.05)
    if observer == "inspected on another machine":
        subprocess.run(
            [sys.executable, "-m", "benchmarks.contenders.inspect_load", run.id, str(interval_s)], check=True
        )
    elif observer == "inspected on this machine":
        page.goto(f"{url}/inside?run={run.id}")
        page.wait_for_selector(".st-key-microscope .sum b")
    number = 0
    while not (history := run.read_history()).is_over:
        if observer == "inspected on this machine":
            layers = page.locator(".st-key-inside-layer button")
            layers.nth(number % layers.count()).click()
            number += 1
        time.sleep(interval_s)
    if observer == "inspected on this machine":
        page.context.close()
    return history.steps[-1] * run.record.recipe.batch_size / history.elapsed_s


if __name__ == "__main__":
    main()
