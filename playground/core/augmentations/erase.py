"""Erase augmentation."""

from typing import ClassVar, Literal

from pydantic import Field

from playground.core.augmentations.base import Augmentation, Probability, Stage


class Erase(Augmentation):
    """Random erasing: sets a square to black."""

    kind: Literal["erase"] = "erase"
    p: Probability = 0.5
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
