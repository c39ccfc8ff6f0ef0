"""Input of the model: the drawing, a test image, an upload, or an example while there is none of these."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from playground.charts.images import render_image
from playground.core.datasets import Dataset
from playground.core.preprocessing import ImagePreprocessing
from playground.core.shapes import Shape
from playground.engine.cache import ByteBoundedCache, cached
from playground.engine.data.rasterize import MNIST_PREPROCESSING, RESIZE_ONLY, Preprocessing, rasterize
from playground.engine.data.splits import load_test_images
from playground.engine.runs.run import Run
from playground.errors import PlaygroundError
from playground.interpret.drawing.image_files import read_photo, read_uploaded_image
from playground.interpret.drawing.photo import Photo
from playground.interpret.drawing.preprocess import Drawing, overlay_drawing, prepare_input, preprocess_drawing
from playground.interpret.evaluation.out_of_distribution import reads_mnist_digits
from playground.interpret.model import Model, load_model
from playground.ui.canvas import ERASER_WIDTH, CanvasInk
from playground.ui.page_states import DrawingState, ImageUpload
from playground.ui.services import get_pretrained
from playground.ui.state import CANVAS_SIZE, AppState

Array = NDArray[np.float32]

_MAX_CACHED_BYTES = 16 * 2**20
_OUTSIDE_GRAY = 0.3
_EXAMPLE_STROKE = (
    *((75, 75), (90, 55), (115, 45), (140, 48), (155, 65), (150, 85), (130, 100), (110, 108)),
    *((135, 112), (158, 128), (165, 152), (150, 180), (122, 195), (92, 192), (72, 178)),
)


@dataclass(frozen=True)
class InputSpec:
    """Shape and dataset of the images that a run's network reads."""

    run: Run
    dataset: Dataset
    shape: Shape

    @property
    def preprocessing(self) -> ImagePreprocessing:
        """Preprocessing of image files that are not drawings."""
        return ImagePreprocessing.from_dataset(self.dataset, self.shape)

    @property
    def can_read_drawings(self) -> bool:
        """True if drawings are preprocessed to look like the dataset's images."""
        return self.dataset.is_drawable

    @property
    def is_mnist_like(self) -> bool:
        """True if the pretrained model reads the same images."""
        return reads_mnist_digits(self.dataset, self.shape)


@dataclass(frozen=True)
class ModelInput:
    """An image of the network's input shape (channels, height, width), values 0 to 1, and its origin.

    ``doubts``: reasons to doubt a prediction for it. ``is_photo``: it comes from a photo, which may show anything.
    """

    image: Array
    source: str
    label: int | None = None
    doubts: tuple[str, ...] = ()
    is_photo: bool = False

    @property
    def is_example(self) -> bool:
        """True if it stands in for a missing drawing."""
        return self.source == "an example"


@dataclass(frozen=True)
class CanvasImages:
    """The canvas at the network's input shape, and the images of the preprocessing steps before it.

    ``resized`` is the canvas at 28×28 pixels, ``fitted`` the drawing before it is centered; both are None for datasets
    whose images are not drawings.
    """

    image: Array
    resized: Array | None = None
    fitted: Array | None = None


def get_input_spec(run: Run) -> InputSpec:
    """Return the input spec of a run's network."""
    return InputSpec(run, run.get_dataset(), run.record.architecture.input.shape)


def get_active_input_spec(state: AppState) -> InputSpec:
    """Return the input spec of the model on the Playground page: the attached run's or the pretrained one."""
    run = state.training.find_run()
    return get_input_spec(run if run is not None and run.list_snapshot_steps() else get_pretrained())


def make_example(input_spec: InputSpec) -> ModelInput:
    """Make a drawn 3 for networks that read digits, which needs no dataset; else take the first test image."""
    if input_spec.is_mnist_like:
        return ModelInput(_rasterize_example(), "an example")
    try:
        return replace(load_test_input(input_spec, 0), source="an example")
    except PlaygroundError:  # the dataset is missing
        return ModelInput(np.zeros(input_spec.shape, dtype=np.float32), "an example")


@cached(max_bytes=2**16)
def _rasterize_example() -> Array:
    return rasterize([_EXAMPLE_STROKE])


def load_test_input(input_spec: InputSpec, index: int) -> ModelInput:
    """Load a test image with its label; raises PlaygroundError if the dataset is missing."""
    images = load_test_images(input_spec.dataset.name)
    index = min(index, len(images) - 1)
    selected = images.select_one(index).resize(input_spec.shape)  # resizing all of them would take long
    return ModelInput(selected.get_image(0), f"test image {index:,}", int(selected.labels[0]))


def build_canvas_input(state: AppState, input_spec: InputSpec) -> ModelInput:
    """Build the model input from the canvas; the example while it is empty."""
    drawing = state.drawing
    images = compute_canvas_images(drawing, input_spec)
    if images is None:
        return (
            make_example(input_spec) if drawing.test_index is None else load_test_input(input_spec, drawing.test_index)
        )
    if drawing.ink.strokes or drawing.ink.eraser_strokes:
        return ModelInput(images.image, "your drawing")
    if drawing.upload is not None:
        return _make_upload_input(drawing.upload, images.image, input_spec)
    test_input = load_test_input(input_spec, drawing.test_index or 0)
    return ModelInput(images.image, test_input.source, test_input.label)


def compute_canvas_images(drawing: DrawingState, input_spec: InputSpec) -> CanvasImages | None:
    """Rasterize and preprocess the canvas; None while it is empty.

    The result is cached, so that each stroke is rasterized once, however many parts of the page show it. Test inputs of
    a feature dataset are not images and cannot be drawn on: with one of them alone the canvas counts as empty.
    """
    has_strokes = bool(drawing.ink.strokes or drawing.ink.eraser_strokes)
    if not has_strokes and drawing.upload is None and (drawing.test_index is None or input_spec.dataset.features):
        return None
    background = load_canvas_background(drawing, input_spec)
    if background is None and not drawing.ink.strokes:
        return None
    key = (
        drawing.ink,
        drawing.pen_width,
        drawing.preprocessing,
        None if background is None else (background.tobytes(), background.shape),
        input_spec.dataset.name,
        input_spec.shape,
    )
    return _canvas_cache.get_or_compute(key, lambda: _rasterize_canvas(drawing, background, input_spec))


_CanvasKey = tuple[CanvasInk, int, Preprocessing, tuple[bytes, tuple[int, ...]] | None, str, Shape]
_canvas_cache: ByteBoundedCache[_CanvasKey, CanvasImages] = ByteBoundedCache(_MAX_CACHED_BYTES)


def _rasterize_canvas(state: DrawingState, background: Array | None, input_spec: InputSpec) -> CanvasImages:
    if not input_spec.can_read_drawings:
        if background is None:
            background = np.zeros(input_spec.preprocessing.input_shape, dtype=np.float32)
        image = overlay_drawing(background, _make_drawing(state, None))
        return CanvasImages(prepare_input(image, input_spec.dataset, input_spec.shape))
    drawing = _make_drawing(state, background)
    uncentered = replace(state.preprocessing, center_by_mass=False)
    images = {
        preprocessing: preprocess_drawing(drawing, preprocessing)
        for preprocessing in {RESIZE_ONLY, uncentered, state.preprocessing}
    }
    image = prepare_input(images[state.preprocessing], input_spec.dataset, input_spec.shape)
    return CanvasImages(image, images[RESIZE_ONLY], images[uncentered])


def render_canvas_background(state: AppState, input_spec: InputSpec) -> bytes | None:
    """Render the image under the strokes as a square PNG; raises PlaygroundError if it cannot be loaded."""
    background = load_canvas_background(state.drawing, input_spec)
    if input_spec.can_read_drawings:
        return None if background is None else render_image(background[None], size=len(background))
    _, height, width = input_spec.preprocessing.input_shape
    if background is None and height == width:
        return None
    if background is None:
        background = np.zeros(input_spec.preprocessing.input_shape, dtype=np.float32)
    return render_image(_pad_to_square(background), size=CANVAS_SIZE)


def _pad_to_square(image: Array) -> Array:
    """Pad an oblong image (channels, height, width) in gray, which marks where strokes are outside of it."""
    _, height, width = image.shape
    side = max(height, width)
    padding = ((0, 0), (0, side - height), (0, side - width))
    return np.pad(image, padding, constant_values=_OUTSIDE_GRAY)


def load_upload_input(upload: ImageUpload, input_spec: InputSpec) -> ModelInput:
    """Preprocess an uploaded image for the network; raises ImageFileError if it cannot be read."""
    if input_spec.can_read_drawings:
        image = preprocess_drawing(
            Drawing(background=_load_upload_ink(upload), canvas_size=CANVAS_SIZE), MNIST_PREPROCESSING
        )
    else:
        image = _decode_upload(upload, input_spec)
    return _make_upload_input(upload, prepare_input(image, input_spec.dataset, input_spec.shape), input_spec)


def _make_upload_input(upload: ImageUpload, image: Array, input_spec: InputSpec) -> ModelInput:
    if not input_spec.can_read_drawings:
        return ModelInput(image, upload.name)
    photo = load_photo(upload)
    return ModelInput(image, upload.name, doubts=photo.list_doubts(upload.digit_index), is_photo=photo.is_large)


def load_photo(upload: ImageUpload) -> Photo:
    """Find the digits in an upload; raises ImageFileError or DrawingError. The result is cached."""
    return _load_photo(upload.name, upload.content)


@cached(max_bytes=_MAX_CACHED_BYTES)
def _load_photo(name: str, content: bytes) -> Photo:
    return read_photo(name, content)


def _load_upload_ink(upload: ImageUpload) -> Array:
    return load_photo(upload).digits[upload.digit_index or 0].ink


def _decode_upload(upload: ImageUpload, input_spec: InputSpec) -> Array:
    return read_uploaded_image(upload.name, upload.content, input_spec.preprocessing)


def load_canvas_background(drawing: DrawingState, input_spec: InputSpec) -> Array | None:
    """Load the upload or test image under the strokes, (height, width) for drawings, else (channels, height, width)."""
    if drawing.upload is not None:
        if input_spec.can_read_drawings:
            return _load_upload_ink(drawing.upload)
        return _decode_upload(drawing.upload, input_spec)
    if drawing.test_index is None or input_spec.dataset.features:
        return None
    image = load_test_input(input_spec, drawing.test_index).image
    return image.max(axis=0) if input_spec.can_read_drawings else image


def _make_drawing(state: DrawingState, background: Array | None) -> Drawing:
    ink = state.ink
    return Drawing(ink.strokes, CANVAS_SIZE, state.pen_width, background, ink.eraser_strokes, ERASER_WIDTH)


def load_active_model(run: Run | None) -> tuple[Model | None, PlaygroundError | None]:
    """Load the attached run's newest network, or the pretrained one if there is none; or return the error."""
    try:
        if run is not None and run.list_snapshot_steps():
            return load_model(run), None
        return load_model(get_pretrained()), None
    except PlaygroundError as error:
        return None, error


def describe_model(run: Run | None, model: Model | None) -> str:
    """Name the model that predicts: its run and step, or the pretrained model."""
    if model is None:
        return ""
    if run is None or model.run_id != run.id:
        return "pretrained model"
    start = "initial weights" if run.initial_state_path.exists() else "untrained"
    return f"{run.record.name}, {start if model.step == 0 else f'step {model.step:,}'}"
