"""Thickness augmentation."""

from typing import ClassVar, Literal

from pydantic import Field

from playground.core.augmentations.base import Augmentation, Stage


class Thickness(Augmentation):
    """Change of the stroke width: blends each pixel with its brightest or darkest neighbor."""

    kind: Literal["thickness"] = "thickness"
    amount: float = Field(
        default=0.5, ge=0, le=1, description="Largest weight of the neighbor.", json_schema_extra={"step": 0.05}
    )

    title: ClassVar[str] = "Thickness"
    stage: ClassVar[Stage] = "intensity"
    torch_code: ClassVar[str] = """
# Thickness: the brightest, or darkest, of each pixel's neighbors is mixed in.
share = {{ amount }} * sample_uniform(images).view(-1, 1, 1, 1)
thick = functional.max_pool2d(images, 3, stride=1, padding=1)
thin = -functional.max_pool2d(-images, 3, stride=1, padding=1)
images = images + share.clamp(min=0) * (thick - images) - share.clamp(max=0) * (thin - images)
"""
