"""Image formats: those that every upload and command reads, and advice for others."""

IMAGE_SUFFIXES: dict[str, tuple[str, ...]] = {
    "PNG": ("png",),
    "JPEG": ("jpg", "jpeg", "jfif"),
    "GIF": ("gif",),
    "BMP": ("bmp",),
    "WEBP": ("webp",),
    "TIFF": ("tif", "tiff"),
}
"""File name suffixes of every format that is read, by Pillow's name of the format.

HEIC is not among them. Its decoders are large C libraries with a record of security holes, and iOS converts photos to
JPEG by itself when a page does not ask for HEIC.
"""

UPLOAD_SUFFIXES = tuple(suffix for suffixes in IMAGE_SUFFIXES.values() for suffix in suffixes)
HEIC_ADVICE = "Export HEIC photos as JPEG first."

_HEIC_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")
_AVIF_BRANDS = (b"avif", b"avis")
_SIGNATURES = {
    b"%PDF": ("a PDF file", "PNG"),
    b"8BPS": ("a Photoshop file", "PNG"),
    b"<svg": ("an SVG drawing", "PNG"),
    b"\xff\x0a": ("a JPEG XL image", "JPEG"),
    b"\x00\x00\x00\x0cJXL ": ("a JPEG XL image", "JPEG"),
    b"\x00\x00\x00\x0cjP  ": ("a JPEG 2000 image", "JPEG"),
}


def describe_unreadable_image(content: bytes) -> str:
    """Return why a file is not one of the formats, with advice; completes a sentence that begins with its name."""
    if content[4:8] == b"ftyp" and content[8:12] in _HEIC_BRANDS:
        return "is a HEIC photo: export it as JPEG"
    if content[4:8] == b"ftyp" and content[8:12] in _AVIF_BRANDS:
        return "is an AVIF image: export it as JPEG"
    for signature, (kind, target) in _SIGNATURES.items():
        if content.lstrip().startswith(signature):
            return f"is {kind}: export it as {target}"
    return f"is not an image ({', '.join(IMAGE_SUFFIXES)})"
