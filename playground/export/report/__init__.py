"""Report of a run: one self-contained HTML file."""

from playground.charts.curves import Metric, make_training_figure
from playground.charts.static_svg import CSS_THEME, render_svg
from playground.charts.theme import DARK, LIGHT, Theme
from playground.codegen.svg_diagram import to_svg
from playground.core.architecture import Architecture
from playground.core.events import Diagnosed
from playground.core.history import History, RunStatus
from playground.core.shapes import format_shape
from playground.core.summary import LayerSummary, summarize
from playground.engine.paths import find_bundled
from playground.engine.runs.run import Run
from playground.export.report.html import Html, element, join, note, section, table, wrap_scrollable
from playground.export.report.recipe import render_recipe_section
from playground.export.report.reproduce import render_reproduce_section
from playground.export.report.test_results import render_test_sections

_PHASES: dict[RunStatus, str] = {
    "waiting": "not started",
    "training": "still training",
    "paused": "paused",
    "completed": "completed",
    "stopped": "stopped early",
    "interrupted": "interrupted",
    "failed": "failed",
}
_CONTENT_SECURITY_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"


def render_report(run: Run, *, link: str | None = None) -> str:
    """Render the report; ``link`` opens the network and its recipe in the app.

    A section whose data is missing, such as a deleted dataset, states so. All test images are predicted.
    """
    history = run.read_history()
    title = run.record.name
    body = join(
        element(
            "header", element("h1", title), element("p", _describe_run(run, history)), _render_key_figures(run, history)
        ),
        _render_network_section(run.record.architecture, title),
        render_recipe_section(run.record.recipe, history),
        _render_training_section(run, history),
        render_test_sections(run),
        render_reproduce_section(run, history, link),
        _render_facts_section(run, history),
    )
    head = join(
        Html('<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'),
        Html(f'<meta http-equiv="Content-Security-Policy" content="{_CONTENT_SECURITY_POLICY}">'),
        element("title", f"{title} · CNN Playground"),
        element("style", Html(_build_stylesheet())),
    )
    return f'<!doctype html>\n<html lang="en"><head>{head}</head>\n<body>{body}</body></html>\n'


def _build_stylesheet() -> str:
    """Return the stylesheet: the dark theme on dark screens, the light one otherwise and in print."""
    sheet = find_bundled("assets/report.css").read_text(encoding="utf-8")
    dark = f"@media screen and (prefers-color-scheme: dark) {{ {_render_css_variables(DARK)} }}"
    return f"{_render_css_variables(LIGHT)}\n{dark}\n{sheet}"


def _render_css_variables(theme: Theme) -> str:
    names = ("accent", "text", "muted", "grid", "marker")
    values = "".join(f"--{name}:{getattr(theme, name)};" for name in names)
    return f":root{{color-scheme:{theme.name};--page:rgb{theme.gap_color};{values}}}"


def _describe_run(run: Run, history: History) -> str:
    layers = sum(layer.enabled for layer in run.record.architecture.layers)
    return (
        f"{_format_created(run)}: a network of {layers} layers, "
        f"{history.epoch:.3g} of {history.planned_epochs:.3g} epochs of training on "
        f"{run.get_dataset().title}, {_PHASES[history.status]}."
    )


def _format_created(run: Run) -> str:
    return f"{run.record.created[:16].replace('T', ' ')} UTC"


def _render_key_figures(run: Run, history: History) -> Html:
    """Render the latest test or validation metrics and the cost of the network."""
    summary = summarize(run.record.architecture)
    evaluation, split = history.test or history.last_validation, "test" if history.test else "validation"
    figures = []
    if evaluation:
        figures += [(f"{evaluation.accuracy:.2%}", f"{split} accuracy"), (f"{evaluation.loss:.4f}", f"{split} loss")]
    figures += [
        (f"{summary.parameters:,}", "parameters"),
        (f"{summary.multiply_adds:,}", "multiply-adds per image"),
        (f"{history.elapsed_s:,.1f} s", "of training"),
        (f"{history.images_per_second:,.0f}", "images per second, latest"),
    ]
    cells = (element("div", element("dt", label), element("dd", value)) for value, label in figures)
    return element("dl", *cells, class_="cards")


def _render_network_section(architecture: Architecture, title: str) -> Html:
    summary = summarize(architecture)
    total = ("Total", "", "", "", f"{summary.parameters:,}", f"{summary.multiply_adds:,}", "")
    return section(
        "Network",
        wrap_scrollable(element("div", Html(to_svg(architecture, title=title)), class_="picture")),
        table(
            "layers",
            ("layer", "", "in", "out", "parameters", "multiply-adds", "receptive field"),
            [*(_format_layer_row(row) for row in summary.layers), total],
        ),
        note("Shapes are channels × height × width. The receptive field is in pixels of the image."),
    )


def _format_layer_row(row: LayerSummary) -> tuple[str, ...]:
    if not row.enabled:
        return (row.title, "disabled", "", "", "", "", "")
    return (
        row.title,
        row.arguments_text,
        format_shape(row.input_shape),
        format_shape(row.output_shape),
        f"{row.parameters:,}",
        f"{row.multiply_adds:,}",
        format_shape(row.receptive_field),
    )


def _render_training_section(run: Run, history: History) -> Html:
    """Render the learning curves, the diagnoses and the error of a failed run."""
    if not history.steps:
        return section("Training", note("The run has not trained yet."))
    metrics: tuple[Metric, ...] = ("accuracy", "loss")
    curves = [
        element("div", element("h3", metric.capitalize()), Html(_render_curve(history, metric)), class_="curve")
        for metric in metrics
    ]
    messages = [
        element("li", element("b", f"Epoch {history.epoch_at(event.step):.2f}: "), event.message)
        for event in run.read_events()
        if isinstance(event, Diagnosed)
    ]
    if history.failure:
        words = " ".join((history.failure.what, history.failure.expected, history.failure.fix))
        messages.append(element("li", element("b", "Error: "), words))
    return section(
        "Training",
        element("div", *curves, class_="columns"),
        *((element("h3", "Diagnoses"), element("ul", *messages)) if messages else ()),
    )


def _render_curve(history: History, metric: Metric) -> str:
    return render_svg(make_training_figure(history, metric, CSS_THEME, revision=""), title=f"{metric} by epoch")


def _render_facts_section(run: Run, history: History) -> Html:
    record, started = run.record, history.start_event
    rows = [
        ("run", run.id),
        ("created", _format_created(run)),
        ("versions", ", ".join(f"{name} {version}" for name, version in record.versions.items())),
        ("machine", record.device),
    ]
    if started:
        sizes = (started.train_size, started.validation_size, started.test_size)
        rows.append(("device of training", f"{started.device}, {started.precision}"))
        rows.append(("images", "{:,} training, {:,} validation, {:,} test".format(*sizes)))
    rows.append(("data", run.get_dataset().credit))
    return section("About this run", table("settings", ("", ""), [row for row in rows if row[1]]))
