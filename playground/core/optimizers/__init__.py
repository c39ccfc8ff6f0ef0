"""Registry of optimizers; every module of this package is registered."""

import sys
from typing import TYPE_CHECKING

from playground.core.kinds import collect_kinds, import_submodules, make_union
from playground.core.optimizers.base import Optimizer

OPTIMIZERS: dict[str, type[Optimizer]] = collect_kinds(import_submodules(sys.modules[__name__]), Optimizer)

if TYPE_CHECKING:
    AnyOptimizer = Optimizer
else:
    AnyOptimizer = make_union(OPTIMIZERS)

__all__ = ["OPTIMIZERS", "AnyOptimizer", "Optimizer"]
