"""Augmentations: random changes of training images, with their code for exported PyTorch programs.

The code is a Jinja2 template of the fields. The engine computes each augmentation in ``engine/data/augment.py``.
"""

import sys
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

from playground.core.kinds import collect_kinds, make_union

Stage = Literal["intensity", "affine", "displacement", "pixels"]
"""Order of application: ``intensity`` first, then all geometric augmentations in one resampling (``affine`` ones as one
matrix, then ``displacement`` of its grid), ``pixels`` last; within a stage in the recipe's order."""


class Augmentation(BaseModel):
    """Parameters of an augmentation. Every subclass in this module is registered."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: str

    title: ClassVar[str]
    stage: ClassVar[Stage]
    torch_code: ClassVar[str]
    """Statements that change ``images`` (``move`` where the stage is affine, ``grid`` where it is displacement)."""
    keras_remark: ClassVar[str] = "this program leaves it out"
    """Remark of an exported Keras program on the missing augmentation."""


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


class Shear(Augmentation):
    """Horizontal shear of the image."""

    kind: Literal["shear"] = "shear"
    degrees: float = Field(
        default=10.0, ge=0, le=60, description="Largest shear angle, in degrees.", json_schema_extra={"step": 1.0}
    )

    title: ClassVar[str] = "Shear"
    stage: ClassVar[Stage] = "affine"
    torch_code: ClassVar[str] = "move[:, 0, 1] = ({{ degrees }} * sample_uniform(images)).deg2rad().tan()"


class Flip(Augmentation):
    """Horizontal flip; it changes the class of most digits."""

    kind: Literal["flip"] = "flip"
    p: float = Field(
        default=0.5, ge=0, le=1, description="Probability for each image.", json_schema_extra={"step": 0.05}
    )

    title: ClassVar[str] = "Flip"
    stage: ClassVar[Stage] = "affine"
    torch_code: ClassVar[str] = "move[:, 0, 0] = 1 - 2 * (torch.rand(count, device=device) < {{ p }}).float()"


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


class Erase(Augmentation):
    """Random erasing: sets a square to black."""

    kind: Literal["erase"] = "erase"
    p: float = Field(
        default=0.5, ge=0, le=1, description="Probability for each image.", json_schema_extra={"step": 0.05}
    )
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
    """Gaussian noise on every pixel (values from 0 to 1)."""

    kind: Literal["noise"] = "noise"
    std: float = Field(
        default=0.1, ge=0, le=1, description="Standard deviation of the noise.", json_schema_extra={"step": 0.05}
    )

    title: ClassVar[str] = "Noise"
    stage: ClassVar[Stage] = "pixels"
    torch_code: ClassVar[str] = "images = (images + {{ std }} * torch.randn_like(images)).clamp(0, 1)"


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


AUGMENTATIONS: dict[str, type[Augmentation]] = collect_kinds([sys.modules[__name__]], Augmentation)

if TYPE_CHECKING:
    AnyAugmentation = Augmentation
else:
    AnyAugmentation = make_union(AUGMENTATIONS)
