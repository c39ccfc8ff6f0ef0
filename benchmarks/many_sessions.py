"""Response times with many sessions at once: ``python -m benchmarks.many_sessions [--sessions 20]``.

Each session is a WebSocket client that speaks Streamlit's protocol, so that no browser takes the server's cores. The
data folder is fresh. First, all sessions do the same action at the same moment, one action after the other; then each
goes through the app in its own order, with pauses like a person's. A time is that from an action to its result on the
page. Also printed: the server's processor time per action, which other programs on the machine hardly change, its
memory and threads, and the files that are left in its cache.
"""

import argparse
import asyncio
import contextlib
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable

import psutil
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from websockets.asyncio.client import ClientConnection, connect
from websockets.typing import Subprotocol

from benchmarks.app import format_milliseconds, read_cpu_seconds, read_memory_mb, start_server, temporary_data_folder
from benchmarks.data import describe_machine, print_table

_TIMEOUT_S = 300
_PAUSE_RANGE_S = (0.5, 2.0)
_MEMORY_INTERVAL_S = 0.2


class Session:
    """A session of the app: its pages, and the widgets that the server has sent so far."""

    def __init__(self, connection: ClientConnection) -> None:
        self._connection = connection
        self._pages: dict[str, str] = {}
        self._page = ""
        self._widgets: dict[str, tuple[str, str]] = {}  # id and fragment by key
        self._choices: dict[str, str] = {}

    async def open_page(self, path: str, awaited_key: str = "") -> None:
        """Open a page and wait for the element whose key begins with ``awaited_key``, or for the end of the script."""
        self._page = self._pages.get(path, "")
        await self._run(awaited_key)

    async def click(self, key: str, awaited_key: str) -> None:
        """Press a button and wait for an element."""
        widget_id, fragment_id = self._widgets[key]
        await self._run(awaited_key, fragment_id=fragment_id, trigger=widget_id)

    async def choose(self, key: str, option: str, awaited_key: str) -> None:
        """Choose an option of a segmented control and wait for an element."""
        widget_id, fragment_id = self._widgets[key]
        self._choices[widget_id] = option
        await self._run(awaited_key, fragment_id=fragment_id)

    async def _run(self, awaited_key: str, *, fragment_id: str = "", trigger: str = "") -> None:
        message = BackMsg()
        request = message.rerun_script
        request.page_script_hash, request.fragment_id = self._page, fragment_id
        for widget_id, option in self._choices.items():
            request.widget_states.widgets.add(id=widget_id).string_array_value.data.append(option)
        if trigger:
            request.widget_states.widgets.add(id=trigger, trigger_value=True)
        await self._connection.send(message.SerializeToString())
        # Messages of an earlier script run may still arrive, and of another one that it asked for.
        has_begun = False
        async with asyncio.timeout(_TIMEOUT_S):
            async for content in self._connection:
                answer = ForwardMsg()
                answer.ParseFromString(content if isinstance(content, bytes) else content.encode())
                has_begun |= answer.HasField("new_session")
                key = self._read(answer)
                is_end = answer.WhichOneof("type") == "script_finished"
                if has_begun and (key.startswith(awaited_key) if awaited_key else is_end):
                    return

    def _read(self, answer: ForwardMsg) -> str:
        """Note pages and widgets that a message tells; return the key of its element, or an empty text."""
        if answer.HasField("navigation"):
            self._pages = {page.url_pathname: page.page_script_hash for page in answer.navigation.app_pages}
            self._page = answer.navigation.page_script_hash
        if not answer.HasField("delta"):
            return ""
        part = answer.delta.new_element if answer.delta.HasField("new_element") else answer.delta.add_block
        kind = part.WhichOneof("type")
        content = getattr(part, kind) if kind else None
        widget_id = str(getattr(content, "id", "") or getattr(part, "id", ""))
        if not widget_id.startswith("$$ID-"):
            return ""
        key = widget_id.split("-", 2)[-1]
        self._widgets[key] = widget_id, answer.delta.fragment_id
        return key


Action = Callable[[Session], Awaitable[None]]

ACTIONS: dict[str, tuple[str, Action]] = {
    "open Playground": ("", lambda session: session.open_page("", "strip")),
    "Random": ("", lambda session: session.click("canvas-random", "strip")),
    "open Inspect": ("inside", lambda session: session.open_page("inside")),
    "top activations": ("inside", lambda session: session.choose("inside-view", "Top activations", "exemplars")),
    "attribution": ("inside", lambda session: session.choose("inside-view", "Attribution", "counterfactual-start")),
    "open Mistakes": ("mistakes", lambda session: session.open_page("mistakes", "mistakes-view")),
    "calibration": ("mistakes", lambda session: session.choose("mistakes-view", "Calibration", "reliability")),
    "robustness": ("mistakes", lambda session: session.choose("mistakes-view", "Robustness", "robustness-noise")),
    "embedding": ("mistakes", lambda session: session.choose("mistakes-view", "Embedding", "embedding")),
    "open Data": ("data", lambda session: session.open_page("data", "data-counts")),
    "open Runs": ("runs", lambda session: session.open_page("runs")),
}
"""Actions by name, with the page that they need."""

Times = dict[str, list[float]]


async def measure(url: str, pid: int, session_count: int, actions_per_session: int) -> tuple[Times, Times, float]:
    """Measure the seconds of every action: of all sessions at once, and of each in its own order with pauses.

    The last value is the processor time of the server per action in the second part.
    """
    at_once: Times = {name: [] for name in ACTIONS}
    mixed: Times = {name: [] for name in ACTIONS}
    async with contextlib.AsyncExitStack() as stack:
        sessions = [await stack.enter_async_context(_connect(url)) for _ in range(session_count)]
        for name in ACTIONS:
            await asyncio.gather(*(_time(session, name, at_once) for session in sessions))
        cpu_before_s = read_cpu_seconds(pid)
        choices = random.Random(0)
        await asyncio.gather(
            *(_use(session, random.Random(choices.random()), actions_per_session, mixed) for session in sessions)
        )
    cpu_s = (read_cpu_seconds(pid) - cpu_before_s) / (session_count * actions_per_session)
    return at_once, mixed, cpu_s


@contextlib.asynccontextmanager
async def _connect(url: str) -> AsyncIterator[Session]:
    address = f"{url.replace('http', 'ws', 1)}/_stcore/stream"
    subprotocols = [Subprotocol("streamlit")]
    async with connect(address, subprotocols=subprotocols, max_size=None, ping_interval=None) as connection:
        yield Session(connection)


async def _use(session: Session, choices: random.Random, action_count: int, times: Times) -> None:
    page = None
    for _ in range(action_count):
        name = choices.choice(list(ACTIONS))
        needed_page = ACTIONS[name][0]
        if needed_page != page and not name.startswith("open"):
            name = next(other for other, (path, _) in ACTIONS.items() if path == needed_page)
        page = needed_page
        await asyncio.sleep(choices.uniform(*_PAUSE_RANGE_S))
        await _time(session, name, times)


async def _time(session: Session, name: str, times: Times) -> None:
    started_at = time.monotonic()
    await ACTIONS[name][1](session)
    times[name].append(time.monotonic() - started_at)


async def _measure_peaks(pid: int, peaks: dict[str, float]) -> None:
    """Note the largest resident memory and number of threads until canceled."""
    while True:
        peaks["memory"] = max(peaks["memory"], read_memory_mb(pid)[0])
        peaks["threads"] = max(peaks["threads"], psutil.Process(pid).num_threads())
        await asyncio.sleep(_MEMORY_INTERVAL_S)


async def _run(url: str, pid: int, sessions: int, actions: int) -> tuple[Times, Times, float, dict[str, float]]:
    peaks = {"memory": 0.0, "threads": 0.0}
    watch = asyncio.create_task(_measure_peaks(pid, peaks))
    try:
        return (*await measure(url, pid, sessions, actions), peaks)
    finally:
        watch.cancel()


def main() -> None:
    """Run the benchmark and print its tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sessions", type=int, default=20)
    parser.add_argument("--actions", type=int, default=15, help="Actions of each session in its own order.")
    options = parser.parse_args()
    with temporary_data_folder() as home:
        server, url = start_server()
        try:
            at_once, mixed, cpu_s, peaks = asyncio.run(_run(url, server.process.pid, options.sessions, options.actions))
        finally:
            server.stop()
        files = sorted(path.name for path in (home / "cache").iterdir())
    rows: list[tuple[str, ...]] = [(f"{options.sessions} sessions", "all at once, fresh server", "in their own order")]
    rows += [
        (name, *(format_milliseconds(times[name]) if times[name] else "–" for times in (at_once, mixed)))
        for name in ACTIONS
    ]
    everything = [[one for of_action in times.values() for one in of_action] for times in (at_once, mixed)]
    rows.append(("all actions", *(format_milliseconds(times) if times else "–" for times in everything)))
    print_table(rows)
    print(f"\nServer: {cpu_s * 1000:.0f} ms of processor time per action in their own order; ", end="")
    print(f"at most {peaks['memory']:,.0f} MB and {peaks['threads']:.0f} threads.")
    print(f"Files in the cache: {', '.join(files)}.")
    print(f"{describe_machine()}, shared by server and sessions.")


if __name__ == "__main__":
    main()
