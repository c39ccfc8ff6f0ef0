"""How the app feels, measured in Chromium against the real server: ``python -m benchmarks.app_figures``.

Prints a table of medians (and 95th percentiles): start of the server to a usable page, click to the first point of the
chart, throughput with and without the page, stroke to prediction, layer to maps, memory. Needs the ``test`` extra.
"""

import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

from playground.engine.store import find_run
from playground.engine.supervisor import Supervisor
from playground.spec.presets import architecture_preset, recipe_preset

ROOT = Path(__file__).parents[1]
STROKES = 20
POINTS = "document.querySelector('.st-key-curve .js-plotly-plot')?.data?.[0]?.x?.length ?? 0"


def main() -> None:
    home = Path(tempfile.mkdtemp(prefix="cnn-playground-benchmark-"))
    os.environ["CNN_PLAYGROUND_HOME"] = str(home)
    rows: list[tuple[str, str]] = []
    try:
        alone = throughput_alone()
        with sync_playwright() as playwright:
            path = shutil.which("chromium") or shutil.which("google-chrome")
            browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
            starts = []
            for _ in range(3):
                server, url = start_server()
                begun = time.monotonic()
                page = open_page(browser, url)
                starts.append(time.monotonic() - begun + server.begun)
                if len(starts) < 3:
                    page.context.close()
                    server.stop()
            rows.append(("server start to usable page", seconds(starts)))
            rows += memory(browser, server, url)
            rows += training(page, server, alone)
            rows += drawing(page)
            rows += looking(page)
            browser.close()
            server.stop()
    finally:
        shutil.rmtree(home, ignore_errors=True)
    width = max(len(name) for name, _ in rows)
    for name, value in rows:
        print(f"{name:<{width}}  {value}")


class Server:
    """A running app and how long it took until it answered."""

    def __init__(self, process: subprocess.Popen[bytes], begun: float) -> None:
        self.process = process
        self.begun = begun

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(30)

    def children(self) -> list[int]:
        listed = subprocess.run(
            ["ps", "-o", "pid=", "--ppid", str(self.process.pid)], capture_output=True, text=True, check=False
        )
        return [int(pid) for pid in listed.stdout.split()]


def start_server() -> tuple[Server, str]:
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        port = probe.getsockname()[1]
    begun = time.monotonic()
    command = [sys.executable, "-m", "streamlit", "run", "app.py", f"--server.port={port}", "--server.headless=true"]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    url = f"http://localhost:{port}"
    while True:
        try:
            with urllib.request.urlopen(f"{url}/_stcore/health", timeout=1):
                return Server(process, time.monotonic() - begun), url
        except OSError:
            time.sleep(0.02)


def open_page(browser, url: str) -> Page:  # type: ignore[no-untyped-def]
    page = browser.new_context(viewport={"width": 1440, "height": 900}).new_page()
    page.goto(url)
    page.wait_for_selector(".st-key-train-start button")
    page.wait_for_selector(".st-key-canvas canvas.upper-canvas")
    page.wait_for_selector(".st-key-prediction .pg-bar")
    return page


def throughput_alone() -> float:
    """Images a second of the guide's net in a worker that nobody watches."""
    supervisor = Supervisor(keep_warm=False)
    run = supervisor.start(architecture_preset("guide").architecture, recipe_preset("sprint").recipe)
    while not (history := supervisor.tail(run).history()).test:
        time.sleep(0.5)
    supervisor.close()
    return history.steps[-1] * 64 / history.elapsed_s


def memory(browser, server: Server, url: str) -> list[tuple[str, str]]:  # type: ignore[no-untyped-def]
    wait_for_spare(server)
    app, spare = megabytes(server.process.pid), megabytes(server.children()[0])
    pages = [open_page(browser, url) for _ in range(4)]
    time.sleep(2)
    each = (megabytes(server.process.pid)[0] - app[0]) / len(pages)
    for page in pages:
        page.context.close()
    return [
        ("memory of the app, no run (resident, proportional)", f"{app[0]:.0f} MB, {app[1]:.0f} MB"),
        ("memory of the warm spare worker", f"{spare[0]:.0f} MB, {spare[1]:.0f} MB"),
        ("one more open page", f"{each:.1f} MB"),
    ]


def wait_for_spare(server: Server) -> None:
    """A spare is warm when it is the only worker and has nothing left to do."""
    before: dict[int, float] = {}
    while True:
        now = {pid: processor_seconds(pid) for pid in server.children()}
        if len(now) == 1 and all(spent - before.get(pid, -1) < 0.02 for pid, spent in now.items()):
            return
        before = now
        time.sleep(1)


def processor_seconds(pid: int) -> float:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    except OSError:  # ended in between
        return -1.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def megabytes(pid: int) -> tuple[float, float]:
    """Resident and proportional size (shared pages counted by their share)."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
    sizes = {line.split(":")[0]: int(line.split()[1]) / 1024 for line in lines}
    return sizes["Rss"], sizes["Pss"]


def training(page: Page, server: Server, alone: float) -> list[tuple[str, str]]:
    times, rates, worker = [], [], 0.0
    for attempt in range(3):
        wait_for_spare(server)
        begun = time.monotonic()
        page.locator(".st-key-train-start button:visible").click()
        page.wait_for_function(f"{POINTS} > 0")
        times.append(time.monotonic() - begun)
        if attempt < 2:
            page.wait_for_function(f"{POINTS} > 60", timeout=120_000)
            page.locator(".st-key-train-reset button:visible").click()
        else:
            worker = megabytes(server.children()[0])[0]
            page.wait_for_function(
                "document.querySelector('.pg-status').innerText.includes('completed')", timeout=180_000
            )
            history = find_run("latest").history()
            rates.append(history.steps[-1] * 64 / history.elapsed_s)
    return [
        ("click on Train to first point, warm", seconds(times)),
        ("training alone, evaluations included", f"{alone:,.0f} images/s"),
        ("training with the page open", f"{rates[0]:,.0f} images/s ({rates[0] / alone:.2f} of that)"),
        ("memory of a training worker", f"{worker:.0f} MB"),
    ]


def drawing(page: Page) -> list[tuple[str, str]]:
    times = []
    box = page.locator(".st-key-canvas canvas.upper-canvas").bounding_box()
    assert box is not None
    page.wait_for_selector(".st-key-prediction .pg-bar")
    seen = "(document.querySelector('.st-key-prediction')?.innerText ?? '')"
    for place in range(STROKES):
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
    return [("end of a stroke to new probabilities", milliseconds(times))]


def looking(page: Page) -> list[tuple[str, str]]:
    times = []
    page.locator('[data-testid="stTopNavLink"]').filter(has_text="Look inside").click()
    page.wait_for_selector('[data-testid="stMain"] .pg-table')
    image = "(document.querySelector('[data-testid=stColumn]:nth-child(2) img')?.src ?? '')"
    for place in range(20):
        layer = ("1 Conv", "3 Conv", "2 Max-pool", "5 Conv", "4 Max-pool")[place % 5]
        before = page.evaluate(image)
        begun = time.monotonic()
        page.get_by_text(layer, exact=True).click()
        page.wait_for_function(f"before => {image} !== before", arg=before, polling=10)
        times.append(time.monotonic() - begun)
    return [("layer chosen to its maps", milliseconds(times))]


def seconds(times: list[float]) -> str:
    return f"{statistics.median(times):.2f} s (of {len(times)})"


def milliseconds(times: list[float]) -> str:
    ordered = sorted(times)
    late = ordered[min(len(ordered) - 1, int(len(ordered) * 0.95))]
    return f"median {statistics.median(times) * 1000:.0f} ms, p95 {late * 1000:.0f} ms (of {len(times)})"


if __name__ == "__main__":
    main()
