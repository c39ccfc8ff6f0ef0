"""KMNIST."""

from playground.core.datasets.base import Dataset, DatasetOrigin, TorchvisionSource

KMNIST = Dataset(
    "kmnist",
    "KMNIST (Kuzushiji)",
    (1, 28, 28),
    tuple("おきすつなはまやれを"),
    60_000,
    10_000,
    "Cursive Japanese characters, Center for Open Data in the Humanities (2018), CC BY-SA 4.0.",
    subject="letters",
    has_strokes=True,
    is_flip_invariant=False,
    download_mb=21,
    origin=DatasetOrigin("mnist_like", TorchvisionSource("KMNIST")),
    menu_order=40,
)
