"""Registry of optimizers; every module of this package is registered."""

from typing import TYPE_CHECKING

from playground.core.optimizers.base import Optimizer
from playground.core.registry import collect_kinds, import_submodules, make_union

OPTIMIZERS: dict[str, type[Optimizer]] = collect_kinds(import_submodules(__name__), Optimizer)

if TYPE_CHECKING:
    AnyOptimizer = Optimizer
else:
    AnyOptimizer = make_union(OPTIMIZERS)

__all__ = ["OPTIMIZERS", "AnyOptimizer", "Optimizer"]
