"""Preprocessing of image files: the one definition of how an image becomes the input of a network.

A definition is plain data: steps with the name of a function and its arguments. The engine executes the functions,
which are in ``engine/data/image_steps.py``; exported programs contain their source; ONNX files contain the steps as
metadata.
"""

from pydantic import BaseModel, ConfigDict, computed_field

from playground.core.datasets import Dataset
from playground.core.shapes import Shape, format_shape

STEP_FUNCTIONS_SOURCE = "engine/data/image_steps.py"
"""File below the package that defines the function of every step; it needs NumPy and Pillow only."""

SYSTEM_FILE_NAMES = ("__macosx", "thumbs.db", "ehthumbs.db", "desktop.ini", "$recycle.bin", "@eadir")
"""Files and folders, in lower case, that systems add to image folders, beside those with a leading dot."""

_FROZEN_CONFIG = ConfigDict(frozen=True, extra="forbid")


class PreprocessingStep(BaseModel):
    """Step from one image to the next: a function of ``STEP_FUNCTIONS_SOURCE`` and its arguments after the image."""

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
