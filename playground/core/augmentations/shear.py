"""Shear augmentation."""

from typing import ClassVar, Literal

from pydantic import Field

from playground.core.augmentations.base import Augmentation, Stage


class Shear(Augmentation):
    """Horizontal shear of the image."""

    kind: Literal["shear"] = "shear"
    degrees: float = Field(
        default=10.0, ge=0, le=60, description="Largest shear angle, in degrees.", json_schema_extra={"step": 1.0}
    )

    title: ClassVar[str] = "Shear"
    stage: ClassVar[Stage] = "affine"
    torch_code: ClassVar[str] = "move[:, 0, 1] = ({{ degrees }} * sample_uniform(images)).deg2rad().tan()"
