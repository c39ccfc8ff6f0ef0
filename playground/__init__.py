"""CNN Playground: build, train and inspect convolutional networks.

The names in ``__all__`` are the public API. Each is imported on first access (PEP 562), so that ``import playground``
loads neither PyTorch nor Streamlit.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from playground.version import __version__

if TYPE_CHECKING:
    from playground.core import layers
    from playground.core.architecture import Architecture
    from playground.core.history import History
    from playground.core.presets import (
        ARCHITECTURE_PRESETS,
        RECIPE_PRESETS,
        get_architecture_preset,
        get_recipe_preset,
    )
    from playground.core.recipe import Recipe
    from playground.core.share_link import decode_link, encode_link
    from playground.core.summary import summarize
    from playground.core.validation import validate
    from playground.engine.runs.repository import create_run, find_run, list_runs
    from playground.engine.runs.run import Run
    from playground.engine.training.trainer import Trainer
    from playground.errors import PlaygroundError
    from playground.interpret.model import load_model

__all__ = [
    "ARCHITECTURE_PRESETS",
    "RECIPE_PRESETS",
    "Architecture",
    "History",
    "PlaygroundError",
    "Recipe",
    "Run",
    "Trainer",
    "__version__",
    "create_run",
    "decode_link",
    "encode_link",
    "find_run",
    "get_architecture_preset",
    "get_recipe_preset",
    "layers",
    "list_runs",
    "load_model",
    "summarize",
    "validate",
]

_MODULE_BY_NAME = {
    "ARCHITECTURE_PRESETS": "playground.core.presets",
    "RECIPE_PRESETS": "playground.core.presets",
    "Architecture": "playground.core.architecture",
    "History": "playground.core.history",
    "PlaygroundError": "playground.errors",
    "Recipe": "playground.core.recipe",
    "Run": "playground.engine.runs.run",
    "Trainer": "playground.engine.training.trainer",
    "create_run": "playground.engine.runs.repository",
    "decode_link": "playground.core.share_link",
    "encode_link": "playground.core.share_link",
    "find_run": "playground.engine.runs.repository",
    "get_architecture_preset": "playground.core.presets",
    "get_recipe_preset": "playground.core.presets",
    "layers": "playground.core.layers",
    "list_runs": "playground.engine.runs.repository",
    "load_model": "playground.interpret.model",
    "summarize": "playground.core.summary",
    "validate": "playground.core.validation",
}


def __getattr__(name: str) -> object:
    """Import a public name from its module on first access; raises AttributeError for any other name."""
    module_name = _MODULE_BY_NAME.get(name)
    if module_name is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = import_module(module_name)
    value: object = module if name == "layers" else getattr(module, name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """List the public names, whether they are imported yet or not."""
    return sorted({*globals(), *__all__})
