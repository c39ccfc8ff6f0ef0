"""The real app in a real browser: a server of its own, and a page that fails on any error it logs."""

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.data_folder import link_cache

ROOT = Path(__file__).parents[2]
expect.set_options(timeout=15_000)  # a busy machine is slow, and that is not what is tested
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")


def _browser_path() -> str | None:
    named = os.environ.get("CHROMIUM")
    return named or next((found for name in NAMES if (found := shutil.which(name))), None)


def find_browser_or_skip() -> str:
    """Return the path of a browser; without one the test is skipped, and fails in CI."""
    path = _browser_path()
    if path is None:
        reason = f"no browser found: install Chromium, or name one in CHROMIUM (looked for {', '.join(NAMES)})"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    return path


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    path = find_browser_or_skip()
    with sync_playwright() as playwright:
        # Without a sandbox, since CI runs as root in a container; the only pages visited are our own.
        started = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield started
        started.close()


@dataclass
class Server:
    """A running app."""

    url: str
    process: subprocess.Popen[bytes]
    log: Path
    home: Path


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("browser")
    home = folder / "home"
    home.mkdir()
    link_cache(home)
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        port = probe.getsockname()[1]
    log = folder / "server.log"
    command = [sys.executable, "-m", "streamlit", "run", "app.py", f"--server.port={port}", "--server.headless=true"]
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, "CNN_PLAYGROUND_HOME": str(home)},
        )
    url = f"http://localhost:{port}"
    _wait_for(f"{url}/_stcore/health", process)
    yield Server(url, process, log, home)
    process.terminate()
    process.wait(20)
    text = log.read_text(errors="replace")
    assert "Traceback" not in text, text[-4000:]


def _wait_for(url: str, process: subprocess.Popen[bytes], timeout_s: float = 60) -> None:
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        assert process.poll() is None, "the server ended"
        try:
            with urllib.request.urlopen(url, timeout=2) as answer:
                if answer.read() == b"ok":
                    return
        except OSError:
            time.sleep(0.1)
    raise AssertionError("the server did not answer in time")


@pytest.fixture
def page(browser: Browser, server: Server) -> Iterator[Page]:
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    context.set_default_timeout(30_000)
    opened = context.new_page()
    errors: list[str] = []
    opened.on("pageerror", lambda error: errors.append(str(error)))
    yield opened
    shown = opened.locator('[data-testid="stException"]').all_inner_texts()
    context.close()
    assert not errors, errors
    assert not shown, shown
