"""Registry of datasets; every one that a module of this package defines is registered."""

from playground.core.datasets.base import (
    CUSTOM_ORIGIN,
    CUSTOM_PREFIX,
    Dataset,
    DatasetOrigin,
    ExtractedFeatures,
    TorchvisionSource,
)
from playground.core.registry import collect_entries, import_submodules

DATASETS: dict[str, Dataset] = collect_entries(
    import_submodules(__name__), Dataset, order=lambda dataset: dataset.menu_order
)
"""Bundled and downloadable datasets by name; the engine adds the custom ones."""

__all__ = [
    "CUSTOM_ORIGIN",
    "CUSTOM_PREFIX",
    "DATASETS",
    "Dataset",
    "DatasetOrigin",
    "ExtractedFeatures",
    "TorchvisionSource",
]
