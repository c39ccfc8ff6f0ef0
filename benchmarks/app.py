"""Real server and pages in Chromium, with their times and memory, for the benchmarks of the app."""

import contextlib
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

from playground.core.presets import get_architecture_preset, get_recipe_preset
from playground.core.share_link import encode_link

ROOT = Path(__file__).parents[1]
IDLE_SELECTOR = '[data-testid="stApp"][data-test-script-state="notRunning"]'
INSPECT_LINK = '[data-testid="stTopNavLink"][href$="/inside"]'
SHADOW_ROOT_JS = "[...document.querySelectorAll('.st-key-microscope *')].map(node => node.shadowRoot).find(Boolean)"
MAPS_SOURCE_JS = f"{SHADOW_ROOT_JS}?.querySelector('.grid img')?.src"
CURVE_POINTS_JS = "document.querySelector('.st-key-curve .js-plotly-plot')?.data?.[0]?.x?.length ?? 0"


class Server:
    """Running server of the app, and the seconds until it answered."""

    def __init__(self, process: subprocess.Popen[bytes], startup_s: float) -> None:
        self.process = process
        self.startup_s = startup_s

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(30)

    def list_child_pids(self) -> list[int]:
        listed = subprocess.run(
            ["ps", "-o", "pid=", "--ppid", str(self.process.pid)], capture_output=True, text=True, check=False
        )
        return [int(pid) for pid in listed.stdout.split()]


@contextlib.contextmanager
def temporary_data_folder() -> Iterator[Path]:
    """Use an empty data folder in this process and its children; it is deleted at the end."""
    with tempfile.TemporaryDirectory(prefix="cnn-playground-benchmark-", ignore_cleanup_errors=True) as home:
        os.environ["CNN_PLAYGROUND_HOME"] = home
        yield Path(home)


@contextlib.contextmanager
def launch_chromium() -> Iterator[Browser]:
    """Run the Chromium of this system, or else Playwright's."""
    with sync_playwright() as playwright:
        path = shutil.which("chromium") or shutil.which("google-chrome")
        with playwright.chromium.launch(executable_path=path, args=["--no-sandbox"]) as browser:
            yield browser


@contextlib.contextmanager
def run_app() -> Iterator[tuple[Server, Browser, str]]:
    """Run a server of the app on an empty data folder, and Chromium; yields the server's address too."""
    with temporary_data_folder(), launch_chromium() as browser:
        server, url = start_server()
        try:
            yield server, browser, url
        finally:
            server.stop()


def start_server() -> tuple[Server, str]:
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        port = probe.getsockname()[1]
    started_at = time.monotonic()
    command = [sys.executable, "-m", "streamlit", "run", "app.py", f"--server.port={port}", "--server.headless=true"]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    url = f"http://localhost:{port}"
    while True:
        try:
            with urllib.request.urlopen(f"{url}/_stcore/health", timeout=1):
                return Server(process, time.monotonic() - started_at), url
        except OSError:
            time.sleep(0.02)


def add_training_limit(url: str, limit: int | None) -> str:
    """Return the address of the Playground page with the guide's network and a limited number of training images."""
    if limit is None:
        return url
    recipe = get_recipe_preset("sprint").recipe.replace(limit=limit)
    return f"{url}/?net={encode_link(get_architecture_preset('guide').architecture, recipe)}"


def open_page(browser: Browser, url: str) -> Page:
    page = browser.new_context(viewport={"width": 1440, "height": 900}).new_page()
    page.goto(url)
    page.wait_for_selector(".st-key-train-start button")
    page.wait_for_selector(".st-key-canvas canvas.upper-canvas")
    page.wait_for_selector(".st-key-prediction .pg-bar")
    return page


def wait_for_spare_worker(server: Server) -> None:
    """Wait until the spare worker is the only worker, and idle."""
    before: dict[int, float] = {}
    while True:
        now = {pid: read_cpu_seconds(pid) for pid in server.list_child_pids()}
        if len(now) == 1 and all(spent - before.get(pid, -1) < 0.02 for pid, spent in now.items()):
            return
        before = now
        time.sleep(1)


def read_cpu_seconds(pid: int) -> float:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    except OSError:  # the process has ended
        return -1.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def read_memory_mb(pid: int) -> tuple[float, float]:
    """Return the resident and the proportional set size (a shared page counts by its share)."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
    sizes = {line.split(":")[0]: int(line.split()[1]) / 1024 for line in lines}
    return sizes["Rss"], sizes["Pss"]


def format_seconds(times: list[float]) -> str:
    return f"{statistics.median(times):.2f} s (of {len(times)})"


def format_milliseconds(times: list[float]) -> str:
    ordered = sorted(times)
    percentile_95 = ordered[min(len(ordered) - 1, int(len(ordered) * 0.95))]
    return f"median {statistics.median(times) * 1000:.0f} ms, p95 {percentile_95 * 1000:.0f} ms (of {len(times)})"
