"""First steps for a new user, until they are dismissed."""

from collections.abc import Sequence
from typing import TypedDict

from playground.ui.components.register import register_component

_RENDER = register_component("coach")


class CoachStep(TypedDict):
    """A step: its name in the browser's storage, its texts, and True if the page shows that it was done."""

    name: str
    title: str
    text: str
    is_done: bool


def render_coach(steps: Sequence[CoachStep]) -> None:
    """Render the steps; the browser remembers those done before, and if they were dismissed."""
    _RENDER(key="coach", data={"steps": list(steps)})
