"""A run on one page: an HTML file that needs nothing else, to hand in, send or print."""

from playground.charts.curves import Metric, training_figure
from playground.charts.static_svg import PAGE, figure_svg
from playground.charts.theme import DARK, LIGHT, Theme
from playground.codegen.svg_diagram import to_svg
from playground.core.architecture import Architecture
from playground.core.events import Diagnosed
from playground.core.history import History, Phase
from playground.core.shapes import shape_text
from playground.core.summary import Row, summarize
from playground.engine.paths import bundled
from playground.engine.runs.run import Run
from playground.export.report.html import Html, element, joined, note, scrolled, section, table
from playground.export.report.recipe import recipe_section
from playground.export.report.reproduce import again_section
from playground.export.report.test_results import test_sections

_PHASES: dict[Phase, str] = {
    "waiting": "not begun",
    "training": "still training",
    "paused": "paused",
    "completed": "completed",
    "stopped": "stopped early",
    "interrupted": "interrupted",
    "failed": "failed",
}
_NOTHING_LOADED = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"


def report_html(run: Run, *, link: str | None = None) -> str:
    """The whole report; ``link`` opens the network and the recipe in an app.

    Parts that need what is not there, such as a data set that was deleted, say so. Asking the network about all test
    images takes as long as it takes.
    """
    history = run.history()
    title = run.record.name
    body = joined(
        element("header", element("h1", title), element("p", _lead(run, history)), _figures(run, history)),
        _network(run.record.architecture, title),
        recipe_section(run.record.recipe, history),
        _course(run, history),
        test_sections(run),
        again_section(run, history, link),
        _facts(run, history),
    )
    head = joined(
        Html('<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'),
        Html(f'<meta http-equiv="Content-Security-Policy" content="{_NOTHING_LOADED}">'),
        element("title", f"{title} · CNN Playground"),
        element("style", Html(_style())),
    )
    return f'<!doctype html>\n<html lang="en"><head>{head}</head>\n<body>{body}</body></html>\n'


def _style() -> str:
    """Dark on dark screens; paper is light."""
    sheet = bundled("assets/report.css").read_text(encoding="utf-8")
    return f"{_variables(LIGHT)}\n@media screen and (prefers-color-scheme: dark) {{ {_variables(DARK)} }}\n{sheet}"


def _variables(colours: Theme) -> str:
    names = ("accent", "text", "muted", "grid", "marker")
    values = "".join(f"--{name}:{getattr(colours, name)};" for name in names)
    return f":root{{color-scheme:{colours.name};--page:rgb{colours.gap};{values}}}"


def _lead(run: Run, history: History) -> str:
    layers = sum(layer.enabled for layer in run.record.architecture.layers)
    return (
        f"{_made(run)}: a network of {layers} layers, "
        f"{history.epoch:.3g} of {history.epochs_planned:.3g} epochs of training on "
        f"{run.dataset().title}, {_PHASES[history.phase]}."
    )


def _made(run: Run) -> str:
    return f"{run.record.created[:16].replace('T', ' ')} UTC"


def _figures(run: Run, history: History) -> Html:
    """The newest measurement on images that training never saw, and what the network costs."""
    summary = summarize(run.record.architecture)
    measured, split = history.test or history.last_validation, "test" if history.test else "validation"
    shown = []
    if measured:
        shown += [(f"{measured.accuracy:.2%}", f"{split} accuracy"), (f"{measured.loss:.4f}", f"{split} loss")]
    shown += [
        (f"{summary.parameters:,}", "parameters"),
        (f"{summary.multiply_adds:,}", "multiply-adds an image"),
        (f"{history.elapsed_s:,.1f} s", "of training"),
        (f"{history.images_per_second:,.0f}", "images a second, last"),
    ]
    cells = (element("div", element("dt", label), element("dd", value)) for value, label in shown)
    return element("dl", *cells, class_="cards")


def _network(architecture: Architecture, title: str) -> Html:
    summary = summarize(architecture)
    total = ("Total", "", "", "", f"{summary.parameters:,}", f"{summary.multiply_adds:,}", "")
    return section(
        "Network",
        scrolled(element("div", Html(to_svg(architecture, title=title)), class_="picture")),
        table(
            "layers",
            ("layer", "", "in", "out", "parameters", "multiply-adds", "sees"),
            [*(_layer(row) for row in summary.rows), total],
        ),
        note("Shapes are channels × height × width. Sees: the receptive field, in pixels of the image."),
    )


def _layer(row: Row) -> tuple[str, ...]:
    if not row.enabled:
        return (row.title, "switched off", "", "", "", "", "")
    return (
        row.title,
        row.detail,
        shape_text(row.input_shape),
        shape_text(row.output_shape),
        f"{row.parameters:,}",
        f"{row.multiply_adds:,}",
        shape_text(row.receptive_field),
    )


def _course(run: Run, history: History) -> Html:
    """The curves, and what the run said of itself on its way."""
    if not history.steps:
        return section("Training", note("No batch was trained yet."))
    metrics: tuple[Metric, ...] = ("accuracy", "loss")
    curves = [
        element("div", element("h3", metric.capitalize()), Html(_curve(history, metric)), class_="curve")
        for metric in metrics
    ]
    said = [
        element("li", element("b", f"Epoch {history.epoch_at(event.step):.2f}: "), event.message)
        for event in run.events()
        if isinstance(event, Diagnosed)
    ]
    if history.failure:
        words = " ".join((history.failure.what, history.failure.expected, history.failure.fix))
        said.append(element("li", element("b", "The end: "), words))
    return section(
        "Training",
        element("div", *curves, class_="columns"),
        *((element("h3", "What it said of itself"), element("ul", *said)) if said else ()),
    )


def _curve(history: History, metric: Metric) -> str:
    return figure_svg(training_figure(history, metric, PAGE, revision=""), title=f"{metric} by epoch")


def _facts(run: Run, history: History) -> Html:
    record, started = run.record, history.started
    rows = [
        ("run", run.id),
        ("made", _made(run)),
        ("versions", ", ".join(f"{name} {version}" for name, version in record.versions.items())),
        ("machine", record.device),
    ]
    if started:
        sizes = (started.train_size, started.validation_size, started.test_size)
        rows.append(("computed on", f"{started.device}, {started.precision}"))
        rows.append(("images", "{:,} to train on, {:,} to validate, {:,} to test".format(*sizes)))
    rows.append(("data", run.dataset().credit))
    return section("About this run", table("settings", ("", ""), [row for row in rows if row[1]]))
