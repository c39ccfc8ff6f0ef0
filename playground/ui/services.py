"""Services shared by all pages of a server: scheduler, pretrained run, background tasks, and user identity."""

import contextlib
import gc
import hashlib
import ipaddress
import secrets
import threading
from collections.abc import Mapping
from urllib.parse import urlsplit

import streamlit as st

from playground.engine.background_task import BackgroundTask
from playground.engine.runs.repository import find_run, load_pretrained_run
from playground.engine.runs.run import Run
from playground.engine.workers.limits import ServerLimits
from playground.engine.workers.scheduler import Scheduler
from playground.errors import PlaygroundError
from playground.interpret.evaluation.out_of_distribution import prepare_detector
from playground.interpret.model import limit_threads

_PRELOAD_DELAY_S = 4.0
_PROXY_HEADERS = {
    "forwarded",
    "via",
    "x-real-ip",
    "x-client-ip",
    "x-original-host",
    "true-client-ip",
    "cf-connecting-ip",
}


@st.cache_resource(show_spinner=False)
def get_scheduler() -> Scheduler:
    """Return the scheduler of this server."""
    # The server's forward passes are small; the cores are for the worker.
    limit_threads(1)
    # Everything imported so far stays: garbage collections need not scan it again.
    gc.collect()
    gc.freeze()
    return Scheduler(limits=ServerLimits.from_environment())


@st.cache_resource(show_spinner=False)
def get_pretrained() -> Run:
    """Return the pretrained run that is shipped with the app."""
    run = load_pretrained_run()
    # The detector needs a second or two to prepare; no page waits for it.
    thread = threading.Timer(_PRELOAD_DELAY_S, prepare_detector)
    thread.daemon = True
    thread.start()
    return run


class BackgroundTaskRegistry:
    """Background tasks shared by all pages: each task runs once, whichever page starts it.

    The key of a task is the module that does it and its arguments.
    """

    def __init__(self) -> None:
        self._tasks: dict[tuple[str, ...], BackgroundTask] = {}
        self._lock = threading.Lock()

    def get_latest(self, *task_key: str) -> BackgroundTask | None:
        """Return the task that was started last under this key, finished or not."""
        return self._tasks.get(task_key)

    def start(self, *task_key: str, owner: str = "") -> None:
        """Start a task unless it is running; ``owner`` is the owner of its result."""
        with self._lock:
            task = self._tasks.get(task_key)
            if task is None or not task.is_running:
                self._tasks[task_key] = BackgroundTask(*task_key, *([owner] if owner else []))


@st.cache_resource(show_spinner=False)
def get_background_tasks() -> BackgroundTaskRegistry:
    """Return the background tasks of this server."""
    return BackgroundTaskRegistry()


def get_browser_id() -> str | None:
    """Identify the browser across reloads and tabs; None without its cookie.

    Streamlit's XSRF cookie holds a random token of the browser session with a changing mask: ``2|mask|masked|time``.
    Only its digest is returned, since run folders store it as their owner.
    """
    parts = st.context.cookies.get("_streamlit_xsrf", "").split("|")
    if len(parts) != 4:
        return None
    try:
        mask, masked = bytes.fromhex(parts[1]), bytes.fromhex(parts[2])
    except ValueError:
        return None
    if not mask or not masked:
        return None
    token = bytes(byte ^ mask[index % len(mask)] for index, byte in enumerate(masked))
    return hashlib.blake2b(token, digest_size=12).hexdigest()


def get_visitor_id() -> str:
    """Identify the owner of runs started on this page: the browser, or without its cookie the session."""
    return get_browser_id() or str(st.session_state.setdefault("visitor", secrets.token_hex(8)))


def get_requester_id() -> str | None:
    """Identify the user of a request; None on the machine that the server runs on, which may control every run."""
    # Streamlit gives no address for a loopback connection.
    is_loopback = st.context.ip_address is None
    shared = get_scheduler().limits.shared
    is_machine = is_loopback and (_is_direct_request(st.context.headers.to_dict()) if shared is None else not shared)
    return None if is_machine else get_visitor_id()


def _is_direct_request(headers: Mapping[str, str]) -> bool:
    """Check that no proxy passed on a request from elsewhere: behind a local proxy every connection is a loopback one.

    A proxy is recognized by the headers that it adds, or by the page's address, which the browser sends as the origin.
    """
    names = {name.lower() for name in headers}
    if any(name in _PROXY_HEADERS or name.startswith("x-forwarded-") for name in names):
        return False
    values = {name.lower(): value for name, value in headers.items()}
    addresses = [
        values[name] if "//" in values[name] else f"//{values[name]}" for name in ("host", "origin") if name in values
    ]
    return all(_is_loopback_host(address) for address in addresses)


def _is_loopback_host(address: str) -> bool:
    try:
        host = urlsplit(address).hostname or ""
    except ValueError:
        return False
    if host == "localhost" or host.endswith(".localhost"):
        return True
    with contextlib.suppress(ValueError):
        return ipaddress.ip_address(host).is_loopback
    return False


def find_run_or_none(run_id: str | None) -> Run | None:
    """Find the run with this id; None if it does not exist."""
    if run_id is None:
        return None
    try:
        return find_run(run_id)
    except PlaygroundError:
        return None
