"""Animated GIFs with a caption under each frame."""

from collections.abc import Sequence
from io import BytesIO

from PIL import Image, ImageDraw, ImageFont

_CAPTION_HEIGHT = 26
_FRAME_MS, _LAST_FRAME_MS = 160, 2500


def encode_gif(frames: Sequence[tuple[bytes, str]], *, background: tuple[int, int, int]) -> bytes:
    """Encode frames (PNG, caption) of equal size; the last one is held longer. Raises ValueError without frames."""
    if not frames:
        raise ValueError("An animation needs at least one frame.")
    ink = (20, 20, 20) if sum(background) > 384 else (235, 235, 235)
    images = [_draw_caption(Image.open(BytesIO(png)), caption, background, ink) for png, caption in frames]
    buffer = BytesIO()
    images[0].save(
        buffer,
        format="GIF",
        save_all=True,
        append_images=images[1:],
        duration=[_FRAME_MS] * (len(images) - 1) + [_LAST_FRAME_MS],
        loop=0,
    )
    return buffer.getvalue()


def _draw_caption(
    image: Image.Image, caption: str, background: tuple[int, int, int], text_color: tuple[int, int, int]
) -> Image.Image:
    captioned = Image.new("RGB", (image.width, image.height + _CAPTION_HEIGHT), background)
    captioned.paste(image, (0, 0))
    position = (4, image.height + 5)
    ImageDraw.Draw(captioned).text(position, caption, fill=text_color, font=ImageFont.load_default(14))
    # 255 colors are enough for a color scale and keep the file small.
    return captioned.quantize(colors=255, dither=Image.Dither.NONE)
