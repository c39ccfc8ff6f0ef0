"""Picture files of every kind become the same small image: upright, on white, its middle, in the right colours."""

import struct
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from playground.core.preprocessing import ImagePreprocessing
from playground.engine.data.custom.decode import FORMATS, MAX_PIXELS, decode_image
from playground.errors import ImageFileError
from tests.engine.data.custom.picture_files import BLUE, GREEN, RED, WHITE, encoded, plain


def values(content: bytes, height: int = 8, width: int = 8, channels: Any = 3) -> NDArray[np.uint8]:
    shape = (channels, height, width)
    found = decode_image(content, ImagePreprocessing(image_shape=shape, input_shape=shape)).pixels
    assert found.shape == (channels, height, width)
    assert found.dtype == np.uint8
    return found


def close(found: NDArray[Any], expected: Any, tolerance: float = 3) -> None:
    assert np.abs(found.astype(float) - np.asarray(expected, dtype=float)).max() <= tolerance


def colour(found: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The colour (channels, 1, 1) that all of a picture has."""
    close(found, found[:, :1, :1])
    return found[:, :1, :1]


def quarters() -> NDArray[np.uint8]:
    """Red and green above, blue and white below: no turn and no mirror leaves it as it is."""
    sheet = np.zeros((64, 64, 3), dtype=np.uint8)
    sheet[:32, :32], sheet[:32, 32:], sheet[32:, :32], sheet[32:, 32:] = RED, GREEN, BLUE, WHITE
    return sheet


def corners(found: NDArray[np.uint8]) -> list[tuple[int, ...]]:
    """The four colours, rounded to what a JPEG leaves of them."""
    places = ((1, 1), (1, -2), (-2, 1), (-2, -2))
    return [tuple(255 * (found[:, y, x] > 128)) for y, x in places]


@pytest.mark.parametrize("kind", FORMATS)
def test_every_format_is_read_in_colour(kind: str) -> None:
    options = {"quality": 95} if kind in ("JPEG", "WEBP") else {}
    assert corners(values(encoded(quarters(), kind, **options))) == [RED, GREEN, BLUE, WHITE]


def test_one_channel_is_the_luminance() -> None:
    for rgb, luminance in ((RED, 76), (GREEN, 150), (BLUE, 29), (WHITE, 255)):
        for kind in ("PNG", "JPEG", "BMP"):
            close(colour(values(encoded(Image.new("RGB", (40, 40), rgb), kind), channels=1)), luminance)


def test_grey_pictures_fill_three_channels() -> None:
    close(values(plain(90)), 90, 0)


# How the picture is stored, so that the orientation sets it upright: what TIFF's table of the tag says.
STORED: dict[int, Callable[[NDArray[np.uint8]], NDArray[np.uint8]]] = {
    1: lambda upright: upright,
    2: lambda upright: upright[:, ::-1],
    3: lambda upright: upright[::-1, ::-1],
    4: lambda upright: upright[::-1],
    5: lambda upright: upright.transpose(1, 0, 2),
    6: lambda upright: np.rot90(upright, 1),
    7: lambda upright: upright[::-1, ::-1].transpose(1, 0, 2),
    8: lambda upright: np.rot90(upright, -1),
}


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", STORED)
def test_photographs_are_set_upright(orientation: int, kind: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    upright = quarters()[:, 8:-8]  # higher than wide
    content = encoded(np.ascontiguousarray(STORED[orientation](upright)), kind, exif=exif)
    assert corners(values(content, height=16, width=12)) == [RED, GREEN, BLUE, WHITE]


def test_print_colours_and_deep_greys_and_palettes_are_right() -> None:
    orange = (240, 120, 40)
    ink = Image.new("RGB", (40, 40), orange).convert("CMYK")
    for kind in ("JPEG", "TIFF"):
        close(colour(values(encoded(ink, kind, quality=95))), np.reshape(orange, (3, 1, 1)), 6)
    deep = np.full((9, 9), 180 * 257, dtype=np.uint16)
    for kind in ("PNG", "TIFF"):
        close(values(encoded(deep, kind)), 180, 0)
    for typed in (np.float32, np.int32):
        steep = np.linspace(0, 1000, 64).reshape(8, 8).astype(typed)
        close(values(encoded(steep, "TIFF"), channels=1)[0], steep * 0.255, 1.5)
    unsound = np.array([[0, np.nan], [np.inf, 1]], dtype=np.float32)
    close(values(encoded(unsound, "TIFF"), height=2, width=2, channels=1)[0], [[0, 0], [0, 255]], 0)
    paletted = Image.new("RGB", (40, 40), orange).convert("P", palette=Image.Palette.ADAPTIVE)
    close(colour(values(encoded(paletted))), np.reshape(orange, (3, 1, 1)))
    close(values(encoded(Image.new("1", (40, 40), 1))), 255, 0)


def palette_with_a_hole(as_bytes: bool) -> bytes:
    holed = Image.new("P", (8, 8), 1)
    holed.putpalette([0, 0, 0, 255, 0, 0])
    holed.paste(0, (0, 0, 8, 4))
    return encoded(holed, transparency=b"\x00\xff" if as_bytes else 0)


def test_what_is_transparent_is_white() -> None:
    see_through = np.zeros((8, 8, 4), dtype=np.uint8)
    see_through[4:] = (*RED, 255)
    keyed = Image.fromarray(see_through[..., :3])
    expected = np.zeros((3, 8, 8)) + np.reshape(RED, (3, 1, 1))
    expected[:, :4] = 255
    for content in (
        encoded(see_through),
        encoded(see_through, "WEBP", lossless=True),
        encoded(see_through, "TIFF"),
        encoded(keyed, transparency=(0, 0, 0)),
        palette_with_a_hole(as_bytes=True),
        palette_with_a_hole(as_bytes=False),
    ):
        close(values(content), expected, 0)
    half = encoded(Image.new("LA", (8, 8), (0, 128)))
    close(values(half), 127, 1)
    close(values(half, channels=1), 127, 1)


def test_an_edge_to_nothing_takes_no_colour_from_there() -> None:
    """Transparent pixels are often black; their color must not mix into a smaller image."""
    layered = np.zeros((64, 64, 4), dtype=np.uint8)
    layered[:, 31:] = (*GREEN, 255)
    found = values(encoded(layered))
    close(found[1], 255, 1)


def test_the_first_frame_of_an_animation_counts() -> None:
    frames = [Image.new("RGB", (20, 20), frame) for frame in (RED, GREEN, BLUE)]
    for kind in ("GIF", "WEBP", "TIFF", "PNG"):
        options = {"lossless": True} if kind == "WEBP" else {}
        content = encoded(frames[0], kind, save_all=True, append_images=frames[1:], **options)
        close(colour(values(content)), np.reshape(RED, (3, 1, 1)), 1)


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_the_middle_is_taken_and_the_shape_is_kept(kind: str) -> None:
    wide = np.zeros((100, 300, 3), dtype=np.uint8)
    wide[:, :100], wide[:, 100:200], wide[:, 200:] = RED, GREEN, BLUE
    close(values(encoded(wide, kind, quality=95))[:, :, 1:-1], np.reshape(GREEN, (3, 1, 1)), 8)
    high = np.ascontiguousarray(wide.transpose(1, 0, 2))
    close(values(encoded(high, kind, quality=95))[:, 1:-1], np.reshape(GREEN, (3, 1, 1)), 8)
    whole = values(encoded(wide, kind, quality=95), height=10, width=30)
    assert [int(whole[:, 5, x].argmax()) for x in (5, 15, 25)] == [0, 1, 2]
    y, x = np.mgrid[-50:50, -50:50]
    disc = values(encoded(np.where(x**2 + y**2 < 40**2, 255, 0).astype(np.uint8), kind), 20, 20, channels=1)[0] > 128
    assert disc.sum(0).max() == disc.sum(1).max() == 16


def test_fine_patterns_become_grey_and_not_another_pattern() -> None:
    board = (np.indices((201, 201)).sum(0) % 2 * 255).astype(np.uint8)
    found = values(encoded(board), channels=1)
    close(found, 127, 4)


@pytest.mark.parametrize("size", [(1, 1), (1, 3000), (3000, 1), (3, 2)])
def test_pictures_of_any_shape_fill_the_image(size: tuple[int, int]) -> None:
    close(values(encoded(Image.new("RGB", size, GREEN)), height=28, width=20), np.reshape(GREEN, (3, 1, 1)), 0)


def test_a_picture_of_just_the_largest_size_is_read() -> None:
    side = int(MAX_PIXELS**0.5)
    assert values(encoded(Image.new("1", (side, side), 1)), channels=1).min() == 255
    with pytest.raises(ImageFileError, match="40 million"):
        values(encoded(Image.new("1", (side + 1, side + 1), 1)))


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")  # Pillow's
def test_broken_exif_data_leave_the_picture_as_it_is_stored() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    for kind in ("JPEG", "PNG", "WEBP"):
        content = encoded(quarters(), kind, exif=exif)
        for broken in (b"MM\xff\xff", b"II\x2a\x00\xff\xff\xff\xff", b"????"):
            marker = b"MM\x00\x2a" if b"MM\x00\x2a" in content else b"II\x2a\x00"
            damaged = content.replace(marker + content.split(marker)[1][: len(broken) - 4], broken, 1)
            if kind == "PNG":
                damaged = with_valid_checksums(damaged)
            assert corners(values(damaged)) == [RED, GREEN, BLUE, WHITE]


def with_valid_checksums(png: bytes) -> bytes:
    parts, place = [png[:8]], 8
    while place < len(png):
        (size,) = struct.unpack_from(">I", png, place)
        body = png[place + 4 : place + 8 + size]
        parts += [png[place : place + 4], body, struct.pack(">I", zlib.crc32(body))]
        place += size + 12
    return b"".join(parts)


def test_unknown_orientations_are_ignored() -> None:
    for orientation in (0, 9, 77):
        exif = Image.Exif()
        exif[0x0112] = orientation
        assert corners(values(encoded(quarters(), "PNG", exif=exif))) == [RED, GREEN, BLUE, WHITE]


def icon(shade: int) -> bytes:
    """A disc of one shade on transparency."""
    y, x = np.mgrid[-32:32, -32:32]
    layered = np.full((64, 64, 4), shade, dtype=np.uint8)
    layered[..., :3] = shade
    layered[..., 3] = (x**2 + y**2 < 20**2) * 255
    return encoded(layered)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(("shade", "background"), [(255, 0), (240, 0), (200, 255), (128, 255), (0, 255)])
def test_icons_are_on_white_unless_they_would_vanish_there(shade: int, background: int, channels: int) -> None:
    found = values(icon(shade), channels=channels)
    close(found[:, 4, 4], shade, 2)
    close(found[:, 0, 0], background, 2)


def test_white_picture_with_unused_transparency_stays_white() -> None:
    close(values(encoded(np.full((8, 8, 4), 255, np.uint8))), 255, 0)
    close(values(encoded(np.zeros((8, 8, 4), np.uint8))), 255, 0)
