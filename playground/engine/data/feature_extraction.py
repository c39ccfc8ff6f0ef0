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

from playground.core.datasets import Dataset, ExtractedFeatures
from playground.core.recipe import Recipe
from playground.core.shapes import Shape
from playground.engine.background_task import report_progress
from playground.engine.data.batch import LabeledImages, scale_pixels
from playground.engine.data.custom.image_folder import CustomImages
from playground.engine.data.custom.store import save_custom_dataset
from playground.engine.data.download import download_files
from playground.engine.data.registry import find_dataset
from playground.engine.data.splits import load_first_train_images, load_test_images, shuffle_stratified
from playground.engine.data.torchvision_sources import CheckedFile
from playground.engine.model.device import DeviceConfig, choose_device_config
from playground.engine.progress import Progress
from playground.errors import DatasetUnavailableError, InvalidDatasetError, UnknownNameError

DEFAULT_TRAIN_SIZE, DEFAULT_TEST_SIZE = 5_000, 2_000
"""Images that are looked at unless more are wanted: a processor takes 5 to 30 ms for each."""

_MIN_SIDE, _MAX_SIDE = 128, 224
_BATCH_SIZE = 64
_WEIGHTS_NAME = "IMAGENET1K_V1"
_WEIGHTS_BASE_URL = "https://download.pytorch.org/models/"
_CLIPPED_FRACTION = 0.001  # of the features at either end: a few far ones would take most of the 256 levels


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
    def weights_file(self) -> CheckedFile:
        """Where its weights belong, and where they may be had."""
        checksum = self.file.removesuffix(".pth").rpartition("-")[2]
        return CheckedFile(f"torchvision/{self.file}", checksum, (_WEIGHTS_BASE_URL + self.file,), "sha256")


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


def create_feature_dataset(
    dataset: str,
    extractor: str,
    *,
    train_size: int = DEFAULT_TRAIN_SIZE,
    test_size: int = DEFAULT_TEST_SIZE,
    owner: str | None = None,
) -> Iterator[Progress | str]:
    """Make a data set of what a net sees in another one's images: yields how far that is, at last the new name.

    Of both parts at most so many images are looked at, with equal shares of every class; no image changes its part.
    The features are kept as ``quantize`` images (1, height, width). Raises UnknownNameError, MissingDataError for a
    data set that has to be fetched first, DatasetError for fewer images than classes, DownloadError where the net's
    weights cannot be had, StoreError where the disk says no.
    """
    seen, net = find_dataset(dataset), find_extractor(extractor)
    if seen.features is not None:
        raise InvalidDatasetError(f"{seen.title} holds features already.", expected="A data set of images.")
    _check_sizes(seen, train_size, test_size)
    train = _take_stratified(load_first_train_images(dataset, seen.train_size), train_size)
    test = _take_stratified(load_test_images(dataset), test_size)
    yield from download_files(net.title, [net.weights_file])
    found = yield from _run_extractor(
        net, LabeledImages(torch.cat([train.images, test.images]), torch.cat([train.labels, test.labels]))
    )
    low, level = compute_quantization(found[: len(train)])
    features = ExtractedFeatures(
        extractor, seen.input_shape, seen.has_strokes, f"{seen.title}. {seen.credit}", low, level
    )
    images = quantize(found, low, level).view(-1, 1, net.height, net.width)
    own = CustomImages(
        train=LabeledImages(images[: len(train)], train.labels),
        test=LabeledImages(images[len(train) :], test.labels),
        class_names=seen.class_names,
        skipped=(),
        skipped_count=0,
    )
    yield save_custom_dataset(f"{seen.title} by {net.title}", own, features=features, owner=owner)


def extract_image_features(features: ExtractedFeatures, image: NDArray[np.float32]) -> NDArray[np.float32]:
    """What the net says of one picture more, (channels, height, width), values 0 to 1: (1, rows, columns), 0 to 1.

    Raises MissingDataError where the net's weights are not here any more.
    """
    return _extract_cached(features, image.tobytes(), image.shape)


@lru_cache(maxsize=16)
def _extract_cached(features: ExtractedFeatures, content: bytes, shape: Shape) -> NDArray[np.float32]:
    net = find_extractor(features.extractor)
    picture = LabeledImages.from_image(np.frombuffer(content, dtype=np.float32).reshape(shape))
    image = picture.resize(features.image_shape).resize(compute_input_shape(features.image_shape))
    compute = choose_device_config(Recipe(device="cpu"))  # a page leaves the accelerator to the training
    said = quantize(_forward(_load_cached_extractor(net, compute.device), image, compute), features.low, features.level)
    return LabeledImages(said.view(1, 1, net.height, net.width), image.labels).get_image(0)


@lru_cache(maxsize=len(_EXTRACTORS))
def _load_cached_extractor(extractor: Extractor, device: torch.device) -> nn.Module:
    if not extractor.weights_file.is_valid_at(extractor.weights_file.destination):
        raise DatasetUnavailableError(
            f"This network reads what {extractor.title} says of a picture, and its weights are not here.",
            expected=f"{extractor.weights_file.destination.name} in {extractor.weights_file.destination.parent}, as it was.",
            fix='Make the features once more on the Data page ("Features by a pretrained net"): that fetches it.',
        )
    return load_extractor(extractor).to(device)


def load_extractor(extractor: Extractor) -> nn.Module:
    """The net with the weights that were fetched, in eval mode: from images, values 0 to 1, to (count, features)."""
    # torchvision takes seconds to import, and is needed here alone.
    from torchvision import models, transforms

    net = models.get_model(extractor.name, weights=None)
    net.load_state_dict(torch.load(extractor.weights_file.destination, map_location="cpu", weights_only=True))
    setattr(net, extractor.head, nn.Identity())
    trained_on = models.get_model_weights(extractor.name)[_WEIGHTS_NAME].transforms()
    return nn.Sequential(transforms.Normalize(trained_on.mean, trained_on.std), net).eval()


def compute_input_shape(shape: Shape) -> Shape:
    """What images are brought to before a net sees them: colour, the same proportions, and a size that it can use.

    The nets learnt on 224×224 pixels and halve an image five times: of 32×32 one place would be left. Smaller images
    are enlarged to the area of 128×128, a third of the work of 224×224; larger ones keep theirs, up to 224×224.
    """
    side = math.sqrt(shape[1] * shape[2])
    scale = min(max(side, _MIN_SIDE), _MAX_SIDE) / side
    return 3, round(shape[1] * scale), round(shape[2] * scale)


def compute_quantization(features: Tensor) -> tuple[float, float]:
    """The lowest value and a level's height for bytes: from the 0.1th to the 99.9th percentile of all values."""
    low, high = map(float, np.quantile(features.numpy(), [_CLIPPED_FRACTION, 1 - _CLIPPED_FRACTION]))
    return low, (high - low) / 255 or 1.0  # a net that says the same of everything


def quantize(features: Tensor, low: float, scale: float) -> Tensor:
    """Features (count, values) float32 as bytes, 0 to 255, on one scale for all, so that none gains weight by it.

    Eight bits cost at most half a level, 0.2 % of the range, in every value within; the few beyond are put at its ends.
    """
    return ((features - low) / scale).round_().clamp_(0, 255).to(torch.uint8)


def _check_sizes(dataset: Dataset, train_size: int, test_size: int) -> None:
    classes = len(dataset.class_names)
    if min(train_size, test_size) < classes:
        raise InvalidDatasetError(
            f"{min(train_size, test_size)} images do not show the {classes} classes of {dataset.title}.",
            expected=f"At least {classes} images to train on, and to test with.",
        )


def _take_stratified(images: LabeledImages, size: int) -> LabeledImages:
    return images.take(shuffle_stratified(images.labels)[:size].sort().values)


def _run_extractor(extractor: Extractor, images: LabeledImages) -> Generator[Progress, None, Tensor]:
    """What the net says of every image: (count, features) float32."""
    yield Progress(f"Loading {extractor.title}")
    compute = choose_device_config(Recipe())
    module = _load_cached_extractor(extractor, compute.device)
    shape = compute_input_shape(tuple(images.images.shape[1:]))
    found = []
    for places in torch.split(torch.arange(len(images)), _BATCH_SIZE):
        done, total = int(places[0]), len(images)
        yield Progress(f"{extractor.title} looks at image {done:,} of {total:,}", done, total)
        found.append(_forward(module, images.take(places).resize(shape), compute))
    return torch.cat(found)


def _forward(module: nn.Module, images: LabeledImages, device_config: DeviceConfig) -> Tensor:
    batch = scale_pixels(images.to(device_config.device).images)
    with (
        torch.inference_mode(),
        torch.autocast(device_config.device.type, torch.bfloat16, enabled=device_config.is_bfloat16),
    ):
        said: Tensor = module(batch)
    return said.float().cpu()


def main(dataset: str, extractor: str, train_size: str, test_size: str, owner: str = "") -> None:
    """Make one data set for a process that reads along."""
    report_progress(
        create_feature_dataset(
            dataset, extractor, train_size=int(train_size), test_size=int(test_size), owner=owner or None
        )
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
