"""Registry of augmentations; every module of this package is registered."""

from typing import TYPE_CHECKING

from playground.core.augmentations.base import Augmentation, Stage
from playground.core.registry import collect_kinds, import_submodules, make_union

AUGMENTATIONS: dict[str, type[Augmentation]] = collect_kinds(import_submodules(__name__), Augmentation)

if TYPE_CHECKING:
    AnyAugmentation = Augmentation
else:
    AnyAugmentation = make_union(AUGMENTATIONS)

__all__ = ["AUGMENTATIONS", "AnyAugmentation", "Augmentation", "Stage"]
