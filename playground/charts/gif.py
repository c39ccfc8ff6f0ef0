"""A film as an animated GIF: pictures of one size, a caption under each, the last one held."""

from collections.abc import Sequence
from io import BytesIO

from PIL import Image, ImageDraw, ImageFont

_CAPTION_HEIGHT = 26
_FRAME_MS, _LAST_FRAME_MS = 160, 2500


def encode_gif(frames: Sequence[tuple[bytes, str]], *, background: tuple[int, int, int]) -> bytes:
    """Frames as (PNG, caption), in their order; the pictures must be of one size. ValueError without a frame."""
    if not frames:
        raise ValueError("a film needs a frame")
    ink = (20, 20, 20) if sum(background) > 384 else (235, 235, 235)
    pictures = [_draw_caption(Image.open(BytesIO(png)), caption, background, ink) for png, caption in frames]
    buffer = BytesIO()
    pictures[0].save(
        buffer,
        format="GIF",
        save_all=True,
        append_images=pictures[1:],
        duration=[_FRAME_MS] * (len(pictures) - 1) + [_LAST_FRAME_MS],
        loop=0,
    )
    return buffer.getvalue()


def _draw_caption(
    image: Image.Image, caption: str, background: tuple[int, int, int], text_color: tuple[int, int, int]
) -> Image.Image:
    whole = Image.new("RGB", (image.width, image.height + _CAPTION_HEIGHT), background)
    whole.paste(image, (0, 0))
    place = (4, image.height + 5)
    ImageDraw.Draw(whole).text(place, caption, fill=text_color, font=ImageFont.load_default(14))
    # One palette of 255 colours is enough for a scale of colours, and keeps the file small.
    return whole.quantize(colors=255, dither=Image.Dither.NONE)
