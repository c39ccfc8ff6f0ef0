"""Augmentations: random changes of training images, and the same as a part of an exported PyTorch program.

The code is Jinja2 text that knows the fields. The engine computes each of them in ``engine/data/augment.py``.
"""

import sys
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

from playground.core.kinds import collect_kinds, make_union

Stage = Literal["intensity", "affine", "displacement", "pixels"]
"""When an augmentation is applied: ``intensity`` first, then all geometric ones in one resampling (the ``affine`` ones as one
matrix, then ``displacement`` of its grid), ``pixels`` last; within a stage in the recipe's order."""


class Augmentation(BaseModel):
    """An augmentation's parameters. Every subclass in this module is registered."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: str

    title: ClassVar[str]
    stage: ClassVar[Stage]
    torch_code: ClassVar[str]
    """Statements that change ``images`` (``move`` where the stage is affine, ``grid`` where it is displacement)."""
    keras_remark: ClassVar[str] = "this program leaves it out"
    """What an exported Keras program does instead."""


class Shift(Augmentation):
    """Moves the image by a random number of pixels each way, as a crop from a padded image does."""

    kind: Literal["shift"] = "shift"
    pixels: float = Field(default=2.0, ge=0, le=14, description="Largest shift.", json_schema_extra={"step": 0.5})

    title: ClassVar[str] = "Shift"
    stage: ClassVar[Stage] = "affine"
    torch_code: ClassVar[str] = """
move[:, 0, 2] = {{ 2 * pixels }} / width * sample_uniform(images)
move[:, 1, 2] = {{ 2 * pixels }} / height * sample_uniform(images)
"""


class Rotate(Augmentation):
    """Rotates the image about its center."""

    kind: Literal["rotate"] = "rotate"
    degrees: float = Field(default=10.0, ge=0, le=180, description="Largest angle.", json_schema_extra={"step": 1.0})

    title: ClassVar[str] = "Rotate"
    stage: ClassVar[Stage] = "affine"
    torch_code: ClassVar[str] = """
angle = ({{ degrees }} * sample_uniform(images)).deg2rad()
move[:, 0, 0], move[:, 0, 1] = angle.cos(), -angle.sin()
move[:, 1, 0], move[:, 1, 1] = angle.sin(), angle.cos()
"""


class Scale(Augmentation):
    """Makes the image larger or smaller."""

    kind: Literal["scale"] = "scale"
    amount: float = Field(
        default=0.1, ge=0, le=0.9, description="0.1: between 0.9 and 1.1 times.", json_schema_extra={"step": 0.05}
    )

    title: ClassVar[str] = "Scale"
    stage: ClassVar[Stage] = "affine"
    torch_code: ClassVar[str] = "move[:, 0, 0] = move[:, 1, 1] = 1 / (1 + {{ amount }} * sample_uniform(images))"


class Shear(Augmentation):
    """Slants the image."""

    kind: Literal["shear"] = "shear"
    degrees: float = Field(default=10.0, ge=0, le=60, description="Largest slant.", json_schema_extra={"step": 1.0})

    title: ClassVar[str] = "Shear"
    stage: ClassVar[Stage] = "affine"
    torch_code: ClassVar[str] = "move[:, 0, 1] = ({{ degrees }} * sample_uniform(images)).deg2rad().tan()"


class Flip(Augmentation):
    """Mirrors the image left to right; turns most digits into something else."""

    kind: Literal["flip"] = "flip"
    p: float = Field(default=0.5, ge=0, le=1, description="Share of the images.", json_schema_extra={"step": 0.05})

    title: ClassVar[str] = "Flip"
    stage: ClassVar[Stage] = "affine"
    torch_code: ClassVar[str] = "move[:, 0, 0] = 1 - 2 * (torch.rand(count, device=device) < {{ p }}).float()"


class Elastic(Augmentation):
    """Displaces pixels smoothly, as an unsteady hand does. Source: Simard, Steinkraus and Platt, 2003."""

    kind: Literal["elastic"] = "elastic"
    pixels: float = Field(
        default=1.5, ge=0, le=6, description="Largest displacement.", json_schema_extra={"step": 0.25}
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


class Erase(Augmentation):
    """Sets a random square to black."""

    kind: Literal["erase"] = "erase"
    p: float = Field(default=0.5, ge=0, le=1, description="Share of the images.", json_schema_extra={"step": 0.05})
    size: int = Field(default=8, ge=1, le=64, description="Side of the square, in pixels.")

    title: ClassVar[str] = "Erase"
    stage: ClassVar[Stage] = "pixels"
    torch_code: ClassVar[str] = """
# Erase: a black square of {{ size }}×{{ size }} pixels in a share of the images.
chosen = torch.rand(count, 1, 1, device=device) < {{ p }}
top = (torch.rand(count, 1, device=device) * max(1, height - {{ size }} + 1)).long()
left = (torch.rand(count, 1, device=device) * max(1, width - {{ size }} + 1)).long()
rows, columns = torch.arange(height, device=device), torch.arange(width, device=device)
in_rows = (rows >= top) & (rows < top + {{ size }})
in_columns = (columns >= left) & (columns < left + {{ size }})
square = in_rows[:, :, None] & in_columns[:, None, :] & chosen
images = images.masked_fill(square[:, None], 0.0)
"""


class Noise(Augmentation):
    """Adds random noise to every pixel (values from 0 to 1)."""

    kind: Literal["noise"] = "noise"
    std: float = Field(
        default=0.1, ge=0, le=1, description="Standard deviation of the noise.", json_schema_extra={"step": 0.05}
    )

    title: ClassVar[str] = "Noise"
    stage: ClassVar[Stage] = "pixels"
    torch_code: ClassVar[str] = "images = (images + {{ std }} * torch.randn_like(images)).clamp(0, 1)"


class Thickness(Augmentation):
    """Makes strokes thicker or thinner: mixes in the brightest, or darkest, of each pixel's neighbors."""

    kind: Literal["thickness"] = "thickness"
    amount: float = Field(default=0.5, ge=0, le=1, description="Largest share.", json_schema_extra={"step": 0.05})

    title: ClassVar[str] = "Thickness"
    stage: ClassVar[Stage] = "intensity"
    torch_code: ClassVar[str] = """
# Thickness: the brightest, or darkest, of each pixel's neighbors is mixed in.
share = {{ amount }} * sample_uniform(images).view(-1, 1, 1, 1)
thick = functional.max_pool2d(images, 3, stride=1, padding=1)
thin = -functional.max_pool2d(-images, 3, stride=1, padding=1)
images = images + share.clamp(min=0) * (thick - images) - share.clamp(max=0) * (thin - images)
"""


AUGMENTATIONS: dict[str, type[Augmentation]] = collect_kinds([sys.modules[__name__]], Augmentation)

if TYPE_CHECKING:
    AnyAugmentation = Augmentation
else:
    AnyAugmentation = make_union(AUGMENTATIONS)
