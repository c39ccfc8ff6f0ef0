"""MNIST, also with pen digits."""

from playground.core.datasets.base import DIGITS, Dataset, DatasetOrigin, TorchvisionSource

PEN_DIGIT_COUNT, PEN_VARIANTS_PER_DIGIT = 4_996, 4
"""Number of bundled pen drawings of digits, and of images rendered from each with different pen widths."""

MNIST = Dataset(
    "mnist",
    "MNIST",
    (1, 28, 28),
    DIGITS,
    60_000,
    10_000,
    "Handwritten digits by Yann LeCun and Corinna Cortes, CC BY-SA 3.0.",
    subject="digits",
    has_strokes=True,
    is_flip_invariant=False,
    origin=DatasetOrigin("mnist", TorchvisionSource("MNIST"), keras_dataset="mnist"),
    menu_order=10,
)

MNIST_WITH_PEN_DIGITS = Dataset(
    "mnist+pen",
    "MNIST and pen strokes",
    (1, 28, 28),
    DIGITS,
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
    menu_order=20,
)
