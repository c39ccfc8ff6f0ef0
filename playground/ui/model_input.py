"""What is looked at: the drawing, a test image, an upload, or an example while there is nothing else."""

import math
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from playground.charts.images import render_image
from playground.core.datasets import Dataset
from playground.core.shapes import Shape
from playground.engine.data.rasterize import MNIST_PREPROCESSING, RESIZE_ONLY, rasterize
from playground.engine.data.splits import load_test_images
from playground.engine.runs.run import Run
from playground.errors import PlaygroundError
from playground.interpret.drawing.image_files import get_image_shape, read_uploaded_image, read_uploaded_ink
from playground.interpret.drawing.preprocess import Drawing, overlay_drawing, prepare_input, preprocess_drawing
from playground.interpret.model import Model, load_model
from playground.ui.canvas import ERASER_WIDTH
from playground.ui.page_states import ImageUpload
from playground.ui.services import get_pretrained
from playground.ui.state import CANVAS_SIZE, AppState

Array = NDArray[np.float32]

_EXAMPLE_STROKE = (
    *((75, 75), (90, 55), (115, 45), (140, 48), (155, 65), (150, 85), (130, 100), (110, 108)),
    *((135, 112), (158, 128), (165, 152), (150, 180), (122, 195), (92, 192), (72, 178)),
)


@dataclass(frozen=True)
class InputSpec:
    """What the nets of a run can be shown: images of ``shape``, like those of a data set."""

    run: Run
    dataset: Dataset
    shape: Shape

    @property
    def can_read_drawings(self) -> bool:
        """Whether a drawing is fitted to look like the data."""
        return self.dataset.is_drawable

    @property
    def is_mnist_like(self) -> bool:
        """Whether the pretrained model can be asked about the same images."""
        return self.dataset.subject == "digits" and self.dataset.has_strokes and self.shape == (1, 28, 28)


@dataclass(frozen=True)
class ModelInput:
    """An image of the net's shape, (channels, height, width), values 0 to 1, and where it comes from."""

    image: Array
    source: str
    label: int | None = None

    @property
    def is_example(self) -> bool:
        """Whether it only stands for what is not there yet."""
        return self.source == "an example"


def get_input_spec(run: Run) -> InputSpec:
    """What a run's nets can be shown."""
    return InputSpec(run, run.get_dataset(), run.record.architecture.input.shape)


def get_active_input_spec(state: AppState) -> InputSpec:
    """The same of the net that answers on the Playground page: the attached run's, or the pretrained one."""
    run = state.training.find_run()
    return get_input_spec(run if run is not None and run.list_snapshot_steps() else get_pretrained())


def make_example(input_spec: InputSpec) -> ModelInput:
    """A drawn 3 for a net that reads digits, for which no data is needed; else the first test image."""
    if input_spec.is_mnist_like:
        return ModelInput(rasterize([_EXAMPLE_STROKE]), "an example")
    try:
        return replace(load_test_input(input_spec, 0), source="an example")
    except PlaygroundError:  # the data is gone: any net takes an empty image
        return ModelInput(np.zeros(input_spec.shape, dtype=np.float32), "an example")


def load_test_input(input_spec: InputSpec, index: int) -> ModelInput:
    """A test image with its label; raises what loading the data raises."""
    data = load_test_images(input_spec.dataset.name)
    index = min(index, len(data) - 1)
    one = data.select_one(index).resize(input_spec.shape)  # the others may be many, and large
    return ModelInput(one.get_image(0), f"test image {index:,}", int(one.labels[0]))


def build_canvas_input(state: AppState, input_spec: InputSpec) -> ModelInput:
    """What is on the canvas as the net sees it; the example while it is empty."""
    drawing = _build_drawing(state, input_spec)
    if drawing.is_empty and state.drawing.upload is None and state.drawing.test_index is None:
        return make_example(input_spec)
    if input_spec.dataset.features and state.drawing.upload is None and not state.drawing.ink.strokes:
        return load_test_input(input_spec, state.drawing.test_index or 0)
    picture = (
        preprocess_drawing(drawing, state.drawing.preprocessing)
        if input_spec.can_read_drawings
        else overlay_drawing(_load_background(state, input_spec), drawing)
    )
    image = prepare_input(picture, input_spec.dataset, input_spec.shape)
    if state.drawing.ink.strokes or state.drawing.ink.eraser_strokes:
        return ModelInput(image, "your drawing")
    if state.drawing.upload is not None:
        return ModelInput(image, state.drawing.upload.name)
    under = load_test_input(input_spec, state.drawing.test_index or 0)
    return ModelInput(image, under.source, under.label)


def render_canvas_background(state: AppState, input_spec: InputSpec) -> bytes | None:
    """The picture under the strokes, as a PNG for the canvas; raises what loading the data raises."""
    if state.drawing.upload is None and _load_test_background(state, input_spec) is None:
        return None
    if input_spec.can_read_drawings:
        under = _build_drawing(state, input_spec).background
        return None if under is None else render_image(under[None], size=len(under))
    return render_image(_load_background(state, input_spec), size=CANVAS_SIZE)


def compute_preprocessing_stages(state: AppState, input_spec: InputSpec) -> tuple[Array, Array] | None:
    """The canvas merely shrunk, and made as large and with the pen that are wanted; None while it is empty."""
    drawing = _build_drawing(state, input_spec)
    if drawing.is_empty:
        return None
    return preprocess_drawing(drawing, RESIZE_ONLY), preprocess_drawing(
        drawing, replace(state.drawing.preprocessing, centred=False)
    )


def preprocess_upload(upload: ImageUpload, input_spec: InputSpec) -> Array:
    """An uploaded picture as the net takes it: a drawing's ink fitted, or the picture itself; raises ImageFileError."""
    if input_spec.can_read_drawings:
        fitted = preprocess_drawing(
            Drawing(background=_decode_upload_grayscale(upload), canvas_size=CANVAS_SIZE), MNIST_PREPROCESSING
        )
    else:
        fitted = _decode_upload(upload, input_spec)
    return prepare_input(fitted, input_spec.dataset, input_spec.shape)


def _decode_upload(upload: ImageUpload, input_spec: InputSpec) -> Array:
    return read_uploaded_image(upload.name, upload.content, get_image_shape(input_spec.dataset, input_spec.shape))


def _load_test_background(state: AppState, input_spec: InputSpec) -> Array | None:
    """The chosen test image, to be drawn on; None where there is none, or it is no picture but features of one."""
    if state.drawing.test_index is None or input_spec.dataset.features:
        return None
    return load_test_input(input_spec, state.drawing.test_index).image


def _load_background(state: AppState, input_spec: InputSpec) -> Array:
    """The image under the strokes, for a net that sees pictures; black where there is none."""
    if state.drawing.upload is not None:
        return _decode_upload(state.drawing.upload, input_spec)
    under = _load_test_background(state, input_spec)
    return np.zeros(get_image_shape(input_spec.dataset, input_spec.shape), dtype=np.float32) if under is None else under


def _build_drawing(state: AppState, input_spec: InputSpec) -> Drawing:
    under = None
    if state.drawing.upload is not None and input_spec.can_read_drawings:
        under = _decode_upload_grayscale(state.drawing.upload)
    elif input_spec.can_read_drawings and (image := _load_test_background(state, input_spec)) is not None:
        under = image.max(axis=0)
    return Drawing(
        state.drawing.ink.strokes,
        CANVAS_SIZE,
        state.drawing.pen_width,
        under,
        state.drawing.ink.eraser_strokes,
        ERASER_WIDTH,
    )


@lru_cache(maxsize=8)
def _decode_upload_grayscale(upload: ImageUpload) -> Array:
    ink = read_uploaded_ink(upload.name, upload.content)
    side = math.isqrt(ink.size)
    return ink.reshape(side, side)


def load_active_model(run: Run | None) -> tuple[Model | None, PlaygroundError | None]:
    """The attached run's newest network, or the pretrained one while there is none; and what kept it from loading."""
    try:
        if run is not None and run.list_snapshot_steps():
            return load_model(run), None
        return load_model(get_pretrained()), None
    except PlaygroundError as problem:
        return None, problem


def describe_model(run: Run | None, model: Model | None) -> str:
    """Which network answers, in words."""
    if model is None:
        return ""
    if run is None or model.run_id != run.id:
        return "pretrained model"
    start = "as it began" if run.initial_state_path.exists() else "untrained"
    return f"{run.record.name}, {start if model.step == 0 else f'step {model.step:,}'}"
