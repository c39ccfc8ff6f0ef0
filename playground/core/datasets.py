"""The data sets by name: what a screen needs to know of one before it is loaded."""

from dataclasses import dataclass
from typing import Literal

from playground.core.shapes import Shape

Subject = Literal["digits", "letters", "things"]


@dataclass(frozen=True)
class ExtractedFeatures:
    """How images became what the net ``extractor`` says of them: bytes, ``(value - low) / level``.

    The images were of ``image_shape``, ``has_strokes`` as in Dataset; ``source`` names and credits them.
    """

    extractor: str
    image_shape: Shape
    strokes: bool
    source: str
    low: float
    level: float


@dataclass(frozen=True)
class Dataset:
    """Images of one size with a class each; ``input_shape`` is (channels, height, width).

    ``has_strokes``: light strokes on a dark ground, so that a drawing can be fitted to look like them. ``is_flip_invariant``: an
    image mirrored left to right still shows its class. ``download_mb``: what has to be fetched first. ``features``:
    these are no pictures, but what was made of pictures in this way.
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

    @property
    def is_missing(self) -> bool:
        """Whether only a recipe still tells of it."""
        return not self.train_size

    @property
    def is_drawable(self) -> bool:
        """Whether a drawing is fitted to look like the data, or like what the data was made of."""
        return self.has_strokes or (self.features is not None and self.features.strokes)

    @property
    def sample_noun(self) -> str:
        """What one image shows, in a word."""
        things = "shape" if self.is_drawable else "image"
        return {"digits": "digit", "letters": "character", "things": things}[self.subject]


CUSTOM_PREFIX = "own:"
"""How the name of a data set begins that somebody brought along."""

PEN_DIGIT_COUNT, PEN_VARIANTS_PER_DIGIT = 4_996, 4
"""Digits drawn with a pen that come with the program, and images made of each, with different pens."""

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
    ),
    Dataset(
        "fashion-mnist",
        "Fashion-MNIST",
        _GRAYSCALE_SHAPE,
        ("T-shirt", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"),
        60_000,
        10_000,
        "Pictures of Zalando's articles by Xiao, Rasul and Vollgraf (2017), MIT licence.",
        download_mb=31,
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
    ),
    Dataset(
        "qmnist",
        "QMNIST",
        _GRAYSCALE_SHAPE,
        _DIGITS,
        60_000,
        60_000,
        "MNIST made anew with all 60,000 test digits by Yadav and Bottou (2019), BSD licence.",
        subject="digits",
        has_strokes=True,
        is_flip_invariant=False,
        download_mb=20,
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
    ),
    Dataset(
        "cifar10",
        "CIFAR-10",
        _COLOR_SHAPE,
        ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"),
        50_000,
        10_000,
        "Small colour photographs by Krizhevsky, Nair and Hinton (2009).",
        download_mb=170,
    ),
    Dataset(
        "cifar100",
        "CIFAR-100",
        _COLOR_SHAPE,
        tuple(_CIFAR100_CLASS_NAMES.split(", ")),
        50_000,
        10_000,
        "Small colour photographs by Krizhevsky, Nair and Hinton (2009).",
        download_mb=169,
    ),
)

DATASETS: dict[str, Dataset] = {dataset.name: dataset for dataset in _DATASETS}
"""The data sets that everybody has or can fetch; those that somebody brought along are known to the engine."""
