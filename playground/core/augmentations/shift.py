"""Shift augmentation."""

from typing import ClassVar, Literal

from pydantic import Field

from playground.core.augmentations.base import Augmentation, Stage


class Shift(Augmentation):
    """Shift by a random number of pixels along each axis, like a random crop of a padded image."""

    kind: Literal["shift"] = "shift"
    pixels: float = Field(
        default=2.0, ge=0, le=14, description="Largest shift, in pixels.", json_schema_extra={"step": 0.5}
    )

    title: ClassVar[str] = "Shift"
    stage: ClassVar[Stage] = "affine"
    torch_code: ClassVar[str] = """
move[:, 0, 2] = {{ 2 * pixels }} / width * sample_uniform(images)
move[:, 1, 2] = {{ 2 * pixels }} / height * sample_uniform(images)
"""
