"""A network in the browser engine, for live drawing; it shows nothing itself."""

from playground.ui.components.register import register_component

_RENDER = register_component("live_network")


def live_network(network_file: bytes, *, key: str) -> None:
    """Load a network file, labeled with its ``run_id`` and ``step``, into an engine of the page."""
    _RENDER(key=key, data=network_file)
