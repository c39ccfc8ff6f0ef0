"""Requester of a page: the machine itself, or a visitor."""

from types import SimpleNamespace

import pytest
import streamlit

from playground.engine.workers.limits import ServerLimits
from playground.ui import services
from playground.ui.services import _is_direct_request, get_requester_id

LOCAL = {"Host": "localhost:8501", "Origin": "http://localhost:8501", "User-Agent": "any"}


@pytest.mark.parametrize(
    "headers",
    [
        {},
        LOCAL,
        {"host": "127.0.0.1:8501", "origin": "http://127.0.0.1:8501"},
        {"Host": "[::1]:8501", "Origin": "http://[::1]:8501"},
        {"Host": "app.localhost:8501"},
    ],
    ids=str,
)
def test_page_opened_on_the_machine_is_direct(headers: dict[str, str]) -> None:
    assert _is_direct_request(headers)


@pytest.mark.parametrize(
    "headers",
    [
        LOCAL | {"X-Forwarded-For": "203.0.113.9"},
        LOCAL | {"x-forwarded-proto": "https"},
        LOCAL | {"X-Forwarded-Host": "example.org"},
        LOCAL | {"X-Real-IP": "203.0.113.9"},
        LOCAL | {"Forwarded": "for=203.0.113.9"},
        LOCAL | {"Via": "1.1 proxy"},
        LOCAL | {"CF-Connecting-IP": "203.0.113.9"},
        LOCAL | {"Origin": "https://example.org"},
        LOCAL | {"Host": "example.org"},
        LOCAL | {"Host": "192.168.0.4:8501"},
        LOCAL | {"Origin": "null"},
        LOCAL | {"Origin": "http://[bad"},
        LOCAL | {"Host": "localhost.example.org"},
    ],
    ids=str,
)
def test_page_behind_a_local_proxy_is_not_direct(headers: dict[str, str]) -> None:
    """Also a proxy that adds no header is recognized: the browser sends the address of the page as the origin."""
    assert not _is_direct_request(headers)


@pytest.mark.parametrize(
    ("address", "headers", "shared", "is_machine"),
    [
        (None, LOCAL, None, True),
        (None, LOCAL, True, False),
        (None, LOCAL, False, True),
        (None, LOCAL | {"Origin": "https://example.org"}, None, False),
        (None, LOCAL | {"Origin": "https://example.org"}, False, True),
        ("203.0.113.9", LOCAL, None, False),
        ("203.0.113.9", LOCAL, False, False),
    ],
)
def test_only_the_machine_itself_is_no_visitor(
    address: str | None,
    headers: dict[str, str],
    shared: bool | None,
    is_machine: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    context = SimpleNamespace(ip_address=address, headers=SimpleNamespace(to_dict=lambda: headers))
    monkeypatch.setattr(streamlit, "context", context)
    scheduler = SimpleNamespace(limits=ServerLimits(shared=shared))
    monkeypatch.setattr(services, "get_scheduler", lambda: scheduler)
    monkeypatch.setattr(services, "get_visitor_id", lambda: "visitor")
    assert get_requester_id() == (None if is_machine else "visitor")
