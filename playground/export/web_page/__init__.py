"""Publication of a run as one HTML page that runs its network in the browser, without a server or a network."""

import base64
import hashlib
import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from playground.charts.curves import make_training_figure
from playground.charts.static_svg import CSS_THEME, render_svg
from playground.charts.theme import DARK, LIGHT, get_colormap, render_css_variables
from playground.codegen.templating import make_environment
from playground.core.layers.shared.activation_functions import ACTIVATION_TITLES
from playground.core.shapes import format_shape
from playground.core.summary import summarize
from playground.engine.data.custom.store import export_record
from playground.engine.data.dataset_lookup import get_class_names
from playground.engine.paths import clean_name
from playground.engine.runs.run import Run
from playground.errors import PlaygroundError, UnknownNameError
from playground.export.report.recipe import make_recipe_section
from playground.export.report.test_results import EvaluatedRun, evaluate_run
from playground.export.targets.base import build_file_name
from playground.export.web_page.accuracy import PageAccuracy, measure_accuracy
from playground.export.web_page.examples import ExampleImages, select_examples
from playground.export.web_page.limits import check_page_limits
from playground.export.web_page.texts import (
    describe_accuracy,
    describe_credits,
    describe_drawing,
    describe_examples,
    describe_images,
    describe_network,
    describe_training,
    list_figures,
)
from playground.interpret.activations.breakdown import INPUT_NAME, name_inputs
from playground.interpret.activations.receptive_field import list_receptive_spans
from playground.interpret.model import Model, load_model
from playground.version import __version__
from playground.web.assets import read_page_script, read_page_stylesheet
from playground.web.network_file import WeightType
from playground.web.page_file import PublishedNetwork, render_network_element

if TYPE_CHECKING:
    from jinja2 import Environment

_TEMPLATES_FOLDER = Path(__file__).parent / "templates"
_WEIGHT_TYPES: dict[str, WeightType] = {"float32": "float32", "float16": "float16", "fp16": "float16"}


@dataclass(frozen=True)
class PageOptions:
    """Options of a page; ``title``: the run's name by default.

    ``includes_custom_images``: test images of a dataset that the user created are in the page.
    """

    title: str | None = None
    weight_type: WeightType = "float32"
    includes_custom_images: bool = False


@dataclass(frozen=True)
class WebPage:
    """A published page; ``accuracy`` is None where the test images are missing.

    ``remarks``: sentences for the publisher on accuracy and images.
    """

    content: bytes
    title: str
    accuracy: PageAccuracy | None
    example_count: int
    remarks: tuple[str, ...]

    @property
    def file_name(self) -> str:
        """File name made of the title."""
        return build_file_name(self.title, ".html")


def find_weight_type(name: str) -> WeightType:
    """Return the weight type of this name; raises UnknownNameError for another one."""
    if name not in _WEIGHT_TYPES:
        raise UnknownNameError(f"Unknown precision {name!r:.40}.", expected=f"One of: {', '.join(_WEIGHT_TYPES)}.")
    return _WEIGHT_TYPES[name]


def render_web_page(run: Run, options: PageOptions | None = None) -> WebPage:
    """Publish the newest snapshot of a run. All test images are predicted, with float32 and with float16 weights.

    Raises StorageError for a run without weights or with weights that are not finite, and PlaygroundError for a
    network that a browser cannot run: one that is too large, or whose input is features of another network.
    """
    options = options or PageOptions()
    model = load_model(run)
    check_page_limits(run)
    title = clean_name(options.title or "") or run.record.name
    architecture, recipe = run.record.architecture, run.get_current_recipe()
    weights = {name: tensor.numpy() for name, tensor in model.module.state_dict().items()}
    network = PublishedNetwork(title, architecture, recipe, weights, export_record(recipe.dataset))
    payload = render_network_element(network, weight_type=options.weight_type)
    evaluated, missing_reason = _try_to_evaluate(run)
    accuracy = measure_accuracy(model, evaluated, options.weight_type) if evaluated else None
    examples = select_examples(run, evaluated, includes_custom_images=options.includes_custom_images)
    history = run.read_history()
    stylesheet = _render_stylesheet()
    script = read_page_script()
    dataset = run.get_dataset()
    drawing_title, drawing_hint = describe_drawing(dataset, architecture.input.shape)
    settings = make_recipe_section(recipe, history).settings
    content = (
        _get_environment()
        .get_template("page.html.j2")
        .render(
            title=title,
            version=__version__,
            policy=_render_policy(stylesheet, script),
            stylesheet=stylesheet,
            description=describe_network(run),
            figures=list_figures(run, history, accuracy),
            drawing_title=drawing_title,
            drawing_hint=drawing_hint,
            examples_note=describe_examples(examples),
            training=describe_training(run, history, accuracy, missing_reason),
            settings=[setting for setting in settings if not setting.is_default],
            curve=_render_curve(history, title),
            layers=_list_layer_rows(run),
            credits=describe_credits(dataset, examples),
            data=_render_data(model, run, examples),
            payload=payload,
            script=script,
        )
    )
    remarks = (describe_accuracy(accuracy, missing_reason), describe_images(dataset, examples))
    return WebPage(content.encode("utf-8", "replace"), title, accuracy, len(examples.labels), remarks)


def _try_to_evaluate(run: Run) -> tuple[EvaluatedRun | None, str]:
    """Evaluate on the test images, or return the reason why that is impossible."""
    try:
        return evaluate_run(run), ""
    except PlaygroundError as error:
        return None, str(error)


def _render_stylesheet() -> str:
    dark = f"@media (prefers-color-scheme:dark){{{render_css_variables(DARK)}}}"
    return f"{render_css_variables(LIGHT)}{dark}{read_page_stylesheet()}"


def _render_policy(stylesheet: str, script: str) -> str:
    """Render a content security policy that allows this style sheet, this script and its worker, and no address."""
    return (
        f"default-src 'none'; script-src '{_hash_source(script)}' 'wasm-unsafe-eval'; "
        f"style-src '{_hash_source(stylesheet)}'; worker-src blob:; base-uri 'none'; form-action 'none'"
    )


def _hash_source(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


def _render_curve(history: Any, title: str) -> str:
    if not history.steps:
        return ""
    figure = make_training_figure(history, "accuracy", CSS_THEME, revision="")
    return render_svg(figure, title=f"Accuracy of {title} by epoch")


def _list_layer_rows(run: Run) -> list[tuple[str, str, str, str]]:
    return [
        (row.title, row.arguments_text, format_shape(row.output_shape), f"{row.parameters:,}")
        for row in summarize(run.record.architecture).layers
        if row.enabled
    ]


def _render_data(model: Model, run: Run, examples: ExampleImages) -> str:
    """Render the data that ``readPageData`` in web/page/page_data.js reads, as JSON that cannot end its element."""
    dataset = run.get_dataset()
    data = {
        "classNames": get_class_names(run.record.recipe, model.architecture),
        "hasStrokes": dataset.is_drawable,
        "layers": _list_layer_facts(model),
        "exampleLabels": examples.labels,
        "examplePixels": _encode_bytes(examples.pixels),
        "colors": {
            "ink": _encode_bytes(get_colormap("ink")),
            "sequential": _encode_bytes(get_colormap("sequential")),
            "diverging": _encode_bytes(get_colormap("diverging")),
            "diverging_dark": _encode_bytes(get_colormap("diverging_dark")),
        },
        "gapColors": {"light": LIGHT.gap_color, "dark": DARK.gap_color},
    }
    return json.dumps(data, separators=(",", ":")).replace("<", "\\u003c")


def _encode_bytes(values: np.typing.NDArray[np.uint8]) -> str:
    return base64.b64encode(values.tobytes()).decode()


def _list_layer_facts(model: Model) -> list[dict[str, Any]]:
    steps = model.architecture.resolve_layers()
    facts = []
    for number, step in enumerate(steps, start=1):
        layer, steps_so_far = step.layer, steps[:number]
        receptive_field = {
            "rows": list_receptive_spans(steps_so_far, 0),
            "columns": list_receptive_spans(steps_so_far, 1),
        }
        facts.append(
            {
                "index": step.index,
                "title": layer.title,
                "arguments": layer.format_arguments(),
                "activation": ACTIVATION_TITLES.get(layer.activation_name, ""),
                "inputName": name_inputs(steps_so_far),
                "readsImage": name_inputs(steps_so_far) == INPUT_NAME,
                "receptiveField": receptive_field,
                "isPassthrough": layer.is_passthrough,
            }
        )
    return facts


@cache
def _get_environment() -> "Environment":
    return make_environment(_TEMPLATES_FOLDER, escapes_html=True)
