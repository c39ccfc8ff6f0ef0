"""Labeled images as byte tensors: selection, sampling, resizing, scaling to floats."""

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from playground.core.shapes import Shape, format_shape
from playground.engine.rng import make_generator
from playground.errors import RecipeError

StoredSplit = Literal["train", "test"]
"""Splits that a dataset is stored in; validation images are taken from the training images."""

_MAX_BYTES = 4 * 10**9
_BATCH_SIZE = 1000
_LUMINANCE_WEIGHTS = (0.299, 0.587, 0.114)  # ITU-R BT.601, as Pillow converts


@dataclass(frozen=True, eq=False)
class LabeledImages:
    """``images`` uint8 (count, channels, height, width), ``labels`` int64 (count,); equal only to itself."""

    images: Tensor
    labels: Tensor

    @classmethod
    def from_image(cls, image: NDArray[np.float32]) -> "LabeledImages":
        """Wrap one image (channels, height, width), values 0 to 1, with label 0."""
        pixels = torch.from_numpy(np.array(image, dtype=np.float32)).mul_(255).round_().to(torch.uint8)
        return cls(pixels[None], torch.zeros(1, dtype=torch.long))

    def __len__(self) -> int:
        return len(self.labels)

    def get_image(self, index: int) -> NDArray[np.float32]:
        """Return one image as a network input: (channels, height, width), values 0 to 1."""
        image: NDArray[np.float32] = self.images[index].numpy().astype(np.float32) / np.float32(255)
        return image

    def select_one(self, index: int) -> "LabeledImages":
        """Select a single image."""
        return LabeledImages(self.images[index : index + 1], self.labels[index : index + 1])

    def take(self, indices: Tensor) -> "LabeledImages":
        """Select the images at these indices, in this order."""
        return LabeledImages(self.images[indices], self.labels[indices])

    def sample(self, count: int) -> "LabeledImages":
        """Select a fixed random sample of at most ``count`` images, in their original order."""
        shuffled = torch.randperm(len(self), generator=make_generator("quick"))
        return self.take(shuffled[: min(count, len(self))].sort().values)

    def resize(self, shape: Shape) -> "LabeledImages":
        """Resize to (channels, height, width) by bilinear interpolation; color becomes luminance and is repeated.

        Raises RecipeError for more than 4 GB.
        """
        if tuple(self.images.shape[1:]) == shape:
            return self
        count = len(self) * math.prod(shape)
        if count > _MAX_BYTES:
            raise RecipeError(
                f"{len(self):,} images of {format_shape(shape)} would take {count / 1e9:.1f} GB of memory.",
                expected=f"At most {_MAX_BYTES / 1e9:.0f} GB.",
                fix="Reduce the network's input size, or train on fewer images.",
            )
        return LabeledImages(
            torch.cat([_resize(part, shape) for part in torch.split(self.images, _BATCH_SIZE)]), self.labels
        )

    def to(self, device: torch.device) -> "LabeledImages":
        """Copy to a device."""
        return LabeledImages(self.images.to(device), self.labels.to(device))


def scale_pixels(images: Tensor) -> Tensor:
    """Scale uint8 pixels (0 to 255) to float32 (0 to 1), the range that every network is trained and evaluated on."""
    return images.to(torch.float32, memory_format=torch.channels_last).div_(255)


def _resize(images: Tensor, shape: Shape) -> Tensor:
    values = images.float()
    if images.shape[1] == 3 and shape[0] != 3:
        values = (values * torch.tensor(_LUMINANCE_WEIGHTS).view(1, 3, 1, 1)).sum(1, keepdim=True)
    if values.shape[2:] != shape[1:]:
        values = functional.interpolate(values, size=shape[1:], mode="bilinear", align_corners=False, antialias=True)
    values = values.round_().clamp_(0, 255).to(torch.uint8)
    return values if values.shape[1] == shape[0] else values[:, :1].repeat(1, shape[0], 1, 1)
