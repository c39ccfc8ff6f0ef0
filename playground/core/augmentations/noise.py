"""Noise augmentation."""

from typing import ClassVar, Literal

from pydantic import Field

from playground.core.augmentations.base import Augmentation, Stage


class Noise(Augmentation):
    """Gaussian noise on every pixel (values from 0 to 1)."""

    kind: Literal["noise"] = "noise"
    std: float = Field(
        default=0.1, ge=0, le=1, description="Standard deviation of the noise.", json_schema_extra={"step": 0.05}
    )

    title: ClassVar[str] = "Noise"
    stage: ClassVar[Stage] = "pixels"
    torch_code: ClassVar[str] = "images = (images + {{ std }} * torch.randn_like(images)).clamp(0, 1)"
