"""Generated function ``augment`` with a recipe's augmentations."""

from collections.abc import Sequence

from playground.codegen.templating import render_code, render_template
from playground.core.augmentations import Augmentation, Stage


def generate_augmentation_code(augmentations: Sequence[Augmentation]) -> str:
    """Generate ``augment``; empty for no augmentations. It draws random numbers in the same order as the engine."""
    if not augmentations:
        return ""
    code: dict[Stage, list[str]] = {"intensity": [], "affine": [], "displacement": [], "pixels": []}
    for item in augmentations:
        code[item.stage].append(render_code(item.torch_code, **dict(item)))
    body = render_template("torch_augmentation_body.py.j2", **code).strip("\n")
    return render_template("torch_augmentation.py.j2", body=body)
