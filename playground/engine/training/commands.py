"""Where a trainer finds commands."""

from collections.abc import Sequence
from typing import Protocol

from playground.core import events


class CommandSource(Protocol):
    """Where a trainer finds commands."""

    def poll(self) -> Sequence[events.Command]:
        """What has come, without waiting."""

    def wait(self) -> events.Command:
        """The next command, waiting for it."""


class NullCommandSource:
    """An inbox for a run that nobody steers."""

    def poll(self) -> Sequence[events.Command]:
        """Nothing."""
        return ()

    def wait(self) -> events.Command:
        """Go on: nobody could say so later."""
        return events.Resume()
