"""Start of the app: the check of its port."""

import socket

import pytest

from playground.cli import serve
from playground.errors import PlaygroundError


@pytest.mark.parametrize("is_windows", [False, True])
def test_port_in_use_is_reported(is_windows: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serve, "_REUSEADDR_SHARES_PORTS", is_windows)
    with socket.socket() as other:
        other.bind(("localhost", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(PlaygroundError, match=f"Port {port} cannot be used"):
            serve._check_port(port)
    serve._check_port(port)


def test_port_is_not_shared_with_a_program_that_listens_on_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    options: list[int] = []

    class RecordedSocket(socket.socket):
        def setsockopt(self, level: int, option: int, *value: int) -> None:  # type: ignore[override]  # one overload
            options.append(option)
            super().setsockopt(level, option, *value)

    monkeypatch.setattr(socket, "socket", RecordedSocket)
    for is_windows in (True, False):
        monkeypatch.setattr(serve, "_REUSEADDR_SHARES_PORTS", is_windows)
        serve._check_port(0)
        assert options == ([] if is_windows else [socket.SO_REUSEADDR])
