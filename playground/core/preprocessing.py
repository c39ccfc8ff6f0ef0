"""Preprocessing of image files: the one definition of how an image becomes the input of a network.

A definition is plain data: steps with the name of a function and its arguments. The app executes the functions;
exported programs contain their source, from the modules that are listed here; ONNX files contain the steps as metadata.
Images of a dataset have one definition, and images of drawings, in which a network of drawings finds a digit, another.
"""

from pydantic import BaseModel, ConfigDict, computed_field

from playground.core.datasets import Dataset
from playground.core.shapes import Shape, format_shape

IMAGE_STEP_MODULES = ("engine/data/image_steps.py",)
"""Modules of the package with the functions of the steps on images; they need NumPy and Pillow only."""

DRAWING_STEP_MODULES = (
    "errors.py",
    "engine/data/rasterize.py",
    "interpret/drawing/ruling.py",
    "interpret/drawing/segmentation.py",
    "interpret/drawing/skeleton.py",
    "interpret/drawing/photo.py",
    "interpret/drawing/preprocess.py",
)
"""Modules with the functions of the steps on drawings, each after those that it imports; they need SciPy too."""

SYSTEM_FILE_NAMES = ("__macosx", "thumbs.db", "ehthumbs.db", "desktop.ini", "$recycle.bin", "@eadir")
"""Files and folders, in lower case, that systems add to image folders, beside those with a leading dot."""

_DRAWING_SHAPE: Shape = (1, 28, 28)

_FROZEN_CONFIG = ConfigDict(frozen=True, extra="forbid")


class PreprocessingStep(BaseModel):
    """Step from one image to the next: a function of the listed modules and its arguments after the image."""

    model_config = _FROZEN_CONFIG

    function: str
    arguments: dict[str, int] = {}
    description: str


class ImagePreprocessing(BaseModel):
    """Conversion of an image file to a network input.

    ``image_shape`` is the shape (channels, height, width) of the dataset's images, with 1 or 3 channels. Where
    ``input_shape``, the network's, is another one, images are resized once more, as the training images were.
    ``gray_bits``: significant bits of 16-bit gray values, which not every camera uses all.
    """

    model_config = _FROZEN_CONFIG

    image_shape: Shape
    input_shape: Shape
    gray_bits: int = 16

    @classmethod
    def from_dataset(cls, dataset: Dataset, input_shape: Shape) -> "ImagePreprocessing":
        """Return the preprocessing for a network that is trained on a dataset; for features, that of their images."""
        features = dataset.features
        channels, height, width = features.image_shape if features else dataset.input_shape
        return cls(
            image_shape=(1 if channels == 1 else 3, height, width),
            input_shape=features.image_shape if features else input_shape,
            gray_bits=dataset.gray_bits,
        )

    @computed_field  # type: ignore[prop-decorator]  # mypy knows no decorated properties
    @property
    def steps(self) -> tuple[PreprocessingStep, ...]:
        """Steps from an opened file to an 8-bit image of ``image_shape``, in order."""
        channels, height, width = self.image_shape
        color = "luminance (0.299 red + 0.587 green + 0.114 blue)" if channels == 1 else "RGB"
        return (
            PreprocessingStep(
                function="decode_reduced",
                arguments={"height": height, "width": width, "channels": channels},
                description="JPEG files are decoded at a reduced size, at least twice that of the result.",
            ),
            PreprocessingStep(function="turn_upright", description="The EXIF orientation is applied."),
            PreprocessingStep(
                function="reduce_bit_depth",
                arguments={"gray_bits": self.gray_bits},
                description=f"Of 16-bit gray values the upper 8 of {self.gray_bits} bits are kept; others with more "
                "than 8 bits are scaled by their maximum.",
            ),
            PreprocessingStep(
                function="crop_and_resize",
                arguments={"height": height, "width": width, "channels": channels},
                description=f"The center is cropped to the aspect ratio and resized to {height}×{width} pixels, "
                "bicubic with antialiasing.",
            ),
            PreprocessingStep(
                function="flatten_transparency",
                arguments={"channels": channels},
                description="Transparent parts become white, or black where the image would vanish on white; colors "
                f"become {color}.",
            ),
        )

    def describe(self) -> str:
        """Describe the preprocessing in sentences, down to the values that the network reads."""
        sentences = [step.description for step in self.steps]
        if self.image_shape != self.input_shape:
            sentences.append(
                f"The image is resized to {format_shape(self.input_shape)}, bilinear with antialiasing, and rounded."
            )
        return " ".join([*sentences, "Values are divided by 255."])


class DrawingPreprocessing(BaseModel):
    """Conversion of an image of a drawing, a photo for example, to the input of a network of drawings.

    The result has the shape (1, 28, 28), and is resized where ``input_shape``, the network's, is another one.
    """

    model_config = _FROZEN_CONFIG

    input_shape: Shape
    max_side: int = 1024

    @property
    def image_shape(self) -> Shape:
        """Shape of the drawing before it is resized to the network's input."""
        return _DRAWING_SHAPE

    @property
    def image_steps(self) -> tuple[PreprocessingStep, ...]:
        """Steps from an opened file to an 8-bit grayscale image."""
        return (
            PreprocessingStep(
                function="decode_reduced",
                arguments={"height": self.max_side // 2, "width": self.max_side // 2, "channels": 1},
                description=f"JPEG files are decoded at a reduced size, at least {self.max_side} pixels.",
            ),
            PreprocessingStep(function="turn_upright", description="The EXIF orientation is applied."),
            PreprocessingStep(
                function="reduce_to_used_bits",
                description="Of 16-bit gray values the upper 8 bits that are used are kept; others with more than 8 "
                "bits are scaled by their maximum.",
            ),
            PreprocessingStep(
                function="limit_size",
                arguments={"side": self.max_side},
                description=f"Height and width are reduced to at most {self.max_side} pixels.",
            ),
            PreprocessingStep(
                function="flatten_transparency",
                arguments={"channels": 1},
                description="Transparent parts become white, or black where the image would vanish on white; colors "
                "become luminance (0.299 red + 0.587 green + 0.114 blue).",
            ),
        )

    @property
    def drawing_steps(self) -> tuple[PreprocessingStep, ...]:
        """Steps from brightness 0 to 1 to a drawing."""
        return (
            PreprocessingStep(
                function="segment_photo",
                description="The largest sign is separated from paper, ruling, shadows and desk, as ink 1 on paper 0; "
                "of an image of at most 64 pixels all ink is used.",
            ),
            PreprocessingStep(
                function="preprocess_ink",
                description="The ink is scaled to a box of 20×20 pixels, and its center of mass is moved to the middle "
                "of 28×28 pixels, as in MNIST; strokes that are much wider or narrower than MNIST's are redrawn.",
            ),
        )

    @computed_field  # type: ignore[prop-decorator]  # mypy knows no decorated properties
    @property
    def steps(self) -> tuple[PreprocessingStep, ...]:
        """Steps from an opened file to a drawing with values 0 to 1, in order."""
        return self.image_steps + self.drawing_steps

    def describe(self) -> str:
        """Describe the preprocessing in sentences, down to the values that the network reads."""
        sentences = [step.description for step in self.steps]
        if self.input_shape != _DRAWING_SHAPE:
            sentences.append(f"The drawing is resized to {format_shape(self.input_shape)}, bilinear with antialiasing.")
        return " ".join([*sentences, "Values are from 0 to 1."])


FilePreprocessing = ImagePreprocessing | DrawingPreprocessing


def choose_preprocessing(dataset: Dataset, input_shape: Shape) -> FilePreprocessing:
    """Return the preprocessing of images that a network, trained on a dataset, predicts."""
    if dataset.is_drawable:
        return DrawingPreprocessing(input_shape=input_shape)
    return ImagePreprocessing.from_dataset(dataset, input_shape)
