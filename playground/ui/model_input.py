"""What is looked at: the drawing, a test image, an upload, or an example while there is nothing else."""

import math
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from playground.charts.images import single_image
from playground.core.datasets import Dataset
from playground.core.shapes import Shape
from playground.engine.data.rasterize import AS_MNIST, SHRUNK, fit_strokes
from playground.engine.data.splits import load_test
from playground.engine.runs.run import Run
from playground.errors import PlaygroundError
from playground.interpret.drawing.image_files import picture_shape, uploaded_image, uploaded_ink
from playground.interpret.drawing.preprocess import Drawing, drawn_over, for_net, net_input
from playground.interpret.model import Model, load_model
from playground.ui.canvas import ERASER_WIDTH
from playground.ui.services import pretrained
from playground.ui.state import CANVAS_SIZE, AppState, Picture

Array = NDArray[np.float32]

_EXAMPLE = (
    *((75, 75), (90, 55), (115, 45), (140, 48), (155, 65), (150, 85), (130, 100), (110, 108)),
    *((135, 112), (158, 128), (165, 152), (150, 180), (122, 195), (92, 192), (72, 178)),
)


@dataclass(frozen=True)
class Sight:
    """What the nets of a run can be shown: images of ``shape``, like those of a data set."""

    run: Run
    dataset: Dataset
    shape: Shape

    @property
    def reads_drawings(self) -> bool:
        """Whether a drawing is fitted to look like the data."""
        return self.dataset.reads_drawings

    @property
    def is_mnist_like(self) -> bool:
        """Whether the pretrained model can be asked about the same images."""
        return self.dataset.subject == "digits" and self.dataset.strokes and self.shape == (1, 28, 28)


@dataclass(frozen=True)
class Subject:
    """An image of the net's shape, (channels, height, width), values 0 to 1, and where it comes from."""

    image: Array
    origin: str
    label: int | None = None

    @property
    def is_example(self) -> bool:
        """Whether it only stands for what is not there yet."""
        return self.origin == "an example"


def sight_of(run: Run) -> Sight:
    """What a run's nets can be shown."""
    return Sight(run, run.dataset(), run.record.architecture.input.shape)


def shown_sight(state: AppState) -> Sight:
    """The same of the net that answers on the Playground page: the attached run's, or the pretrained one."""
    return sight_of(state.run if state.run is not None and state.run.snapshots() else pretrained())


def example(sight: Sight) -> Subject:
    """A drawn 3 for a net that reads digits, for which no data is needed; else the first test image."""
    if sight.is_mnist_like:
        return Subject(fit_strokes([_EXAMPLE]), "an example")
    try:
        return replace(test_subject(sight, 0), origin="an example")
    except PlaygroundError:  # the data is gone: any net takes an empty image
        return Subject(np.zeros(sight.shape, dtype=np.float32), "an example")


def test_subject(sight: Sight, index: int) -> Subject:
    """A test image with its label; raises what loading the data raises."""
    data = load_test(sight.dataset.name)
    index = min(index, len(data) - 1)
    one = data.only(index).resized(sight.shape)  # the others may be many, and large
    return Subject(one.image(0), f"test image {index:,}", int(one.labels[0]))


def drawn_subject(state: AppState, sight: Sight) -> Subject:
    """What is on the canvas as the net sees it; the example while it is empty."""
    drawing = _drawing(state, sight)
    if drawing.is_empty and state.picture is None and state.test_index is None:
        return example(sight)
    if sight.dataset.features and state.picture is None and not state.ink.strokes:
        return test_subject(sight, state.test_index or 0)
    picture = net_input(drawing, state.fitting) if sight.reads_drawings else drawn_over(_ground(state, sight), drawing)
    image = for_net(picture, sight.dataset, sight.shape)
    if state.ink.strokes or state.ink.erased:
        return Subject(image, "your drawing")
    if state.picture is not None:
        return Subject(image, state.picture.name)
    under = test_subject(sight, state.test_index or 0)
    return Subject(image, under.origin, under.label)


def background_of(state: AppState, sight: Sight) -> bytes | None:
    """The picture under the strokes, as a PNG for the canvas; raises what loading the data raises."""
    if state.picture is None and _test_picture(state, sight) is None:
        return None
    if sight.reads_drawings:
        under = _drawing(state, sight).under
        return None if under is None else single_image(under[None], size=len(under))
    return single_image(_ground(state, sight), size=CANVAS_SIZE)


def stages(state: AppState, sight: Sight) -> tuple[Array, Array] | None:
    """The canvas merely shrunk, and made as large and with the pen that are wanted; None while it is empty."""
    drawing = _drawing(state, sight)
    if drawing.is_empty:
        return None
    return net_input(drawing, SHRUNK), net_input(drawing, replace(state.fitting, centred=False))


def picture_image(picture: Picture, sight: Sight) -> Array:
    """An uploaded picture as the net takes it: a drawing's ink fitted, or the picture itself; raises ImageFileError."""
    if sight.reads_drawings:
        fitted = net_input(Drawing(under=_ink(picture), canvas_size=CANVAS_SIZE), AS_MNIST)
    else:
        fitted = _uploaded(picture, sight)
    return for_net(fitted, sight.dataset, sight.shape)


def _uploaded(picture: Picture, sight: Sight) -> Array:
    return uploaded_image(picture.name, picture.content, picture_shape(sight.dataset, sight.shape))


def _test_picture(state: AppState, sight: Sight) -> Array | None:
    """The chosen test image, to be drawn on; None where there is none, or it is no picture but features of one."""
    if state.test_index is None or sight.dataset.features:
        return None
    return test_subject(sight, state.test_index).image


def _ground(state: AppState, sight: Sight) -> Array:
    """The image under the strokes, for a net that sees pictures; black where there is none."""
    if state.picture is not None:
        return _uploaded(state.picture, sight)
    under = _test_picture(state, sight)
    return np.zeros(picture_shape(sight.dataset, sight.shape), dtype=np.float32) if under is None else under


def _drawing(state: AppState, sight: Sight) -> Drawing:
    under = None
    if state.picture is not None and sight.reads_drawings:
        under = _ink(state.picture)
    elif sight.reads_drawings and (image := _test_picture(state, sight)) is not None:
        under = image.max(axis=0)
    return Drawing(state.ink.strokes, CANVAS_SIZE, state.pen_width, under, state.ink.erased, ERASER_WIDTH)


@lru_cache(maxsize=8)
def _ink(picture: Picture) -> Array:
    ink = uploaded_ink(picture.name, picture.content)
    side = math.isqrt(ink.size)
    return ink.reshape(side, side)


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
