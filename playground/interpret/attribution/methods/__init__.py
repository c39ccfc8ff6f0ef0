"""Registry of the pixel attribution methods; every one that a module of this package defines is registered."""

from playground.core.registry import collect_entries, import_submodules
from playground.interpret.attribution.methods.base import AttributionInputs, AttributionMethod, attribution_method

ATTRIBUTION_METHODS: dict[str, AttributionMethod] = collect_entries(
    import_submodules(__name__), AttributionMethod, order=lambda method: method.menu_order
)
"""Every attribution method by name, in the order of menus."""

__all__ = ["ATTRIBUTION_METHODS", "AttributionInputs", "AttributionMethod", "attribution_method"]
