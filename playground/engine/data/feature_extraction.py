"""Feature extraction by networks pretrained on ImageNet; the features become a custom dataset.

``python -m playground.engine.data.feature_extraction DATASET EXTRACTOR TRAIN_SIZE TEST_SIZE OWNER`` runs as a
background task whose result is the new dataset's name. Source: Donahue et al., "DeCAF: A Deep Convolutional
Activation Feature for Generic Visual Recognition", ICML 2014.
"""

import math
import sys
from collections.abc import Generator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from playground.core.datasets import Dataset, ExtractedFeatures
from playground.core.recipe import Recipe
from playground.core.shapes import Shape
from playground.engine.background_task import report_progress
from playground.engine.cache import cached
from playground.engine.data.batch import LabeledImages, scale_pixels
from playground.engine.data.custom.image_folder import CustomImages
from playground.engine.data.custom.store import save_custom_dataset
from playground.engine.data.dataset_lookup import find_dataset
from playground.engine.data.download import download_files
from playground.engine.data.splits import load_first_train_images, load_test_images, shuffle_stratified
from playground.engine.data.torchvision_sources import CheckedFile
from playground.engine.model.device import DeviceConfig, choose_device_config
from playground.engine.progress import Progress
from playground.errors import DatasetUnavailableError, InvalidDatasetError, UnknownNameError

DEFAULT_TRAIN_SIZE, DEFAULT_TEST_SIZE = 5_000, 2_000
"""Default numbers of images; a CPU takes 5 to 30 ms for each."""

_MIN_SIDE, _MAX_SIDE = 128, 224
_BATCH_SIZE = 64
_WEIGHTS_NAME = "IMAGENET1K_V1"
_WEIGHTS_BASE_URL = "https://download.pytorch.org/models/"
_CLIPPED_FRACTION = 0.001  # of the features at either end, so that outliers do not take most of the 256 levels


@dataclass(frozen=True)
class Extractor:
    """Pretrained torchvision network without its classifier ``head``; features form ``height`` rows of ``width``.

    ``file`` contains the weights; its name ends in the beginning of its SHA-256, as in torch.hub.
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
        """Number of features per image."""
        return self.height * self.width

    @property
    def weights_file(self) -> CheckedFile:
        """Path, checksum and address of the weights."""
        checksum = self.file.removesuffix(".pth").rpartition("-")[2]
        return CheckedFile(f"torchvision/{self.file}", checksum, (_WEIGHTS_BASE_URL + self.file,), "sha256")


_EXTRACTORS = (
    Extractor("resnet18", "ResNet-18", 16, 32, "fc", "resnet18-f37072fd.pth", 47),
    Extractor("mobilenet_v3_small", "MobileNetV3-Small", 24, 24, "classifier", "mobilenet_v3_small-047dcff4.pth", 10),
)

EXTRACTORS: dict[str, Extractor] = {extractor.name: extractor for extractor in _EXTRACTORS}
"""Feature extractors by torchvision's name."""


def find_extractor(name: str) -> Extractor:
    """Find a feature extractor by name; raises UnknownNameError."""
    if name not in EXTRACTORS:
        raise UnknownNameError(
            f"There is no feature extractor {name!r:.80}.", expected=f"One of {', '.join(EXTRACTORS)}."
        )
    return EXTRACTORS[name]


def create_feature_dataset(
    dataset: str,
    extractor: str,
    *,
    train_size: int = DEFAULT_TRAIN_SIZE,
    test_size: int = DEFAULT_TEST_SIZE,
    owner: str | None = None,
) -> Generator[Progress | str, None, None]:
    """Create a dataset of the features of another dataset's images: yields progress, and at the end the new name.

    At most ``train_size`` and ``test_size`` images are used, stratified by class; each stays in its split. Features are
    stored as quantized images (1, height, width). Raises UnknownNameError, DatasetUnavailableError for a dataset that
    is not downloaded, InvalidDatasetError for fewer images than classes, DownloadError if the weights cannot be
    downloaded, StorageError for a failed write.
    """
    source, network = find_dataset(dataset), find_extractor(extractor)
    if source.features is not None:
        raise InvalidDatasetError(f"{source.title} already consists of features.", expected="A dataset of images.")
    _check_sizes(source, train_size, test_size)
    train = _take_stratified(load_first_train_images(dataset, source.train_size), train_size)
    test = _take_stratified(load_test_images(dataset), test_size)
    yield from download_files(network.title, [network.weights_file])
    values = yield from _run_extractor(
        network, LabeledImages(torch.cat([train.images, test.images]), torch.cat([train.labels, test.labels]))
    )
    low, level = compute_quantization(values[: len(train)])
    features = ExtractedFeatures(
        extractor, source.input_shape, source.has_strokes, f"{source.title}. {source.credit}", low, level
    )
    images = quantize(values, low, level).view(-1, 1, network.height, network.width)
    custom_images = CustomImages(
        train=LabeledImages(images[: len(train)], train.labels),
        test=LabeledImages(images[len(train) :], test.labels),
        class_names=source.class_names,
        skipped=(),
        skipped_count=0,
    )
    yield save_custom_dataset(f"{source.title} by {network.title}", custom_images, features=features, owner=owner)


def extract_image_features(features: ExtractedFeatures, image: NDArray[np.float32]) -> NDArray[np.float32]:
    """Extract the features of an image (channels, height, width), values 0 to 1, as (1, rows, columns), 0 to 1.

    Raises DatasetUnavailableError if the extractor's weights are missing.
    """
    return _extract_cached(features, image.tobytes(), image.shape)


@cached(max_bytes=8 * 2**20)
def _extract_cached(features: ExtractedFeatures, content: bytes, shape: Shape) -> NDArray[np.float32]:
    network = find_extractor(features.extractor)
    picture = LabeledImages.from_image(np.frombuffer(content, dtype=np.float32).reshape(shape))
    image = picture.resize(features.image_shape).resize(compute_input_shape(features.image_shape))
    compute = choose_device_config(Recipe(device="cpu"))  # the accelerator is left to training
    said = quantize(
        _forward(_load_cached_extractor(network, compute.device), image, compute), features.low, features.level
    )
    return LabeledImages(said.view(1, 1, network.height, network.width), image.labels).get_image(0)


@cached(max_bytes=64 * 2**20)
def _load_cached_extractor(extractor: Extractor, device: torch.device) -> nn.Module:
    if not extractor.weights_file.is_valid_at(extractor.weights_file.destination):
        raise DatasetUnavailableError(
            f"This network reads features of {extractor.title}, whose weights are missing.",
            expected=f"{extractor.weights_file.destination.name} in {extractor.weights_file.destination.parent}, "
            "as it was.",
            fix="Extract the features again on the Data page, which downloads the weights.",
        )
    return load_extractor(extractor).to(device)


def load_extractor(extractor: Extractor) -> nn.Module:
    """Load the network with its weights, in eval mode: images with values 0 to 1 to (count, features)."""
    # torchvision takes seconds to import.
    from torchvision import models, transforms

    network = models.get_model(extractor.name, weights=None)
    network.load_state_dict(torch.load(extractor.weights_file.destination, map_location="cpu", weights_only=True))
    setattr(network, extractor.head, nn.Identity())
    trained_on = models.get_model_weights(extractor.name)[_WEIGHTS_NAME].transforms()
    return nn.Sequential(transforms.Normalize(trained_on.mean, trained_on.std), network).eval()


def compute_input_shape(shape: Shape) -> Shape:
    """Compute the extractor's input shape for images of ``shape``: color, the same aspect ratio, a suitable size.

    The networks were trained on 224×224 pixels and downsample by 32, so that 32×32 would leave one position. Smaller
    images are enlarged to the area of 128×128, a third of the cost of 224×224; larger ones keep theirs, up to 224×224.
    """
    side = math.sqrt(shape[1] * shape[2])
    scale = min(max(side, _MIN_SIDE), _MAX_SIDE) / side
    return 3, round(shape[1] * scale), round(shape[2] * scale)


def compute_quantization(features: Tensor) -> tuple[float, float]:
    """Compute offset and scale of 8-bit quantization from the 0.1th and 99.9th percentiles of all values."""
    low, high = map(float, np.quantile(features.numpy(), [_CLIPPED_FRACTION, 1 - _CLIPPED_FRACTION]))
    return low, (high - low) / 255 or 1.0  # constant features


def quantize(features: Tensor, low: float, scale: float) -> Tensor:
    """Quantize features (count, values) float32 to bytes on one common scale, which keeps their relative weight.

    The error within the range is at most half a level, 0.2 % of the range; values outside are clipped.
    """
    return ((features - low) / scale).round_().clamp_(0, 255).to(torch.uint8)


def _check_sizes(dataset: Dataset, train_size: int, test_size: int) -> None:
    classes = len(dataset.class_names)
    if min(train_size, test_size) < classes:
        raise InvalidDatasetError(
            f"{min(train_size, test_size)} images cannot show the {classes} classes of {dataset.title}.",
            expected=f"At least {classes} images in the training split and in the test split.",
        )


def _take_stratified(images: LabeledImages, size: int) -> LabeledImages:
    return images.take(shuffle_stratified(images.labels)[:size].sort().values)


def _run_extractor(extractor: Extractor, images: LabeledImages) -> Generator[Progress, None, Tensor]:
    """Extract the features of all images: (count, features) float32."""
    yield Progress(f"Loading {extractor.title}")
    compute = choose_device_config(Recipe())
    module = _load_cached_extractor(extractor, compute.device)
    shape = compute_input_shape(tuple(images.images.shape[1:]))
    batches = []
    for indices in torch.split(torch.arange(len(images)), _BATCH_SIZE):
        done, total = int(indices[0]), len(images)
        yield Progress(f"{extractor.title}: image {done:,} of {total:,}", done, total)
        batches.append(_forward(module, images.take(indices).resize(shape), compute))
    return torch.cat(batches)


def _forward(module: nn.Module, images: LabeledImages, device_config: DeviceConfig) -> Tensor:
    batch = scale_pixels(images.to(device_config.device).images)
    with (
        torch.inference_mode(),
        torch.autocast(device_config.device.type, torch.bfloat16, enabled=device_config.is_bfloat16),
    ):
        output: Tensor = module(batch)
    return output.float().cpu()


def main(dataset: str, extractor: str, train_size: str, test_size: str, owner: str = "") -> None:
    """Create one dataset as a background task."""
    report_progress(
        create_feature_dataset(
            dataset, extractor, train_size=int(train_size), test_size=int(test_size), owner=owner or None
        )
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
