"""Report of a run: one self-contained HTML file."""

from dataclasses import dataclass

from playground.charts.curves import Metric, make_training_figure
from playground.charts.static_svg import CSS_THEME, render_svg
from playground.charts.theme import DARK, LIGHT, render_css_variables
from playground.codegen.svg_diagram import to_svg
from playground.core.architecture import Architecture
from playground.core.events import Diagnosed
from playground.core.history import History, RunStatus
from playground.core.shapes import format_shape
from playground.core.summary import LayerSummary, summarize
from playground.engine.paths import find_bundled
from playground.engine.runs.run import Run
from playground.errors import PlaygroundError
from playground.export.report.html import render_html
from playground.export.report.recipe import make_recipe_section
from playground.export.report.reproduce import make_reproduce_section
from playground.export.report.test_results import evaluate_run, make_test_section

_PHASES: dict[RunStatus, str] = {
    "waiting": "not started",
    "training": "still training",
    "paused": "paused",
    "completed": "completed",
    "stopped": "stopped early",
    "interrupted": "interrupted",
    "failed": "failed",
}


@dataclass(frozen=True)
class NetworkSection:
    """Diagram (SVG), and a row of cells for each layer and the total."""

    diagram: str
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class TrainingSection:
    """Learning curves as (title, SVG), none before the first step, and labeled diagnoses and errors."""

    curves: tuple[tuple[str, str], ...]
    messages: tuple[tuple[str, str], ...]


def render_report(run: Run, *, link: str | None = None) -> str:
    """Render the report; ``link`` opens the network and its recipe in the app.

    A section whose data is missing, such as a deleted dataset, states so. All test images are predicted.
    """
    history = run.read_history()
    test, test_error = None, ""
    try:
        test = make_test_section(evaluate_run(run))
    except PlaygroundError as error:
        test_error = str(error)
    return render_html(
        "report.html.j2",
        title=run.record.name,
        description=_describe_run(run, history),
        light_variables=render_css_variables(LIGHT),
        dark_variables=render_css_variables(DARK),
        stylesheet=find_bundled("assets/report.css").read_text(encoding="utf-8"),
        key_figures=_list_key_figures(run, history),
        network=_make_network_section(run.record.architecture, run.record.name),
        recipe=make_recipe_section(run.record.recipe, history),
        training=_make_training_section(run, history),
        test=test,
        test_error=test_error,
        reproduce=make_reproduce_section(run, history, link),
        facts=_list_facts(run, history),
    )


def _describe_run(run: Run, history: History) -> str:
    layers = sum(layer.enabled for layer in run.record.architecture.layers)
    return (
        f"{_format_created(run)}: a network of {layers} layers, "
        f"{history.epoch:.3g} of {history.planned_epochs:.3g} epochs of training on "
        f"{run.get_dataset().title}, {_PHASES[history.status]}."
    )


def _format_created(run: Run) -> str:
    return f"{run.record.created[:16].replace('T', ' ')} UTC"


def _list_key_figures(run: Run, history: History) -> list[tuple[str, str]]:
    """List the latest test or validation metrics and the cost of the network."""
    summary = summarize(run.record.architecture)
    evaluation, split = history.test or history.last_validation, "test" if history.test else "validation"
    figures = []
    if evaluation:
        figures += [(f"{evaluation.accuracy:.2%}", f"{split} accuracy"), (f"{evaluation.loss:.4f}", f"{split} loss")]
    return [
        *figures,
        (f"{summary.parameters:,}", "parameters"),
        (f"{summary.multiply_adds:,}", "multiply-adds per image"),
        (f"{history.elapsed_s:,.1f} s", "of training"),
        (f"{history.images_per_second:,.0f}", "images per second, latest"),
    ]


def _make_network_section(architecture: Architecture, title: str) -> NetworkSection:
    summary = summarize(architecture)
    total = ("Total", "", "", "", f"{summary.parameters:,}", f"{summary.multiply_adds:,}", "")
    return NetworkSection(
        to_svg(architecture, title=title), (*(_format_layer_row(row) for row in summary.layers), total)
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


def _make_training_section(run: Run, history: History) -> TrainingSection:
    """Collect the learning curves, the diagnoses and the error of a failed run."""
    metrics: tuple[Metric, ...] = ("accuracy", "loss")
    messages = [
        (f"Epoch {history.epoch_at(event.step):.2f}", event.message)
        for event in run.read_events()
        if isinstance(event, Diagnosed)
    ]
    if history.failure:
        messages.append(("Error", " ".join((history.failure.what, history.failure.expected, history.failure.fix))))
    return TrainingSection(
        tuple((metric.capitalize(), _render_curve(history, metric)) for metric in metrics) if history.steps else (),
        tuple(messages),
    )


def _render_curve(history: History, metric: Metric) -> str:
    return render_svg(make_training_figure(history, metric, CSS_THEME, revision=""), title=f"{metric} by epoch")


def _list_facts(run: Run, history: History) -> list[tuple[str, str]]:
    record, started = run.record, history.start_event
    facts = [
        ("run", run.id),
        ("created", _format_created(run)),
        ("versions", ", ".join(f"{name} {version}" for name, version in record.versions.items())),
        ("machine", record.device),
    ]
    if started:
        sizes = (started.train_size, started.validation_size, started.test_size)
        facts.append(("device of training", f"{started.device}, {started.precision}"))
        facts.append(("images", "{:,} training, {:,} validation, {:,} test".format(*sizes)))
    facts.append(("data", run.get_dataset().credit))
    return [fact for fact in facts if fact[1]]
