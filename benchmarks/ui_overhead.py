"""Cost of open pages: ``python -m benchmarks.ui_overhead [--rounds 3] [--sessions 10]``.

Training throughput with a page open and its charts streaming, relative to the same run with the page closed right after
the click; medians of alternating rounds, each a run of three epochs. Then many browser sessions beside one run:
response time of a widget, errors, and the server's memory after the sessions have closed. Needs the ``test`` extra.
"""

import argparse
import statistics
import time

from playwright.sync_api import Browser, Page

from benchmarks.app import (
    CURVE_POINTS_JS,
    Server,
    add_training_limit,
    format_milliseconds,
    open_page,
    read_memory_mb,
    run_app,
    wait_for_spare_worker,
)
from benchmarks.data import describe_machine, print_table
from playground.engine.runs.repository import find_run
from playground.engine.runs.run import Run
from playground.errors import PlaygroundError

_ROUNDS_OF_CLICKS = 3


def main() -> None:
    """Run the benchmark and print its table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--sessions", type=int, default=10)
    parser.add_argument("--limit", type=int, help="Number of training images; all by default.")
    options = parser.parse_args()
    rows: list[tuple[str, ...]] = [("", "")]
    with run_app() as (server, browser, app_url):
        url = add_training_limit(app_url, options.limit)
        rows += _measure_training_speeds(browser, server, url, options.rounds)
        rows += _measure_sessions(browser, server, url, options.sessions)
    print_table(rows)
    print(f"\n{describe_machine()}, shared by server, training and Chromium.")


def _measure_training_speeds(browser: Browser, server: Server, url: str, rounds: int) -> list[tuple[str, ...]]:
    watched: list[float] = []
    alone: list[float] = []
    ratios: list[float] = []
    open_page(browser, url).context.close()  # unpacks the data and measures the machine's speed
    for number in range(rounds):
        for keep_open in (number % 2 == 0, number % 2 == 1):
            speed = _measure_speed(browser, server, url, keep_open=keep_open)
            (watched if keep_open else alone).append(speed)
        ratios.append(watched[-1] / alone[-1])
    return [
        ("training, page closed", f"{statistics.median(alone):,.0f} images/s"),
        ("training, page open and streaming", f"{statistics.median(watched):,.0f} images/s"),
        ("open to closed, median of rounds", f"{statistics.median(ratios):.2f}"),
    ]


def _measure_speed(browser: Browser, server: Server, url: str, *, keep_open: bool) -> float:
    """Measure the training images per second of a whole run, evaluations included, from its log."""
    page = open_page(browser, url)
    wait_for_spare_worker(server)
    before = _find_latest_run()
    _start_training(page, epochs=3)
    while (run := _find_latest_run()) == before or run is None:
        time.sleep(0.05)
    if not keep_open:
        page.context.close()
    while not (history := run.read_history()).is_over:
        time.sleep(0.5)
    if keep_open:
        page.context.close()
    return history.steps[-1] * run.record.recipe.batch_size / history.elapsed_s


def _find_latest_run() -> Run | None:
    try:
        return find_run("latest")
    except PlaygroundError:
        return None


def _measure_sessions(browser: Browser, server: Server, url: str, count: int) -> list[tuple[str, ...]]:
    wait_for_spare_worker(server)
    before = read_memory_mb(server.process.pid)[0]
    errors: list[str] = []
    pages = []
    for _ in range(count):
        page = open_page(browser, url)
        page.on("pageerror", lambda error: errors.append(str(error)))
        pages.append(page)
    _start_training(pages[0], epochs=50)
    pages[0].wait_for_function(f"{CURVE_POINTS_JS} > 0", timeout=60_000)
    times = [_measure_response_time(page) for _ in range(_ROUNDS_OF_CLICKS) for page in pages]
    for page in pages:
        errors += page.locator('[data-testid="stException"], .pg-problem').all_inner_texts()
    pages[0].locator(".st-key-train-stop button:visible").click()
    during = read_memory_mb(server.process.pid)[0]
    for page in pages:
        page.context.close()
    after = during
    for _ in range(30):  # Streamlit keeps a session for a while, so that its page can reconnect
        time.sleep(5)
        after = min(after, read_memory_mb(server.process.pid)[0])
        if after <= before * 1.1:
            break
    return [
        (f"{count} sessions, one run: response of a widget", format_milliseconds(times)),
        ("errors on their pages", str(len(errors))),
        ("memory before, with them, after", f"{before:.0f}, {during:.0f}, {after:.0f} MB ({after / before - 1:+.0%})"),
    ]


def _start_training(page: Page, *, epochs: int) -> None:
    field = page.locator(".st-key-recipe-epochs input")
    field.fill(str(epochs))
    field.press("Enter")
    page.locator('[data-testid="stApp"][data-test-script-state="notRunning"]').wait_for()
    page.locator(".st-key-train-start button:visible").click()


def _measure_response_time(page: Page) -> float:
    """Measure the seconds from a click on a layer's row until its form is shown or hidden."""
    form = page.locator(".st-key-editor-conv2d-1")
    started_at = time.monotonic()
    was_open = form.count() > 0
    page.locator(".st-key-open-conv2d-1 button").click()
    form.first.wait_for(state="detached" if was_open else "visible", timeout=30_000)
    return time.monotonic() - started_at


if __name__ == "__main__":
    main()
