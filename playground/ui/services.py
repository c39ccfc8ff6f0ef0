"""What all pages of one server share: the supervisor of the runs, and the pretrained model."""

import gc
import hashlib
import secrets
import threading

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


@st.cache_resource(show_spinner=False)
def get_scheduler() -> Scheduler:
    """The one supervisor of this server."""
    # The server's own forward passes are small; the cores are for the worker.
    limit_threads(1)
    # Everything imported so far stays for good: collections need not look at it again.
    gc.collect()
    gc.freeze()
    return Scheduler(limits=ServerLimits.from_environment())


@st.cache_resource(show_spinner=False)
def get_pretrained() -> Run:
    """The run that comes with the program."""
    run = load_pretrained_run()
    # What drawings are compared with takes a second or two to look at; no page waits for it.
    thread = threading.Timer(_PRELOAD_DELAY_S, prepare_detector)
    thread.daemon = True
    thread.start()
    return run


class BackgroundTaskRegistry:
    """What is fetched or made for the pages, shared by all of them: each errand is run once, whoever asks.

    An errand is named by the module that does it, and what it is to be done with.
    """

    def __init__(self) -> None:
        self._tasks: dict[tuple[str, ...], BackgroundTask] = {}
        self._lock = threading.Lock()

    def get_latest(self, *task_key: str) -> BackgroundTask | None:
        """When it was run last, over or not."""
        return self._tasks.get(task_key)

    def start(self, *task_key: str, owner: str = "") -> None:
        """Begin, unless it goes on already; ``owner`` is whose the thing will be that it makes."""
        with self._lock:
            known = self._tasks.get(task_key)
            if known is None or not known.is_running:
                self._tasks[task_key] = BackgroundTask(*task_key, *([owner] if owner else []))


@st.cache_resource(show_spinner=False)
def get_background_tasks() -> BackgroundTaskRegistry:
    """The errands of this server."""
    return BackgroundTaskRegistry()


def get_browser_id() -> str | None:
    """What stays the same when this browser reloads the page or opens another tab; None if it cannot be told.

    Streamlit's XSRF cookie holds a random token of the browser session, masked anew each time: ``2|mask|masked|time``.
    Only its digest is given out, since run folders keep it as their owner.
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
    token = bytes(byte ^ mask[place % len(mask)] for place, byte in enumerate(masked))
    return hashlib.blake2b(token, digest_size=12).hexdigest()


def get_visitor_id() -> str:
    """Whose runs are started on this page: the browser's, or without its cookie this session's."""
    return get_browser_id() or str(st.session_state.setdefault("visitor", secrets.token_hex(8)))


def get_requester_id() -> str | None:
    """Who asks something of a run: None where the page is open on the machine that the server runs on."""
    headers = st.context.headers
    # Behind a proxy on this machine every page seems to come from it; one that does not say so needs ``shared``.
    forwarded = any(name in headers for name in ("X-Forwarded-For", "X-Real-Ip", "Forwarded"))
    is_here = st.context.ip_address is None and not forwarded and not get_scheduler().limits.shared
    return None if is_here else get_visitor_id()


def find_run_or_none(run_id: str | None) -> Run | None:
    """The run with this id; None where it was deleted or never was."""
    if run_id is None:
        return None
    try:
        return find_run(run_id)
    except PlaygroundError:
        return None
