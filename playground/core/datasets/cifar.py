"""CIFAR-10 and CIFAR-100."""

from playground.core.datasets.base import Dataset, DatasetOrigin, TorchvisionSource

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


def _make_cifar_source(class_name: str) -> TorchvisionSource:
    return TorchvisionSource(
        class_name,
        images_code="torch.from_numpy(data.data).permute(0, 3, 1, 2)",
        labels_code="torch.tensor(data.targets)",
    )


CIFAR10 = Dataset(
    "cifar10",
    "CIFAR-10",
    (3, 32, 32),
    ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"),
    50_000,
    10_000,
    "Small color photographs by Krizhevsky, Nair and Hinton (2009).",
    download_mb=170,
    origin=DatasetOrigin("cifar", _make_cifar_source("CIFAR10"), keras_dataset="cifar10"),
    menu_order=100,
)

CIFAR100 = Dataset(
    "cifar100",
    "CIFAR-100",
    (3, 32, 32),
    tuple(_CIFAR100_CLASS_NAMES.split(", ")),
    50_000,
    10_000,
    "Small color photographs by Krizhevsky, Nair and Hinton (2009).",
    download_mb=169,
    origin=DatasetOrigin("cifar", _make_cifar_source("CIFAR100"), keras_dataset="cifar100"),
    menu_order=110,
)
