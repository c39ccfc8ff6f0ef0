"""Discovery of layer kinds: every module of this package that defines one is found."""

import importlib
import pkgutil
from collections.abc import Iterator

from playground.core.layers.base import Layer


def import_layer_classes() -> tuple[type[Layer], ...]:
    """Import every module beside this one and return the layer kinds, in the order of menus.

    A module that is being imported contributes nothing yet; so a kind can build on all others.
    """
    package = __name__.rpartition(".")[0]
    path = importlib.import_module(package).__path__
    for module in pkgutil.iter_modules(path):
        importlib.import_module(f"{package}.{module.name}")
    kinds = [kind for kind in _iter_subclasses(Layer) if "kind" in vars(kind).get("__annotations__", {})]
    return tuple(sorted(kinds, key=lambda kind: kind.menu_order))


def _iter_subclasses(parent: type[Layer]) -> Iterator[type[Layer]]:
    for child in parent.__subclasses__():
        yield child
        yield from _iter_subclasses(child)
