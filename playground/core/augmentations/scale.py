"""Scale augmentation."""

from typing import ClassVar, Literal

from pydantic import Field

from playground.core.augmentations.base import Augmentation, Stage


class Scale(Augmentation):
    """Change of the size of the image."""

    kind: Literal["scale"] = "scale"
    amount: float = Field(
        default=0.1,
        ge=0,
        le=0.9,
        description="Largest change of the size. 0.1: factors from 0.9 to 1.1.",
        json_schema_extra={"step": 0.05},
    )

    title: ClassVar[str] = "Scale"
    stage: ClassVar[Stage] = "affine"
    torch_code: ClassVar[str] = "move[:, 0, 0] = move[:, 1, 1] = 1 / (1 + {{ amount }} * sample_uniform(images))"
