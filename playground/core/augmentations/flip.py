"""Flip augmentation."""

from typing import ClassVar, Literal

from playground.core.augmentations.base import Augmentation, Probability, Stage


class Flip(Augmentation):
    """Horizontal flip; it changes the class of most digits."""

    kind: Literal["flip"] = "flip"
    p: Probability = 0.5

    title: ClassVar[str] = "Flip"
    stage: ClassVar[Stage] = "affine"
    torch_code: ClassVar[str] = "move[:, 0, 0] = 1 - 2 * (torch.rand(count, device=device) < {{ p }}).float()"
