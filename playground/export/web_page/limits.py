"""Limits of networks that a page can run."""

from playground.core.shapes import count_elements
from playground.core.summary import summarize
from playground.engine.runs.run import Run
from playground.errors import PlaygroundError

MAX_PARAMETERS = 10_000_000
"""Page of 53 MB with float32 weights."""
MAX_MULTIPLY_ADDS = 1_000_000_000
"""About one second per image in a browser."""
MAX_LAYER_VALUES = 10_000_000
"""Values of all layers, which the page copies for every image: 40 MB."""
_EXPORT_FIX = "Export the run as ONNX, or show it in the app."


def check_page_limits(run: Run) -> None:
    """Raise PlaygroundError for a network that a page cannot run."""
    dataset = run.get_dataset()
    if dataset.features is not None:
        raise PlaygroundError(
            f"The input of this network is features of {dataset.features.extractor}; the page would need that network "
            "too.",
            expected="A network whose input is images.",
            fix=_EXPORT_FIX,
        )
    summary = summarize(run.record.architecture)
    values = sum(count_elements(row.output_shape) for row in summary.layers if row.enabled)
    for count, limit, noun in (
        (summary.parameters, MAX_PARAMETERS, "parameters"),
        (summary.multiply_adds, MAX_MULTIPLY_ADDS, "multiply-adds per image"),
        (values, MAX_LAYER_VALUES, "layer outputs per image"),
    ):
        if count > limit:
            raise PlaygroundError(
                f"This network is too large for a web page: {count:,} {noun}.",
                expected=f"At most {limit:,}.",
                fix=_EXPORT_FIX,
            )
