"""Descriptions of a network or a run: JSON, diagram, report, share link."""

from playground.codegen.svg_diagram import to_svg
from playground.codegen.torch_model import to_json
from playground.core.share_link import encode_link
from playground.export.report import render_report
from playground.export.targets.base import ExportSource, export_target


@export_target(
    "json",
    title="JSON",
    suffix=".json",
    media_type="application/json",
    help="The architecture as JSON; it can be imported again.",
    menu_order=80,
)
def render_json(source: ExportSource) -> str:
    """Render the architecture."""
    return to_json(source.architecture)


@export_target(
    "svg",
    title="Diagram",
    suffix=".svg",
    media_type="image/svg+xml",
    help="Diagram of the network as SVG.",
    menu_order=90,
)
def render_diagram(source: ExportSource) -> str:
    """Render the diagram."""
    return to_svg(source.architecture, title=source.title)


@export_target(
    "report",
    title="Report",
    suffix=".html",
    media_type="text/html",
    help="HTML page with the network, learning curves, confusion matrix and example images.",
    menu_order=100,
    needs_weights=True,
)
def render_run_report(source: ExportSource) -> str:
    """Render the report of the run."""
    assert source.run is not None  # noqa: S101 -- checked by ``render_export``
    return render_report(source.run, link=encode_link(source.architecture, source.recipe))


@export_target(
    "link",
    title="Link",
    suffix=".txt",
    media_type="text/plain",
    help="Share link text with the network, recipe and seed.",
    menu_order=110,
)
def render_link(source: ExportSource) -> str:
    """Render the share link as a line of text."""
    return encode_link(source.architecture, source.recipe) + "\n"
