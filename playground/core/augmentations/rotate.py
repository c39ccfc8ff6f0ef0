"""Rotate augmentation."""

from typing import ClassVar, Literal

from pydantic import Field

from playground.core.augmentations.base import Augmentation, Stage


class Rotate(Augmentation):
    """Rotation about the center of the image."""

    kind: Literal["rotate"] = "rotate"
    degrees: float = Field(
        default=10.0, ge=0, le=180, description="Largest angle, in degrees.", json_schema_extra={"step": 1.0}
    )

    title: ClassVar[str] = "Rotate"
    stage: ClassVar[Stage] = "affine"
    torch_code: ClassVar[str] = """
angle = ({{ degrees }} * sample_uniform(images)).deg2rad()
move[:, 0, 0], move[:, 0, 1] = angle.cos(), -angle.sin()
move[:, 1, 0], move[:, 1, 1] = angle.sin(), angle.cos()
"""
