"""Files from outside: every usable kind is read alike, everything else is an error of ours that names the file."""

import json
import tracemalloc
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from playground.core.image_formats import UPLOAD_SUFFIXES
from playground.engine.data.rasterize import rasterize
from playground.errors import DataError, DrawingError, ImageFileError
from playground.interpret.drawing import image_files as pictures
from playground.interpret.drawing.image_files import read_inputs, read_photo
from playground.interpret.drawing.photo import extract_small_ink
from playground.interpret.drawing.preprocess import preprocess_ink
from tests.strategies import settings

FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF")


def _seven() -> NDArray[np.uint8]:
    """A seven, ink 255 on 0, 40 high and 30 wide on a larger sheet: neither symmetric nor centred."""
    sheet = np.zeros((80, 60), dtype=np.uint8)
    sheet[10:16, 5:35] = 255
    sheet[10:50, 29:35] = 255
    return sheet


def _bytes(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    buffer = BytesIO()
    image.save(buffer, format=kind, **options)
    return buffer.getvalue()


def decode_ink(name: str, content: bytes) -> NDArray[np.float32]:
    """Read the largest digit of a photo and put it back in its place: (height, width), ink 1 on paper 0."""
    photo = read_photo(name, content)
    digit = photo.digits[0]
    height, width = photo.gray.shape
    top, left, bottom, right = (
        round(share * side) for share, side in zip(digit.area, (height, width) * 2, strict=True)
    )
    rows, columns = np.flatnonzero(digit.ink.any(axis=1)), np.flatnonzero(digit.ink.any(axis=0))
    ink = Image.fromarray(digit.ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1])
    placed = np.zeros((height, width), dtype=np.float32)
    placed[top:bottom, left:right] = np.asarray(ink.resize((right - left, bottom - top)))
    return placed


def read_uploaded_input(name: str, content: bytes) -> NDArray[np.float32]:
    return preprocess_ink(read_photo(name, content).digits[0].ink)


def _close(first: NDArray[Any], second: NDArray[Any], tolerance: float = 0.02) -> None:
    assert first.shape == second.shape
    assert np.abs(first - second).mean() <= tolerance


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("inverted", [False, True])
def test_every_format_in_either_polarity(kind: str, inverted: bool) -> None:
    sheet = _seven()
    grey = Image.fromarray(255 - sheet if inverted else sheet)
    _close(decode_ink("seven", _bytes(grey, kind)), sheet / 255)


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "RGBA", "LA", "CMYK"])
def test_every_mode(mode: str) -> None:
    sheet = 255 - _seven()
    image = Image.fromarray(sheet).convert(mode)
    kind = "TIFF" if mode == "CMYK" else "PNG"
    _close(decode_ink("seven", _bytes(image, kind)), _seven() / 255)


@pytest.mark.parametrize("ink", [(0, 0, 0), (200, 30, 30)])
def test_transparent_paper_is_paper(ink: tuple[int, int, int]) -> None:
    """Ink on nothing, as drawing programs save it; what is transparent may hold any colour, black too."""
    sheet = _seven()
    layered = np.zeros((*sheet.shape, 4), dtype=np.uint8)
    layered[sheet > 0, :3] = ink
    layered[..., 3] = sheet
    _close(decode_ink("seven", _bytes(Image.fromarray(layered))), sheet / 255)


@pytest.mark.parametrize("inverted", [False, True])
@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_sixteen_bits(kind: str, inverted: bool) -> None:
    deep = _seven().astype(np.uint16) * 257
    image = Image.fromarray(65535 - deep if inverted else deep)
    assert image.mode == "I;16"
    _close(decode_ink("seven", _bytes(image, kind)), _seven() / 255)


def test_a_turned_photograph_is_set_upright() -> None:
    sheet = _seven()
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned: rotate by 90° clockwise to see it upright
    stored = Image.fromarray(np.rot90(sheet))
    _close(decode_ink("seven", _bytes(stored, "JPEG", exif=exif, quality=95)), sheet / 255, 0.03)


def test_ink_of_an_even_sheet_is_none() -> None:
    for shade in (0, 128, 255):
        image = Image.fromarray(np.full((30, 30), shade, dtype=np.uint8))
        assert extract_small_ink(np.asarray(image, dtype=np.float32) / np.float32(255)).max() == 0
        with pytest.raises(DrawingError, match=r"blank\.png.*empty"):
            read_uploaded_input("blank.png", _bytes(image))


def test_border_of_two_brightnesses_leaves_ink() -> None:
    """No pixel of the border has the brightness of its median."""
    gray = np.zeros((4, 20), dtype=np.float32)
    gray[:, 10:] = 1
    assert extract_small_ink(gray).max() == 1


def test_an_empty_picture_names_its_file(tmp_path: Path) -> None:
    path = tmp_path / "white.png"
    Image.new("L", (28, 28), 255).save(path)
    with pytest.raises(DrawingError, match=r"white\.png"):
        read_inputs(path)


@pytest.mark.parametrize(
    "content",
    [b"", b"hello", b"\x89PNG\r\n\x1a\n", b"GIF89a", b"\x00" * 100, b"%PDF-1.4"],
    ids=["empty", "text", "PNG signature only", "GIF signature only", "zeros", "PDF"],
)
def test_what_is_no_picture_is_told_so(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "photo.png"
    path.write_bytes(content)
    with pytest.raises(ImageFileError, match=r"photo\.png"):
        read_inputs(path)
    with pytest.raises(ImageFileError, match=r"upload\.gif"):
        read_uploaded_input("upload.gif", content)


def test_missing_files_and_folders(tmp_path: Path) -> None:
    with pytest.raises(ImageFileError, match="cannot be read"):
        read_inputs(tmp_path / "nothing.png")
    with pytest.raises(ImageFileError, match="cannot be read"):
        read_inputs(tmp_path)


def test_huge_files_are_not_read(tmp_path: Path) -> None:
    path = tmp_path / "huge.png"
    with path.open("wb") as file:
        file.truncate(pictures.MAX_FILE_BYTES + 1)
    with pytest.raises(ImageFileError, match="larger than 20 MB"):
        read_inputs(path)
    with pytest.raises(ImageFileError, match="larger than 20 MB"):
        read_uploaded_input("huge.png", bytes(pictures.MAX_FILE_BYTES + 1))


@pytest.mark.parametrize("side", [6_400, 10_000, 30_000])
def test_huge_pictures_are_not_unpacked(side: int) -> None:
    """A small file may claim any size (a decompression bomb): the claim alone is enough to refuse it, quietly."""
    small = bytearray(_bytes(Image.new("1", (8, 8)), "BMP"))
    small[18:22] = side.to_bytes(4, "little")
    small[22:26] = side.to_bytes(4, "little")
    with pytest.raises(ImageFileError, match=r"bomb\.bmp"):
        decode_ink("bomb.bmp", bytes(small))


_PICTURES = {kind: _bytes(Image.fromarray(_seven()).convert("RGB"), kind) for kind in FORMATS}


@pytest.mark.parametrize("suffix", UPLOAD_SUFFIXES)
def test_drawing_in_every_uploaded_format_is_read(suffix: str) -> None:
    kind = Image.registered_extensions()[f".{suffix}"]
    content = _bytes(Image.fromarray(_seven()), kind)
    _close(decode_ink(f"seven.{suffix}", content), _seven() / 255)
    assert read_uploaded_input(f"seven.{suffix}", content).any()


def test_photo_in_heic_is_refused_with_advice() -> None:
    with pytest.raises(ImageFileError, match=r"IMG_1\.HEIC is a HEIC photo: export it as JPEG"):
        read_uploaded_input("IMG_1.HEIC", b"\0\0\0\x18ftypheic\0\0\0\0mif1heic")


@pytest.mark.filterwarnings("ignore::UserWarning")  # Pillow grumbles about damaged TIFF tags, and reads on
@given(kind=st.sampled_from(FORMATS), data=st.data())
@settings(max_examples=300)
def test_damaged_pictures_never_escape(kind: str, data: st.DataObject) -> None:
    """Cut or flip bytes of a good file: it is read, or refused with an error of ours."""
    content = bytearray(_PICTURES[kind])
    if data.draw(st.booleans()):
        content = content[: data.draw(st.integers(0, len(content)))]
    for _ in range(data.draw(st.integers(0, 4))):
        if content:
            content[data.draw(st.integers(0, min(len(content), 200) - 1))] = data.draw(st.integers(0, 255))
    try:
        image = read_uploaded_input("damaged", bytes(content))
    except DataError:
        return
    assert image.shape == (1, 28, 28)
    assert np.isfinite(image).all()


def test_strokes_from_json(tmp_path: Path) -> None:
    corner = [[[0, 0], [0, 10], [10, 10]]]
    line = [[[0.0, 0.0], [3.5, 9.0]]]
    path = tmp_path / "drawings.json"
    path.write_text(json.dumps([{"strokes": corner, "label": 4}, {"strokes": line}]))
    first, second = (one.image for one in read_inputs(path))
    np.testing.assert_array_equal(first, rasterize(corner))
    np.testing.assert_array_equal(second, rasterize(line))
    path.write_text(json.dumps({"strokes": line}))
    (alone,) = read_inputs(path)
    np.testing.assert_array_equal(alone.image, second)
    unnamed = tmp_path / "drawings"
    unnamed.write_text("  " + json.dumps([{"strokes": line}]))
    assert len(read_inputs(unnamed)) == 1


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("{", "not JSON"),
        ("[" * 100_000, "not JSON"),
        ("7", "does not contain a list"),
        ("[]", "contains no drawing"),
        ("[1]", "drawing 1 has no strokes"),
        ("[{}]", "drawing 1 has no strokes"),
        ('[{"strokes": {}}]', "drawing 1 has no strokes"),
        ('[{"strokes": [7]}]', "drawing 1 has no strokes"),
        ('[{"strokes": []}]', "drawing 1: The drawing has no stroke"),
        ('[{"strokes": [[[0, 0]]]}, {"strokes": [[[0, 0], [1]]]}]', "drawing 2: Stroke 1 is invalid"),
        ('[{"strokes": [[[0, NaN]]]}]', "Stroke 1 is invalid"),
        ('[{"strokes": [[[0, 1e999]]]}]', "Stroke 1 is invalid"),
        ('[{"strokes": [[[0, "x"]]]}]', "Stroke 1 is invalid"),
        ('[{"strokes": [[[0, {}]]]}]', "Stroke 1 is invalid"),
        ('[{"strokes": [[[0, 1' + "0" * 400 + "]]]}]", "Stroke 1 is invalid"),
    ],
)
def test_wrong_strokes_are_told_so(content: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / "drawings.json"
    path.write_text(content)
    with pytest.raises(DrawingError, match=said) as caught:
        read_inputs(path)
    assert str(path) in str(caught.value)


def test_a_photograph_as_large_as_allowed_is_read() -> None:
    """Six thousand pixels a side are within the limit; they must not need many times their own memory."""
    sheet = np.kron(_seven(), np.ones((75, 75), dtype=np.uint8))
    tracemalloc.start()
    image = read_uploaded_input("photo.png", _bytes(Image.fromarray(sheet)))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 25 * sheet.size
    small = read_uploaded_input("small.png", _bytes(Image.fromarray(_seven())))
    assert np.abs(image - small).mean() < 0.03
