"""What is looked at: the drawing, a test image, an upload, or an example while there is nothing else."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from playground.engine.data import load_test
from playground.engine.store import Run
from playground.errors import PlaygroundError
from playground.lens.drawing import Drawing, fit_strokes, net_input
from playground.lens.model import Model, load_model
from playground.ui.server import pretrained
from playground.ui.state import CANVAS_SIZE, PEN_WIDTH, AppState

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
    image = data.images[index].numpy().astype(np.float32) / np.float32(255)
    return Subject(image, f"test image {index:,}", int(data.labels[index]))


def drawn_subject(state: AppState) -> Subject:
    """What is on the canvas as the net sees it; the example while it is empty."""
    under = None if state.test_index is None else test_subject(state.test_index)
    drawing = Drawing(state.strokes, CANVAS_SIZE, PEN_WIDTH, None if under is None else under.image[0])
    if drawing.is_empty:
        return example()
    if under is not None and not state.strokes:
        return Subject(net_input(drawing, centred=state.centred), under.origin, under.label)
    return Subject(net_input(drawing, centred=state.centred), "your drawing")


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
    return f"{run.record.name}, {'untrained' if model.step == 0 else f'step {model.step:,}'}"
