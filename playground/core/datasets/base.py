"""Metadata of datasets, available before images are loaded."""

from dataclasses import dataclass
from typing import Literal

from playground.core.shapes import Shape

Subject = Literal["digits", "letters", "things"]

DIGITS = tuple("0123456789")


@dataclass(frozen=True)
class ExtractedFeatures:
    """Features of a pretrained network ``extractor``, quantized to bytes: ``(value - low) / level``.

    The images had ``image_shape``; ``strokes`` is ``has_strokes`` of their dataset; ``source`` names and credits them.
    """

    extractor: str
    image_shape: Shape
    strokes: bool
    source: str
    low: float
    level: float


@dataclass(frozen=True)
class TorchvisionSource:
    """A class in torchvision.datasets, and code that reads uint8 images (count, channels, height, width) from it.

    ``arguments_code`` selects the training or test images by the name ``train``; ``images_code`` and ``labels_code``
    are expressions of an instance named ``data``. ``remark`` explains them.
    """

    class_name: str
    arguments_code: str = "train=train"
    images_code: str = "data.data.unsqueeze(1)"
    labels_code: str = "data.targets"
    remark: str = ""


@dataclass(frozen=True)
class DatasetOrigin:
    """Origin of a dataset's images: the engine's parser that reads them, and its sources in other libraries.

    ``torchvision`` also lists the addresses and checksums of the files. ``split`` is the parser's argument.
    ``keras_dataset`` names a module in keras.datasets. Exported code needs no other facts; without a source it reads
    image folders. ``missing_images_remark`` says which images the sources lack.
    """

    parser: str
    torchvision: TorchvisionSource | None = None
    split: str = ""
    keras_dataset: str = ""
    missing_images_remark: str = ""


CUSTOM_ORIGIN = DatasetOrigin("custom")
"""Origin of uploaded images, drawn classes and extracted features, which are stored in the data folder."""

CUSTOM_PREFIX = "own:"
"""Prefix of the names of custom datasets."""


@dataclass(frozen=True)
class Dataset:
    """Labeled images of one size; ``input_shape`` is (channels, height, width).

    ``has_strokes``: light strokes on a dark background, so that a drawing can be preprocessed to look like the images.
    ``is_flip_invariant``: an image flipped left to right keeps its class. ``download_mb``: 0 for a dataset that needs
    no download. ``features``: set if the values are features extracted from images, not pixels.
    ``menu_order``: position in menus; datasets with lower numbers come first. ``gray_bits``: significant bits of 16-bit
    gray values in image files.
    """

    name: str
    title: str
    input_shape: Shape
    class_names: tuple[str, ...]
    train_size: int
    test_size: int
    credit: str
    subject: Subject = "things"
    has_strokes: bool = False
    is_flip_invariant: bool = True
    download_mb: int = 0
    features: ExtractedFeatures | None = None
    origin: DatasetOrigin = CUSTOM_ORIGIN
    menu_order: int = 0
    gray_bits: int = 16

    @property
    def is_missing(self) -> bool:
        """True if the images were deleted, or if only a recipe names the dataset."""
        return not self.train_size

    @property
    def is_drawable(self) -> bool:
        """True if a drawing can be preprocessed to look like the images, or the images of extracted features."""
        return self.has_strokes or (self.features is not None and self.features.strokes)

    @property
    def sample_noun(self) -> str:
        """Noun for one image: digit, character, shape or image."""
        if self.subject == "things":
            return "shape" if self.is_drawable else "image"
        return {"digits": "digit", "letters": "character"}[self.subject]
