"""Command sources of a trainer."""

from collections.abc import Sequence
from typing import Protocol

from playground.core import events


class CommandSource(Protocol):
    """Source of the commands that a trainer follows."""

    def poll(self) -> Sequence[events.Command]:
        """Return the commands received since the last call, without waiting."""

    def wait(self) -> events.Command:
        """Wait for the next command."""


class NullCommandSource:
    """Command source without commands."""

    def poll(self) -> Sequence[events.Command]:
        """Return no commands."""
        return ()

    def wait(self) -> events.Command:
        """Return Resume, so that a paused run continues."""
        return events.Resume()
