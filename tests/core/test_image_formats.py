"""Formats of uploaded images, and advice for others."""

import pytest
from PIL import Image

from playground.core.image_formats import IMAGE_SUFFIXES, UPLOAD_SUFFIXES, describe_unreadable_image

UNREADABLE = {
    "HEIC": (b"\x00\x00\x00\x18ftypheic\x00\x00\x00\x00mif1heic", "is a HEIC photo: export it as JPEG"),
    "HEIF": (b"\x00\x00\x00\x18ftypmif1\x00\x00\x00\x00mif1heic", "is a HEIC photo: export it as JPEG"),
    "AVIF": (b"\x00\x00\x00\x1cftypavif\x00\x00\x00\x00avifmif1", "is an AVIF image: export it as JPEG"),
    "PDF": (b"%PDF-1.7\n", "is a PDF file: export it as PNG"),
    "SVG": (b"  <svg xmlns='http://www.w3.org/2000/svg'/>", "is an SVG drawing: export it as PNG"),
    "text": (b"no image", "is not an image (PNG, JPEG, GIF, BMP, WEBP, TIFF)"),
    "empty": (b"", "is not an image (PNG, JPEG, GIF, BMP, WEBP, TIFF)"),
}


@pytest.mark.parametrize("kind", UNREADABLE)
def test_unreadable_image_is_named_with_advice(kind: str) -> None:
    content, reason = UNREADABLE[kind]
    assert describe_unreadable_image(content) == reason


def test_every_upload_suffix_is_a_format_that_pillow_reads() -> None:
    formats = Image.registered_extensions()
    for name, suffixes in IMAGE_SUFFIXES.items():
        assert {formats[f".{suffix}"] for suffix in suffixes} <= {name, "MPO"}
    assert {"jpg", "jfif", "gif", "tif"} <= set(UPLOAD_SUFFIXES)
