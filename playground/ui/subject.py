"""What is looked at: the drawing, a test image, an upload, or an example while there is nothing else."""

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from playground.charts.images import single_image
from playground.engine.data import load_test
from playground.engine.store import Run
from playground.engine.strokes import SHRUNK, fit_strokes
from playground.errors import PlaygroundError
from playground.lens.drawing import Drawing, net_input
from playground.lens.model import Model, load_model
from playground.ui.canvas import ERASER_WIDTH
from playground.ui.server import pretrained
from playground.ui.state import CANVAS_SIZE, AppState

Array = NDArray[np.float32]

_EXAMPLE = (
    *((75, 75), (90, 55), (115, 45), (140, 48), (155, 65), (150, 85), (130, 100), (110, 108)),
    *((135, 112), (158, 128), (165, 152), (150, 180), (122, 195), (92, 192), (72, 178)),
)


@dataclass(frozen=True)
class Subject:
    """An image of the data's shape, (channels, height, width), values 0 to 1, and where it comes from."""

    image: Array
    origin: str
    label: int | None = None


def example() -> Subject:
    """A drawn 3, for a page on which nothing was drawn yet; it needs no data."""
    return Subject(fit_strokes([_EXAMPLE]), "an example")


def test_subject(index: int) -> Subject:
    """A test image of MNIST with its label; raises AssetError where the data is damaged."""
    data = load_test("mnist")
    return Subject(data.image(index), f"test image {index:,}", int(data.labels[index]))


def drawn_subject(state: AppState) -> Subject:
    """What is on the canvas as the net sees it; the example while it is empty."""
    drawing = _drawing(state)
    if drawing.is_empty:
        return example()
    image = net_input(drawing, state.fitting)
    if state.ink.strokes or state.ink.erased:
        return Subject(image, "your drawing")
    if state.picture is not None:
        return Subject(image, state.picture.name)
    under = test_subject(state.test_index or 0)
    return Subject(image, under.origin, under.label)


def background_of(state: AppState) -> bytes | None:
    """The picture under the strokes, as a PNG for the canvas; raises AssetError where the data is damaged."""
    under = _drawing(state).under
    return None if under is None else single_image(under, size=len(under))


def stages(state: AppState) -> tuple[Array, Array] | None:
    """The canvas merely shrunk, and made as large and with the pen that are wanted; None while it is empty."""
    drawing = _drawing(state)
    if drawing.is_empty:
        return None
    return net_input(drawing, SHRUNK), net_input(drawing, replace(state.fitting, centred=False))


def _drawing(state: AppState) -> Drawing:
    under = None
    if state.picture is not None:
        values = np.frombuffer(state.picture.ink, dtype=np.float32)
        under = values.reshape(-1, math.isqrt(len(values)))
    elif state.test_index is not None:
        under = test_subject(state.test_index).image[0]
    return Drawing(state.ink.strokes, CANVAS_SIZE, state.pen_width, under, state.ink.erased, ERASER_WIDTH)


def subject_model(run: Run | None) -> tuple[Model | None, PlaygroundError | None]:
    """The attached run's newest network, or the pretrained one while there is none; and what kept it from loading."""
    try:
        if run is not None and run.snapshots():
            return load_model(run), None
        return load_model(pretrained()), None
    except PlaygroundError as problem:
        return None, problem


def model_name(run: Run | None, model: Model | None) -> str:
    """Which network answers, in words."""
    if model is None:
        return ""
    if run is None or model.run_id != run.id:
        return "pretrained model"
    start = "as it began" if run.material_path.exists() else "untrained"
    return f"{run.record.name}, {start if model.step == 0 else f'step {model.step:,}'}"
