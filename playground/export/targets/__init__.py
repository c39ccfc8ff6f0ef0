"""Registry of export targets; every one that a module of this package defines is registered.

The command line's help and the buttons of the app are made from it.
"""

from playground.core.registry import collect_entries, import_submodules
from playground.errors import UnknownNameError
from playground.export.targets.base import ExportSource, ExportTarget, export_target

EXPORT_TARGETS: dict[str, ExportTarget] = collect_entries(
    import_submodules(__name__), ExportTarget, order=lambda target: target.menu_order
)


def find_export_target(name: str) -> ExportTarget:
    """Return the target with this name; raises UnknownNameError if there is none."""
    if name not in EXPORT_TARGETS:
        raise UnknownNameError(f"Unknown export target {name!r:.60}.", expected=f"One of: {', '.join(EXPORT_TARGETS)}.")
    return EXPORT_TARGETS[name]


def render_export(name: str, source: ExportSource) -> bytes:
    """Return the content of the exported file.

    Raises UnknownNameError for an unknown target, or for a target that needs weights if the source has none.
    """
    target = find_export_target(name)
    if target.needs_weights and (source.run is None or not source.run.list_snapshot_steps()):
        raise UnknownNameError(
            f"{target.title} cannot be exported without trained weights.",
            expected="A run with at least one snapshot.",
            fix="Train the network and export the run.",
        )
    content = target.render(source)
    return content if isinstance(content, bytes) else content.encode()


__all__ = ["EXPORT_TARGETS", "ExportSource", "ExportTarget", "export_target", "find_export_target", "render_export"]
