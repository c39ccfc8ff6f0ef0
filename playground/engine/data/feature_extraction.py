"""Nets that torchvision trained on ImageNet, as fixed feature extractors: what they see becomes a data set of its own.

``python -m playground.engine.data.feature_extraction DATASET EXTRACTOR TRAIN_SIZE TEST_SIZE OWNER`` is an errand: a
process that tells how far it is, and at last the new data set's name. Source: Donahue et al., "DeCAF: A Deep
Convolutional Activation Feature for Generic Visual Recognition", ICML 2014.
"""

import math
import sys
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from playground.core.datasets import Dataset, Features
from playground.core.recipe import Recipe
from playground.core.shapes import Shape
from playground.engine.background_task import Progress, tell
from playground.engine.data.batch import Images, scale_pixels
from playground.engine.data.custom.image_folder import OwnImages
from playground.engine.data.custom.store import save_own_dataset
from playground.engine.data.download import download
from playground.engine.data.registry import find_dataset
from playground.engine.data.splits import first_images, load_test, stratified_order
from playground.engine.data.torchvision_sources import CheckedFile
from playground.engine.model.device import Compute, choose_compute
from playground.errors import DatasetError, MissingDataError, UnknownNameError

TRAIN_SIZE, TEST_SIZE = 5_000, 2_000
"""Images that are looked at unless more are wanted: a processor takes 5 to 30 ms for each."""

_MIN_SIDE, _MAX_SIDE = 128, 224
_BATCH_SIZE = 64
_WEIGHTS = "IMAGENET1K_V1"
_URL = "https://download.pytorch.org/models/"
_CUT = 0.001  # of the features at either end: a few far ones would take most of the 256 levels


@dataclass(frozen=True)
class Extractor:
    """A net of torchvision's without ``head``, its classifier; the features are laid in ``height`` rows of ``width``.

    ``file`` holds its weights; the name ends in the beginning of its SHA-256, as torch.hub wants it.
    """

    name: str
    title: str
    height: int
    width: int
    head: str
    file: str
    download_mb: int

    @property
    def feature_count(self) -> int:
        """How many numbers it says of an image."""
        return self.height * self.width

    @property
    def weights(self) -> CheckedFile:
        """Where its weights belong, and where they may be had."""
        checksum = self.file.removesuffix(".pth").rpartition("-")[2]
        return CheckedFile(f"torchvision/{self.file}", checksum, (_URL + self.file,), "sha256")


_EXTRACTORS = (
    Extractor("resnet18", "ResNet-18", 16, 32, "fc", "resnet18-f37072fd.pth", 47),
    Extractor("mobilenet_v3_small", "MobileNetV3-Small", 24, 24, "classifier", "mobilenet_v3_small-047dcff4.pth", 10),
)

EXTRACTORS: dict[str, Extractor] = {extractor.name: extractor for extractor in _EXTRACTORS}
"""By torchvision's names of them."""


def find_extractor(name: str) -> Extractor:
    """By name; raises UnknownNameError with the names that there are."""
    if name not in EXTRACTORS:
        raise UnknownNameError(
            f"There is no feature extractor {name!r:.80}.", expected=f"There are: {', '.join(EXTRACTORS)}."
        )
    return EXTRACTORS[name]


def extract(
    dataset: str,
    extractor: str,
    *,
    train_size: int = TRAIN_SIZE,
    test_size: int = TEST_SIZE,
    owner: str | None = None,
) -> Iterator[Progress | str]:
    """Make a data set of what a net sees in another one's images: yields how far that is, at last the new name.

    Of both parts at most so many images are looked at, with equal shares of every class; no image changes its part.
    The features are kept as ``quantised`` images (1, height, width). Raises UnknownNameError, MissingDataError for a
    data set that has to be fetched first, DatasetError for fewer images than classes, DownloadError where the net's
    weights cannot be had, StoreError where the disk says no.
    """
    seen, net = find_dataset(dataset), find_extractor(extractor)
    if seen.features is not None:
        raise DatasetError(f"{seen.title} holds features already.", expected="A data set of images.")
    _check_sizes(seen, train_size, test_size)
    train = _share(first_images(dataset, seen.train_size), train_size)
    test = _share(load_test(dataset), test_size)
    yield from download(net.title, [net.weights])
    found = yield from _look(
        net, Images(torch.cat([train.images, test.images]), torch.cat([train.labels, test.labels]))
    )
    low, level = scale_of(found[: len(train)])
    features = Features(extractor, seen.input_shape, seen.strokes, f"{seen.title}. {seen.credit}", low, level)
    images = quantised(found, low, level).view(-1, 1, net.height, net.width)
    own = OwnImages(
        images=Images(images[: len(train)], train.labels),
        test=Images(images[len(train) :], test.labels),
        class_names=seen.class_names,
        skipped=(),
        skipped_count=0,
    )
    yield save_own_dataset(f"{seen.title} by {net.title}", own, features=features, owner=owner)


def features_of_picture(features: Features, picture: NDArray[np.float32]) -> NDArray[np.float32]:
    """What the net says of one picture more, (channels, height, width), values 0 to 1: (1, rows, columns), 0 to 1.

    Raises MissingDataError where the net's weights are not here any more.
    """
    return _features_of(features, picture.tobytes(), picture.shape)


@lru_cache(maxsize=16)
def _features_of(features: Features, content: bytes, shape: Shape) -> NDArray[np.float32]:
    net = find_extractor(features.extractor)
    picture = Images.of_picture(np.frombuffer(content, dtype=np.float32).reshape(shape))
    image = picture.resized(features.image_shape).resized(input_shape(features.image_shape))
    compute = choose_compute(Recipe(device="cpu"))  # a page leaves the accelerator to the training
    said = quantised(_said(_loaded(net, compute.device), image, compute), features.low, features.level)
    return Images(said.view(1, 1, net.height, net.width), image.labels).image(0)


@lru_cache(maxsize=len(_EXTRACTORS))
def _loaded(net: Extractor, device: torch.device) -> nn.Module:
    if not net.weights.is_at(net.weights.place):
        raise MissingDataError(
            f"This network reads what {net.title} says of a picture, and its weights are not here.",
            expected=f"{net.weights.place.name} in {net.weights.place.parent}, as it was.",
            fix='Make the features once more on the Data page ("Features by a pretrained net"): that fetches it.',
        )
    return load_extractor(net).to(device)


def load_extractor(extractor: Extractor) -> nn.Module:
    """The net with the weights that were fetched, in eval mode: from images, values 0 to 1, to (count, features)."""
    # torchvision takes seconds to import, and is needed here alone.
    from torchvision import models, transforms

    net = models.get_model(extractor.name, weights=None)
    net.load_state_dict(torch.load(extractor.weights.place, map_location="cpu", weights_only=True))
    setattr(net, extractor.head, nn.Identity())
    trained_on = models.get_model_weights(extractor.name)[_WEIGHTS].transforms()
    return nn.Sequential(transforms.Normalize(trained_on.mean, trained_on.std), net).eval()


def input_shape(shape: Shape) -> Shape:
    """What images are brought to before a net sees them: colour, the same proportions, and a size that it can use.

    The nets learnt on 224×224 pixels and halve an image five times: of 32×32 one place would be left. Smaller images
    are enlarged to the area of 128×128, a third of the work of 224×224; larger ones keep theirs, up to 224×224.
    """
    side = math.sqrt(shape[1] * shape[2])
    scale = min(max(side, _MIN_SIDE), _MAX_SIDE) / side
    return 3, round(shape[1] * scale), round(shape[2] * scale)


def scale_of(features: Tensor) -> tuple[float, float]:
    """The lowest value and a level's height for bytes: from the 0.1th to the 99.9th percentile of all values."""
    low, high = map(float, np.quantile(features.numpy(), [_CUT, 1 - _CUT]))
    return low, (high - low) / 255 or 1.0  # a net that says the same of everything


def quantised(features: Tensor, low: float, level: float) -> Tensor:
    """Features (count, values) float32 as bytes, 0 to 255, on one scale for all, so that none gains weight by it.

    Eight bits cost at most half a level, 0.2 % of the range, in every value within; the few beyond are put at its ends.
    """
    return ((features - low) / level).round_().clamp_(0, 255).to(torch.uint8)


def _check_sizes(dataset: Dataset, train_size: int, test_size: int) -> None:
    classes = len(dataset.class_names)
    if min(train_size, test_size) < classes:
        raise DatasetError(
            f"{min(train_size, test_size)} images do not show the {classes} classes of {dataset.title}.",
            expected=f"At least {classes} images to train on, and to test with.",
        )


def _share(images: Images, size: int) -> Images:
    return images.take(stratified_order(images.labels)[:size].sort().values)


def _look(net: Extractor, images: Images) -> Generator[Progress, None, Tensor]:
    """What the net says of every image: (count, features) float32."""
    yield Progress(f"Loading {net.title}")
    compute = choose_compute(Recipe())
    module = _loaded(net, compute.device)
    shape = input_shape(tuple(images.images.shape[1:]))
    found = []
    for places in torch.split(torch.arange(len(images)), _BATCH_SIZE):
        done, total = int(places[0]), len(images)
        yield Progress(f"{net.title} looks at image {done:,} of {total:,}", done, total)
        found.append(_said(module, images.take(places).resized(shape), compute))
    return torch.cat(found)


def _said(module: nn.Module, images: Images, compute: Compute) -> Tensor:
    batch = scale_pixels(images.to(compute.device).images)
    with torch.inference_mode(), torch.autocast(compute.device.type, torch.bfloat16, enabled=compute.bfloat16):
        said: Tensor = module(batch)
    return said.float().cpu()


def main(dataset: str, extractor: str, train_size: str, test_size: str, owner: str = "") -> None:
    """Make one data set for a process that reads along."""
    tell(extract(dataset, extractor, train_size=int(train_size), test_size=int(test_size), owner=owner or None))


if __name__ == "__main__":
    main(*sys.argv[1:])
