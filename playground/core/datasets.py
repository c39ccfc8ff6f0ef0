"""Registry of datasets: metadata that is available before images are loaded.

A dataset is added by one entry in ``_DATASETS``. Only a new file format also needs a parser in the engine.
"""

from dataclasses import dataclass
from typing import Literal

from playground.core.shapes import Shape

Subject = Literal["digits", "letters", "things"]


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


@dataclass(frozen=True)
class Dataset:
    """Labeled images of one size; ``input_shape`` is (channels, height, width).

    ``has_strokes``: light strokes on a dark background, so that a drawing can be preprocessed to look like the images.
    ``is_flip_invariant``: an image flipped left to right keeps its class. ``download_mb``: 0 for a dataset that needs
    no download. ``features``: set if the values are features extracted from images, not pixels.
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


CUSTOM_PREFIX = "own:"
"""Prefix of the names of custom datasets."""

PEN_DIGIT_COUNT, PEN_VARIANTS_PER_DIGIT = 4_996, 4
"""Number of bundled pen drawings of digits, and of images rendered from each with different pen widths."""

_DIGITS = tuple("0123456789")
_LETTERS = tuple("ABCDEFGHIJKLMNOPQRSTUVWXYZ")
_CIFAR100_CLASS_NAMES = (
    "apple, aquarium fish, baby, bear, beaver, bed, bee, beetle, bicycle, bottle, bowl, boy, bridge, bus, butterfly, "
    "camel, can, castle, caterpillar, cattle, chair, chimpanzee, clock, cloud, cockroach, couch, crab, crocodile, cup, "
    "dinosaur, dolphin, elephant, flatfish, forest, fox, girl, hamster, house, kangaroo, keyboard, lamp, lawn mower, "
    "leopard, lion, lizard, lobster, man, maple tree, motorcycle, mountain, mouse, mushroom, oak tree, orange, orchid, "
    "otter, palm tree, pear, pickup truck, pine tree, plain, plate, poppy, porcupine, possum, rabbit, raccoon, ray, "
    "road, rocket, rose, sea, seal, shark, shrew, skunk, skyscraper, snail, snake, spider, squirrel, streetcar, "
    "sunflower, sweet pepper, table, tank, telephone, television, tiger, tractor, train, trout, tulip, turtle, "
    "wardrobe, whale, willow tree, wolf, woman, worm"
)
_GRAYSCALE_SHAPE, _COLOR_SHAPE = (1, 28, 28), (3, 32, 32)
_EMNIST_CREDIT = "Handwritten characters by Cohen, Afshar, Tapson and van Schaik (2017), from NIST Special Database 19."


def _make_cifar_source(class_name: str) -> TorchvisionSource:
    return TorchvisionSource(
        class_name,
        images_code="torch.from_numpy(data.data).permute(0, 3, 1, 2)",
        labels_code="torch.tensor(data.targets)",
    )


_DATASETS = (
    Dataset(
        "mnist",
        "MNIST",
        _GRAYSCALE_SHAPE,
        _DIGITS,
        60_000,
        10_000,
        "Handwritten digits by Yann LeCun and Corinna Cortes, CC BY-SA 3.0.",
        subject="digits",
        has_strokes=True,
        is_flip_invariant=False,
        origin=DatasetOrigin("mnist", TorchvisionSource("MNIST"), keras_dataset="mnist"),
    ),
    Dataset(
        "mnist+pen",
        "MNIST and pen strokes",
        _GRAYSCALE_SHAPE,
        _DIGITS,
        60_000 + PEN_DIGIT_COUNT * PEN_VARIANTS_PER_DIGIT,
        10_000,
        "MNIST by Yann LeCun and Corinna Cortes, CC BY-SA 3.0; digits of 20 people from Pen-Based Recognition of "
        "Handwritten Digits by E. Alpaydin and F. Alimoglu, UCI Machine Learning Repository, CC BY 4.0.",
        subject="digits",
        has_strokes=True,
        is_flip_invariant=False,
        origin=DatasetOrigin(
            "mnist_with_pen_digits",
            TorchvisionSource("MNIST"),
            keras_dataset="mnist",
            missing_images_remark="The run also trained on drawings that only CNN Playground has.",
        ),
    ),
    Dataset(
        "fashion-mnist",
        "Fashion-MNIST",
        _GRAYSCALE_SHAPE,
        ("T-shirt", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"),
        60_000,
        10_000,
        "Images of Zalando's articles by Xiao, Rasul and Vollgraf (2017), MIT license.",
        download_mb=31,
        origin=DatasetOrigin("mnist_like", TorchvisionSource("FashionMNIST"), keras_dataset="fashion_mnist"),
    ),
    Dataset(
        "kmnist",
        "KMNIST (Kuzushiji)",
        _GRAYSCALE_SHAPE,
        tuple("おきすつなはまやれを"),
        60_000,
        10_000,
        "Cursive Japanese characters, Center for Open Data in the Humanities (2018), CC BY-SA 4.0.",
        subject="letters",
        has_strokes=True,
        is_flip_invariant=False,
        download_mb=21,
        origin=DatasetOrigin("mnist_like", TorchvisionSource("KMNIST")),
    ),
    Dataset(
        "emnist-letters",
        "EMNIST, letters",
        _GRAYSCALE_SHAPE,
        _LETTERS,
        124_800,
        20_800,
        _EMNIST_CREDIT,
        subject="letters",
        has_strokes=True,
        is_flip_invariant=False,
        download_mb=562,
        origin=DatasetOrigin(
            "emnist",
            TorchvisionSource(
                "EMNIST",
                'split="letters", train=train',
                "data.data.transpose(1, 2).unsqueeze(1)",
                "data.targets - 1",
                "EMNIST images are stored transposed, and its letters are counted from 1.",
            ),
            split="letters",
        ),
    ),
    Dataset(
        "emnist-balanced",
        "EMNIST, digits and letters",
        _GRAYSCALE_SHAPE,
        (*_DIGITS, *_LETTERS, *"abdefghnqrt"),
        112_800,
        18_800,
        _EMNIST_CREDIT,
        subject="letters",
        has_strokes=True,
        is_flip_invariant=False,
        download_mb=562,
        origin=DatasetOrigin(
            "emnist",
            TorchvisionSource(
                "EMNIST",
                'split="balanced", train=train',
                "data.data.transpose(1, 2).unsqueeze(1)",
                remark="EMNIST images are stored transposed.",
            ),
            split="balanced",
        ),
    ),
    Dataset(
        "qmnist",
        "QMNIST",
        _GRAYSCALE_SHAPE,
        _DIGITS,
        60_000,
        60_000,
        "MNIST reconstructed with all 60,000 test digits by Yadav and Bottou (2019), BSD license.",
        subject="digits",
        has_strokes=True,
        is_flip_invariant=False,
        download_mb=20,
        origin=DatasetOrigin(
            "qmnist",
            TorchvisionSource(
                "QMNIST",
                labels_code="data.targets[:, 0]",
                remark="The other columns hold the writer and the date.",
            ),
        ),
    ),
    Dataset(
        "usps",
        "USPS",
        (1, 16, 16),
        _DIGITS,
        7_291,
        2_007,
        "Digits from envelopes, scanned by the U.S. Postal Service (Hull, 1994).",
        subject="digits",
        has_strokes=True,
        is_flip_invariant=False,
        download_mb=8,
        origin=DatasetOrigin(
            "usps",
            TorchvisionSource(
                "USPS",
                images_code="torch.from_numpy(data.data).unsqueeze(1)",
                labels_code="torch.tensor(data.targets)",
            ),
        ),
    ),
    Dataset(
        "svhn",
        "SVHN",
        _COLOR_SHAPE,
        _DIGITS,
        73_257,
        26_032,
        "House numbers from street views by Netzer et al. (2011), for non-commercial use.",
        subject="digits",
        is_flip_invariant=False,
        download_mb=246,
        origin=DatasetOrigin(
            "svhn",
            TorchvisionSource(
                "SVHN",
                'split="train" if train else "test"',
                "torch.from_numpy(data.data)",
                "torch.from_numpy(data.labels)",
            ),
        ),
    ),
    Dataset(
        "cifar10",
        "CIFAR-10",
        _COLOR_SHAPE,
        ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"),
        50_000,
        10_000,
        "Small color photographs by Krizhevsky, Nair and Hinton (2009).",
        download_mb=170,
        origin=DatasetOrigin("cifar", _make_cifar_source("CIFAR10"), keras_dataset="cifar10"),
    ),
    Dataset(
        "cifar100",
        "CIFAR-100",
        _COLOR_SHAPE,
        tuple(_CIFAR100_CLASS_NAMES.split(", ")),
        50_000,
        10_000,
        "Small color photographs by Krizhevsky, Nair and Hinton (2009).",
        download_mb=169,
        origin=DatasetOrigin("cifar", _make_cifar_source("CIFAR100"), keras_dataset="cifar100"),
    ),
)

DATASETS: dict[str, Dataset] = {dataset.name: dataset for dataset in _DATASETS}
"""Bundled and downloadable datasets by name; the engine adds the custom ones."""
