"""Guard that keeps the keys of a focused control from the page's keyboard shortcuts."""

from playground.ui.components.register import register_component

_RENDER = register_component("keyboard_guard", isolate_styles=False)


def guard_keyboard() -> None:
    """Install the guard in the browser; it stays until the page is reloaded."""
    _RENDER(key="keyboard-guard")
