"""Pixel attribution methods: title, description, source, default arguments and implementation."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import ModuleType

import torch
from torch import Tensor, nn

LogitsFunction = Callable[[Tensor], Tensor]
"""Maps images (count, channels, height, width) to logits (count, classes)."""


@dataclass(frozen=True)
class AttributionInputs:
    """Inputs of an attribution method.

    ``pixels`` (1, channels, height, width), values 0 to 1, requires a gradient. ``layer_end`` is the number of modules
    up to the end of the chosen layer, for methods that need one.
    """

    module: nn.Sequential
    pixels: Tensor
    target: int
    seed: int
    layer_end: int | None = None

    @property
    def compute_logits(self) -> LogitsFunction:
        """Logits function of the whole network."""
        return make_logits_function(self.module)


AttributionFunction = Callable[..., Tensor]
"""Takes ``AttributionInputs`` and the method's arguments by keyword; returns (height, width) of the input or layer."""


@dataclass(frozen=True)
class AttributionMethod:
    """A pixel attribution method.

    ``description`` says what the result shows and what it does not. Methods with a lower ``menu_order`` come first in
    menus. ``needs_layer`` is True for a method that attributes to the feature maps of a layer; its result has their
    height and width. ``is_signed`` is False if all values are 0 or more.
    """

    name: str
    title: str
    description: str
    source: str
    compute: AttributionFunction
    menu_order: int = 0
    needs_layer: bool = False
    is_signed: bool = True
    default_arguments: Mapping[str, float] = field(default_factory=dict)


def attribution_method(
    name: str,
    *,
    title: str,
    description: str,
    source: str,
    menu_order: int,
    needs_layer: bool = False,
    is_signed: bool = True,
    default_arguments: Mapping[str, float] | None = None,
) -> Callable[[AttributionFunction], AttributionMethod]:
    """Turn a function of a module in ``attribution/methods`` into the method of this name."""

    def make_method(compute: AttributionFunction) -> AttributionMethod:
        return AttributionMethod(
            name, title, description, source, compute, menu_order, needs_layer, is_signed, dict(default_arguments or {})
        )

    return make_method


def make_logits_function(module: nn.Module) -> LogitsFunction:
    """Make a function that gives one logit a class: a sigmoid's single logit z becomes (−z, z), the log odds."""

    def compute_logits(images: Tensor) -> Tensor:
        logits: Tensor = module(images)
        return logits if logits.shape[1] > 1 else torch.cat([-logits, logits], dim=1)

    return compute_logits


def import_captum() -> ModuleType:
    """captum.attr, imported on first use: it takes 33 MB and a second."""
    from captum import attr

    module: ModuleType = attr
    return module
