"""Discovery of layer kinds: every module in ``core/layers`` that defines one is imported."""

import importlib
import pkgutil
from collections.abc import Iterator

from playground.core.layers.shared.base import Layer

_PACKAGE = "playground.core.layers"


def import_layer_classes() -> tuple[type[Layer], ...]:
    """Import every module of the package and return the layer kinds in menu order.

    A module that is being imported contributes nothing yet, so a block kind can list all other kinds.
    """
    path = importlib.import_module(_PACKAGE).__path__
    for module in pkgutil.iter_modules(path):
        importlib.import_module(f"{_PACKAGE}.{module.name}")
    kinds = [kind for kind in _iter_subclasses(Layer) if "kind" in vars(kind).get("__annotations__", {})]
    return tuple(sorted(kinds, key=lambda kind: kind.menu_order))


def _iter_subclasses(parent: type[Layer]) -> Iterator[type[Layer]]:
    for child in parent.__subclasses__():
        yield child
        yield from _iter_subclasses(child)
