"""Live drawing: the page follows the pen, computed in the browser until the server answers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from playground.charts.theme import Theme, get_colormap
from playground.core.shapes import Shape
from playground.engine.data.rasterize import Preprocessing
from playground.interpret.evaluation.predict import Prediction
from playground.ui.canvas import ERASER_WIDTH, MAX_STROKES, Stroke
from playground.ui.components.register import encode_array, register_component
from playground.ui.remark import PredictionRemark

_RENDER = register_component("live_drawing", isolate_styles=False)
_MAX_TEXT = 300


@dataclass(frozen=True)
class LiveCanvas:
    """Canvas as the server knows it: its component's name, the objects on it, and the strokes.

    ``can_follow``: false while the eraser is chosen, or an image lies under strokes that are preprocessed.
    """

    name: str
    size: int
    pen_width: int
    object_count: int
    strokes: Sequence[Stroke]
    can_follow: bool


@dataclass(frozen=True)
class LiveOverlay:
    """The image that strokes are drawn on without preprocessing: its shape (channels, height, width), and its values.

    ``image``: values 0 to 1; None is black. ``eraser_strokes`` erase the image.
    """

    shape: Shape
    image: NDArray[np.float32] | None
    eraser_strokes: Sequence[Stroke]


@dataclass(frozen=True)
class LiveAnswer:
    """The server's answer of one network to the model input."""

    run_id: str
    run_name: str
    step: int
    prediction: Prediction


@dataclass(frozen=True)
class MapLayout:
    """Layout of the feature maps of a layer: their largest number, the pixels of the grid, and those between maps."""

    max_maps: int
    size: int
    gap: int


@dataclass(frozen=True)
class LiveProblem:
    """A failure of the browser engine, or an answer that is not the server's."""

    run_id: str
    message: str


def live_drawing(
    canvas: LiveCanvas,
    answers: Sequence[LiveAnswer],
    *,
    preprocessing: Preprocessing,
    overlay: LiveOverlay | None,
    model_input: NDArray[np.float32],
    class_names: Sequence[str],
    layer_ids: Sequence[str],
    is_drawn: bool,
    remark: PredictionRemark,
    layout: MapLayout,
    theme: Theme,
    key: str,
) -> LiveProblem | None:
    """Follow the pen and the training with the networks of ``answers``.

    ``is_drawn``: the answers are for the strokes; else for another ``model_input`` (channels, height, width).
    ``overlay``: None for networks whose images are drawings, which are preprocessed.
    ``layer_ids``: those of the first network, whose layers the feature strip shows.

    Returns the problem that the browser reports in this run, else None.
    """
    result = _RENDER(
        key=key,
        data={
            "canvas": {
                "name": canvas.name,
                "size": canvas.size,
                "penWidth": canvas.pen_width,
                "objectCount": canvas.object_count,
                "maxObjects": MAX_STROKES,
                "strokes": canvas.strokes,
                "canFollow": canvas.can_follow,
            },
            "preprocessing": {
                "fitBox": preprocessing.fit_box,
                "normalizeStrokeWidth": preprocessing.normalize_stroke_width,
                "centerByMass": preprocessing.center_by_mass,
            },
            "overlay": _encode_overlay(overlay),
            "inputShape": list(model_input.shape),
            "modelInput": encode_array(model_input),
            "classNames": list(class_names),
            "layerIds": list(layer_ids),
            "answers": [
                {
                    "runId": answer.run_id,
                    "runName": answer.run_name,
                    "step": answer.step,
                    # Encoded, since JSON has no NaN, which the probabilities of a diverged network can be.
                    "probabilities": encode_array(np.asarray(answer.prediction.probabilities, dtype=np.float32)),
                }
                for answer in answers
            ],
            "isDrawn": is_drawn,
            "remark": {"doubts": remark.doubts, "source": remark.source, "exampleHint": remark.example_hint},
            "colors": {
                "sequential": encode_array(get_colormap("sequential")),
                "diverging": encode_array(get_colormap(theme.diverging_palette)),
                "gap": theme.gap_color,
            },
            "layout": {"maxMaps": layout.max_maps, "size": layout.size, "gap": layout.gap},
        },
        on_problem_change=lambda: None,  # without a callback the result has no `problem`
    )
    return _parse_problem(result.problem)


def _encode_overlay(overlay: LiveOverlay | None) -> dict[str, Any] | None:
    if overlay is None:
        return None
    return {
        "shape": list(overlay.shape),
        "image": None if overlay.image is None else encode_array(overlay.image),
        "eraserStrokes": overlay.eraser_strokes,
        "eraserWidth": ERASER_WIDTH,
    }


def _parse_problem(value: object) -> LiveProblem | None:
    """Parse what the browser sends, which can be anything."""
    if not isinstance(value, Mapping):
        return None
    run_id, message = value.get("runId"), value.get("message")
    if not (isinstance(run_id, str) and isinstance(message, str)):
        return None
    return LiveProblem(_clean(run_id), _clean(message))


def _clean(text: str) -> str:
    """Keep the printable characters of a text, at most 300, for the log."""
    return "".join(character for character in text[:_MAX_TEXT] if character.isprintable())
