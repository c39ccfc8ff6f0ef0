"""Fixtures: data folders in memory, forked workers and servers, one thread."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from playground.engine import child_process
from playground.engine.workers.scheduler import Scheduler
from tests.engine.conftest import one_thread
from tests.faults.injecting import (
    data_folder,
)
from tests.faults.processes import (
    FORKING,
    Server,
)
from tests.narrowing import require

__all__ = ["one_thread"]  # pytest finds the fixture through the import


@pytest.fixture(scope="package")
def zygote(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    path = str(tmp_path_factory.mktemp("zygote") / "line")
    command = [sys.executable, "-c", f"from tests.faults.processes import zygote_main; zygote_main({path!r})"]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert require(process.stdout).readline() == b"ready\n"
        yield path
        require(process.stdin).close()


@pytest.fixture
def forks(zygote: str, home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Data folder whose workers are forked from the zygote."""
    monkeypatch.setenv("ZYGOTE", zygote)
    monkeypatch.setattr(child_process, "subprocess", FORKING)
    return home


@pytest.fixture
def scheduler(forks: Path) -> Iterator[Scheduler]:
    scheduler = Scheduler(keep_spare_worker=False)
    yield scheduler
    scheduler.close()


@pytest.fixture
def start_server(forks: Path) -> Iterator[Callable[..., Server]]:
    """Factory of servers that are killed at the end of the test."""
    servers: list[Server] = []

    def make(**options: Any) -> Server:
        servers.append(Server(**options))
        return servers[-1]

    yield make
    for server in servers:
        server.end()


@pytest.fixture
def memory_disk() -> Iterator[Path]:
    with data_folder() as folder:
        yield folder
