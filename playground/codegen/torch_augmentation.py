"""The text of a function ``augment`` that changes images as a recipe says, with nothing in it that is not asked for."""

import textwrap
from collections.abc import Sequence

from playground.codegen.text import join_sections
from playground.core.augmentations import (
    Augmentation,
    Elastic,
    Erase,
    Flip,
    Noise,
    Rotate,
    Scale,
    Shear,
    Shift,
    Thickness,
)

_RANDOM_FACTOR_CODE = '''
def spread(images: torch.Tensor) -> torch.Tensor:
    """A random number from -1 to 1 for each image."""
    return torch.rand(len(images), device=images.device) * 2 - 1

'''


def generate_augmentation_code(augmentations: Sequence[Augmentation]) -> str:
    """Empty for none. Draws in the same order as a run, though not from the same generator."""
    if not augmentations:
        return ""
    blocks = [_generate_thickness(item) for item in augmentations if isinstance(item, Thickness)]
    blocks += _generate_geometric_transforms(augmentations)
    blocks += [_generate_pixel_transform(item) for item in augmentations if isinstance(item, Erase | Noise)]
    body = "\n\n".join(block.strip() for block in blocks)
    sizes = "count, _, height, width = images.shape\n" if "count" in body or "width" in body else ""
    device = "device = images.device\n" if "device" in body else ""
    function = f'''def augment(images: torch.Tensor) -> torch.Tensor:
    """Change every image at random; float (count, channels, height, width), values 0 to 1."""
{textwrap.indent(f"{sizes}{device}{body}", "    ")}
    return images'''
    return join_sections(_RANDOM_FACTOR_CODE if "spread(images)" in body else "", function)


def _generate_thickness(item: Thickness) -> str:
    return f"""
# Thickness: the brightest, or darkest, of each pixel's neighbours is mixed in.
share = {item.amount!r} * spread(images).view(-1, 1, 1, 1)
thick = functional.max_pool2d(images, 3, stride=1, padding=1)
thin = -functional.max_pool2d(-images, 3, stride=1, padding=1)
images = images + share.clamp(min=0) * (thick - images) - share.clamp(max=0) * (thin - images)
"""


def _generate_geometric_transforms(augmentations: Sequence[Augmentation]) -> list[str]:
    """What moves pixels: gathered in one map an image, so that they are interpolated only once."""
    moves = [text for item in augmentations if (text := _generate_affine_transform(item))]
    bends = [_generate_elastic_transform(item) for item in augmentations if isinstance(item, Elastic)]
    if not moves and not bends:
        return []
    start = "# All that moves pixels becomes one map an image, so that they are interpolated only once.\n"
    matrix = "matrix = still = torch.eye(3, device=device).repeat(count, 1, 1)"
    grid = "grid = functional.affine_grid(matrix[:, :2], images.shape, align_corners=False)"
    sample = 'images = functional.grid_sample(images, grid, mode="bilinear", align_corners=False)\n'
    return [
        start + matrix,
        *(f"\nmove = still.clone()\n{text}matrix = move @ matrix" for text in moves),
        grid,
        *bends,
        sample,
    ]


def _generate_affine_transform(item: Augmentation) -> str:
    """The lines that set ``move``: where each pixel is fetched from, in an image that reaches from -1 to 1."""
    match item:
        case Shift(pixels=pixels):
            return f"""move[:, 0, 2] = {2 * pixels!r} / width * spread(images)
move[:, 1, 2] = {2 * pixels!r} / height * spread(images)
"""
        case Rotate(degrees=degrees):
            return f"""angle = ({degrees!r} * spread(images)).deg2rad()
move[:, 0, 0], move[:, 0, 1] = angle.cos(), -angle.sin()
move[:, 1, 0], move[:, 1, 1] = angle.sin(), angle.cos()
"""
        case Scale(amount=amount):
            return f"move[:, 0, 0] = move[:, 1, 1] = 1 / (1 + {amount!r} * spread(images))\n"
        case Shear(degrees=degrees):
            return f"move[:, 0, 1] = ({degrees!r} * spread(images)).deg2rad().tan()\n"
        case Flip(p=p):
            return f"move[:, 0, 0] = 1 - 2 * (torch.rand(count, device=device) < {p!r}).float()\n"
        case _:
            return ""


def _generate_elastic_transform(item: Elastic) -> str:
    return f"""# Elastic: random displacements at 5×5 points, smooth between them.
points = torch.rand(count, 2, 5, 5, device=device) * 2 - 1
bend = functional.interpolate(points, size=(height, width), mode="bicubic", align_corners=True)
grid = grid + {2 * item.pixels!r} * bend.permute(0, 2, 3, 1) / torch.tensor([width, height], device=device)
"""


def _generate_pixel_transform(item: Erase | Noise) -> str:
    if isinstance(item, Noise):
        return f"\nimages = (images + {item.std!r} * torch.randn_like(images)).clamp(0, 1)\n"
    return f"""
# Erase: a black square of {item.size}×{item.size} pixels in a share of the images.
chosen = torch.rand(count, 1, 1, device=device) < {item.p!r}
top = (torch.rand(count, 1, device=device) * max(1, height - {item.size} + 1)).long()
left = (torch.rand(count, 1, device=device) * max(1, width - {item.size} + 1)).long()
rows, columns = torch.arange(height, device=device), torch.arange(width, device=device)
in_rows = (rows >= top) & (rows < top + {item.size})
in_columns = (columns >= left) & (columns < left + {item.size})
square = in_rows[:, :, None] & in_columns[:, None, :] & chosen
images = images.masked_fill(square[:, None], 0.0)
"""
