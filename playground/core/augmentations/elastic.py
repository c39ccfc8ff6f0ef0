"""Elastic augmentation."""

from typing import ClassVar, Literal

from pydantic import Field

from playground.core.augmentations.base import Augmentation, Stage


class Elastic(Augmentation):
    """Smooth random displacement of pixels. Source: Simard, Steinkraus and Platt, 2003."""

    kind: Literal["elastic"] = "elastic"
    pixels: float = Field(
        default=1.5, ge=0, le=6, description="Largest displacement, in pixels.", json_schema_extra={"step": 0.25}
    )

    title: ClassVar[str] = "Elastic"
    stage: ClassVar[Stage] = "displacement"
    torch_code: ClassVar[str] = """
# Elastic: random displacements at 5×5 points, smooth between them.
points = torch.rand(count, 2, 5, 5, device=device) * 2 - 1
displacement = functional.interpolate(points, size=(height, width), mode="bicubic", align_corners=True)
displacement = displacement.permute(0, 2, 3, 1) / torch.tensor([width, height], device=device)
grid = grid + {{ 2 * pixels }} * displacement
"""
