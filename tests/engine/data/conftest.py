"""Fixture of two running servers."""

import threading
from collections.abc import Iterator

import pytest

from tests.engine.data.mirror import Mirror


@pytest.fixture
def mirrors() -> Iterator[tuple[Mirror, Mirror]]:
    found = (Mirror(), Mirror())
    threads = [threading.Thread(target=mirror.serve_forever, kwargs={"poll_interval": 0.01}) for mirror in found]
    for thread in threads:
        thread.start()
    yield found
    for mirror, thread in zip(found, threads, strict=True):
        mirror.shutdown()
        mirror.server_close()
        thread.join()
