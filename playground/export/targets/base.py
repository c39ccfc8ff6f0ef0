"""Export targets: formats that a network or a run can be exported to, and what is exported."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from playground.core.architecture import Architecture
from playground.core.recipe import Recipe
from playground.engine.data.dataset_lookup import get_class_names
from playground.engine.runs.run import Run

MediaType = Literal[
    "application/json",
    "application/octet-stream",
    "application/x-onnx",
    "image/svg+xml",
    "text/html",
    "text/plain",
    "text/x-python",
]


@dataclass(frozen=True)
class ExportSource:
    """Network to export with its recipe, and the run that trained it, if there is one."""

    architecture: Architecture
    recipe: Recipe
    title: str
    run: Run | None = None

    @classmethod
    def from_run(cls, run: Run) -> "ExportSource":
        """Return the source for a run: its network, its name and the recipe that it started with."""
        return cls(run.record.architecture, run.record.recipe, run.record.name, run)

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names of the network's outputs."""
        return get_class_names(self.recipe, self.architecture)


RenderFunction = Callable[[ExportSource], str | bytes]


@dataclass(frozen=True)
class ExportTarget:
    """Format that a network or a run can be exported to.

    ``suffix`` ends the file name; it includes the extension. ``needs_weights``: only runs with a snapshot can be
    exported. Targets with a lower ``menu_order`` come first in menus.
    """

    name: str
    title: str
    suffix: str
    media_type: MediaType
    help: str
    render: RenderFunction
    menu_order: int = 0
    needs_weights: bool = False
    is_binary: bool = False

    def build_file_name(self, source: ExportSource) -> str:
        """Return a file name of ASCII letters, digits and hyphens, followed by the suffix."""
        return build_file_name(source.title, self.suffix)


def build_file_name(title: str, suffix: str) -> str:
    """Return a file name of ASCII letters, digits and hyphens, followed by the suffix."""
    stem = re.sub("[^a-z0-9]+", "-", title.lower())
    return f"{stem.strip('-')[:40] or 'network'}{suffix}"


def export_target(
    name: str,
    *,
    title: str,
    suffix: str,
    media_type: MediaType,
    help: str,
    menu_order: int,
    needs_weights: bool = False,
    is_binary: bool = False,
) -> Callable[[RenderFunction], ExportTarget]:
    """Turn a render function of a module in ``export/targets`` into the target of this name."""

    def make_target(render: RenderFunction) -> ExportTarget:
        return ExportTarget(name, title, suffix, media_type, help, render, menu_order, needs_weights, is_binary)

    return make_target
