"""Fashion-MNIST."""

from playground.core.datasets.base import Dataset, DatasetOrigin, TorchvisionSource

FASHION_MNIST = Dataset(
    "fashion-mnist",
    "Fashion-MNIST",
    (1, 28, 28),
    ("T-shirt", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"),
    60_000,
    10_000,
    "Images of Zalando's articles by Xiao, Rasul and Vollgraf (2017), MIT license.",
    download_mb=31,
    origin=DatasetOrigin("mnist_like", TorchvisionSource("FashionMNIST"), keras_dataset="fashion_mnist"),
    menu_order=30,
)
