"""Workers and servers as real processes, forked on demand from one that has imported everything (the *zygote*).

A new interpreter takes seconds to start. A fault makes a process kill, stop or starve itself at a given point.
"""

import atexit
import contextlib
import json
import os
import re
import select
import signal
import socket
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import IO, Any, NoReturn

import pytest
import torch
from torch import Tensor

from playground.core import events
from playground.core.recipe import Recipe
from playground.engine import child_process
from playground.engine.data.splits import load_recipe_splits
from playground.engine.runs.manage import delete_run
from playground.engine.runs.repository import find_run
from playground.engine.runs.run import Run
from playground.engine.workers import worker
from playground.engine.workers.limits import ServerLimits
from playground.engine.workers.scheduler import Scheduler
from playground.errors import PlaygroundError
from tests.engine.helpers import (
    until,
)
from tests.faults.injecting import (
    BRIEF,
    SMALL,
    intercept_file_changes,
)

TIMEOUT_S = 60


needs_forks = pytest.mark.skipif(sys.platform != "linux", reason="needs Linux's forks and signals")


class Fault:
    """Fault of the current process when a point is reached for the ``at``-th time."""

    def __init__(self, point: str, at: int, action: str) -> None:
        self._point, self._left = re.compile(point), at
        self._strike = {"kill": self._kill, "stop": self._stop, "slow": self._slow, "starve": self._starve}[action]
        self._ballast: list[Tensor] = []

    def __call__(self, point: str) -> None:
        if self._point.fullmatch(point):
            self._left -= 1
            if self._left == 0:
                self._strike()

    def _kill(self) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    def _stop(self) -> None:
        os.kill(os.getpid(), signal.SIGSTOP)

    def _slow(self) -> None:
        time.sleep(0.1)
        self._left = 1

    def _starve(self) -> None:
        import resource  # missing on Windows

        pages = int(Path("/proc/self/statm").read_text().split()[0])
        resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize(),) * 2)
        for size in (2**20, 2**17, 2**15):
            with contextlib.suppress(RuntimeError, MemoryError):
                while True:
                    self._ballast.append(torch.empty(size, dtype=torch.uint8))


@contextlib.contextmanager
def fault(point: str, at: int = 1, action: str = "kill") -> Iterator[None]:
    """Set a fault for the workers that are started in this block."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FAULT", json.dumps({"point": point, "at": at, "action": action}))
        yield


SLOW: dict[str, Any] = {"point": "batch", "at": 6, "action": "slow"}


# Processes


class Forked:
    """The part of ``Popen`` that the package uses, for a process forked from the zygote."""

    def __init__(
        self, command: Sequence[str] = (), *, env: dict[str, str], stderr: IO[bytes] | None = None, **_: Any
    ) -> None:
        self.returncode: int | None = None
        self._ended = threading.Event()
        child_stdin, own_stdin = os.pipe()
        own_stdout, child_stdout = os.pipe()
        request = {"what": "worker" if command else "server", "env": env}
        self._line = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._line.connect(env["ZYGOTE"])
        handles = [child_stdin, child_stdout, stderr.fileno() if stderr else 2]
        socket.send_fds(self._line, [json.dumps(request).encode()], handles)
        os.close(child_stdin)
        os.close(child_stdout)
        self.stdin = os.fdopen(own_stdin, "w")
        self.stdout = os.fdopen(own_stdout)
        self.pid = int(self._line.recv(100))
        self._thread = threading.Thread(target=self._wait, daemon=True)
        self._thread.start()

    def _wait(self) -> None:
        self.returncode = int(self._line.recv(100) or b"-9")
        self._line.close()
        self._ended.set()

    def poll(self) -> int | None:
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        if not self._ended.wait(timeout):
            raise subprocess.TimeoutExpired("worker", timeout or 0)
        assert self.returncode is not None
        return self.returncode

    def kill(self) -> None:
        if self.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)


FORKING = SimpleNamespace(
    Popen=Forked, PIPE=subprocess.PIPE, DEVNULL=subprocess.DEVNULL, TimeoutExpired=subprocess.TimeoutExpired
)
"""Replaces ``subprocess`` in ``child_process``."""


def zygote_main(path: str) -> None:
    """Fork a process for every connection, until standard input ends."""
    torch.set_num_threads(1)
    load_recipe_splits(BRIEF)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
        listener.bind(path)
        listener.listen(16)
        print("ready", flush=True)
        while True:
            readable: list[socket.socket | int] = [listener, 0]
            ready, _, _ = select.select(readable, [], [])
            if 0 in ready:
                return
            line, _ = listener.accept()
            request, handles, _, _ = socket.recv_fds(line, 2**17, 3)
            if request and os.fork() == 0:
                listener.close()
                _run_child(line, json.loads(request), handles)
            line.close()
            for handle in handles:
                os.close(handle)


def _run_child(line: socket.socket, request: dict[str, Any], handles: list[int]) -> NoReturn:
    """Fork the requested process and report its exit code."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    pid = os.fork()
    if pid == 0:
        line.close()
        os.setsid()
        for number, handle in enumerate(handles):
            os.dup2(handle, number)
            os.close(handle)
        _run_request(request)
    for handle in handles:
        os.close(handle)
    with contextlib.suppress(OSError):
        line.send(str(pid).encode())
    _, status = os.waitpid(pid, 0)
    with contextlib.suppress(OSError):
        line.send(str(os.waitstatus_to_exitcode(status)).encode())
    os._exit(0)


def _run_request(request: dict[str, Any]) -> NoReturn:
    code = 0
    try:
        sys.stdin, sys.stdout, sys.stderr = open(0), open(1, "w"), open(2, "w")  # noqa: SIM115 -- open until the process ends
        os.environ.clear()
        os.environ.update(request["env"])
        if request["what"] == "server":
            _run_server()
        else:
            _run_worker()
    except SystemExit as exit_error:
        code = int(exit_error.code or 0)
    except BaseException:  # the test reads stderr; this process must not continue as a copy of pytest
        traceback.print_exc()
        code = 1
    finally:
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _run_worker() -> None:
    worker._measure_reference_speed = lambda: 1000.0
    fault = None
    with contextlib.ExitStack() as faults:
        if "FAULT" in os.environ:
            fault = Fault(**json.loads(os.environ.pop("FAULT")))
            faults.enter_context(intercept_file_changes(fault))
            fault("birth")
        worker.main()
        if fault:
            fault("death")


def _run_server() -> None:
    """Run a server that reads requests from standard input, one JSON value a line."""
    pytest.MonkeyPatch().setattr(child_process, "subprocess", FORKING)
    scheduler = Scheduler(limits=ServerLimits(**json.loads(os.environ["LIMITS"])), keep_spare_worker=False)
    if "TIDY" in os.environ:
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))

    def start(recipe: dict[str, Any], times: int = 1, pause_after_batches: int | None = None) -> list[str]:
        return [
            scheduler.submit(SMALL, Recipe(**recipe), pause_after_batches=pause_after_batches).id for _ in range(times)
        ]

    def do(what: str, fault: dict[str, Any] | None = None, **arguments: Any) -> Any:
        if fault:
            os.environ["FAULT"] = json.dumps(fault)
        try:
            if what == "start":
                return start(**arguments)
            if what == "resume":
                return scheduler.resume(**arguments).id
            if what == "send":
                command = events.parse_command(json.dumps(arguments["command"]))
                assert command is not None
                return scheduler.send_command(arguments["run_id"], command)
            if what == "delete":
                return delete_run(find_run(arguments["run_id"]))
            return {
                "active": lambda: [run.id for run in scheduler.list_active_runs()],
                "pids": scheduler.get_worker_pids,
            }[what]()
        except PlaygroundError as error:
            return {"error": str(error)}
        finally:
            os.environ.pop("FAULT", None)

    for line in sys.stdin:
        print(json.dumps(do(**json.loads(line))), flush=True)


class Server(Forked):
    """Another server on the same data folder, in a separate process."""

    def __init__(self, *, tidy: bool = False, **limits: Any) -> None:
        extra = {"LIMITS": json.dumps(limits)} | ({"TIDY": "1"} if tidy else {})
        super().__init__(env=os.environ | extra)

    def ask(self, what: str, **arguments: Any) -> None:
        self.stdin.write(json.dumps({"what": what} | arguments) + "\n")
        self.stdin.flush()

    def answer(self) -> Any:
        return json.loads(self.stdout.readline())

    def do(self, what: str, **arguments: Any) -> Any:
        self.ask(what, **arguments)
        return self.answer()

    def end(self, number: int = signal.SIGKILL) -> None:
        if self.returncode is None:
            os.kill(self.pid, number)
        self.wait(TIMEOUT_S)
        for stream in (self.stdin, self.stdout):
            with contextlib.suppress(OSError):
                stream.close()


# Waiting


def read_process_state(pid: int) -> str:
    """Read the letter of a process's state on Linux; empty if the process is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return ""


def wait_for_death(*pids: int) -> None:
    until(lambda: not any(read_process_state(pid) for pid in pids), TIMEOUT_S, "the end of every process")


def wait_for_end(scheduler: Scheduler, *runs: Run) -> None:
    """Wait for the ends of the runs and of their processes, which may come a little later."""
    until(lambda: not any(scheduler.is_active(run.id) or run.is_live() for run in runs), TIMEOUT_S, "the worker's end")


def wait_for(run: Run, kind: str, step: int = 0) -> None:
    known = [(kind, at) for at in range(step, step + 2000)]
    until(lambda: any((event.kind, event.step) in known for event in run.read_events()), TIMEOUT_S, f"{kind} at {step}")


def read_lock_holder(run: Run) -> int:
    return int(run.pid_path.read_text())
