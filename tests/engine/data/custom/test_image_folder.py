"""Folders and ZIP files from outside: what can be used becomes images, what cannot is named, nothing else happens."""

import os
import random
import stat
import struct
import threading
import unicodedata
import zipfile
from io import BytesIO
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import numpy as np
import pytest
import torch
from PIL import Image

from playground.engine.data.custom import archive as own_files
from playground.engine.data.custom import image_folder as own_images
from playground.engine.data.custom import layout_checks
from playground.engine.data.custom.archive import SkippedFile
from playground.engine.data.custom.decode import decode_image
from playground.engine.data.custom.image_folder import CustomImages, read_image_folder
from playground.engine.data.custom.layout import natural_sort_key
from playground.engine.progress import Progress
from playground.errors import InvalidDatasetError
from tests.engine.data.custom.picture_files import FOUR, encoded, plain, unpacked, zipped


def read(source: Path | BytesIO, **options: Any) -> CustomImages:
    return read_image_folder(source, **{"height": 8, "width": 8, "channels": 1} | options)


def shades(own: CustomImages) -> dict[str, list[int]]:
    """The images by class, each told by its middle."""
    found: dict[str, list[int]] = {name: [] for name in own.class_names}
    for image, label in zip(own.train.images, own.train.labels, strict=True):
        found[own.class_names[label]].append(int(image[0, 4, 4]))
    return found


def left_out(own: CustomImages) -> dict[str, str]:
    return {one.name: one.reason for one in own.skipped}


NOISE = np.random.default_rng(0).integers(0, 255, (64, 64), np.uint8)
IN_ORDER = {"cat": [10, 20], "dog": [30, 40]}


# Layouts


def test_every_class_folder_is_a_class(tmp_path: Path) -> None:
    for source in (zipped(FOUR), unpacked(tmp_path, FOUR)):
        own = read(source)
        assert own.class_names == ("cat", "dog")
        assert own.train.images.shape == (4, 1, 8, 8)
        assert own.train.images.dtype == torch.uint8
        assert own.train.labels.dtype == torch.int64
        assert shades(own) == IN_ORDER
        assert own.test is None
        assert own.skipped == ()
        assert own.skipped_count == 0


def test_names_are_sorted_as_people_sort_them() -> None:
    names = ["10", "2", "1", "dog", "Cat", "cat", "img10", "img9", "img010", "9" * 5000, "1" * 5001, ""]
    expected = ["", "1", "2", "10", "9" * 5000, "1" * 5001, "Cat", "cat", "dog", "img9", "img010", "img10"]
    assert sorted(names, key=natural_sort_key) == expected


def test_the_order_in_the_zip_changes_nothing(tmp_path: Path) -> None:
    files = {f"{name}/{number}.png": plain(number) for name in ("1", "2", "10") for number in range(12)}
    expected = {name: list(range(12)) for name in ("1", "2", "10")}
    for seed in range(5):
        mixed = list(files.items())
        random.Random(seed).shuffle(mixed)
        own = read(zipped(dict(mixed)))
        assert own.class_names == ("1", "2", "10")
        assert shades(own) == expected
    assert shades(read(unpacked(tmp_path, files))) == expected


@pytest.mark.parametrize("around", ["pets/", "a/b/c/", "./", "pets//", "train/", "test/", "./pets/./"])
def test_folders_around_everything_do_not_count(around: str) -> None:
    own = read(zipped({f"{around}{name}": content for name, content in FOUR.items()} | {"README.txt": b"Pets."}))
    assert shades(own) == IN_ORDER
    assert left_out(own) == {"README.txt": "is not in a class folder"}


def test_folders_within_a_class_belong_to_it() -> None:
    files = FOUR | {"dog/small/2.png": plain(50), "dog/small/old/1.png": plain(60)}
    assert shades(read(zipped(files))) == {"cat": [10, 20], "dog": [30, 40, 50, 60]}


def test_a_picture_is_known_by_its_content() -> None:
    files = {name.replace(".png", ".txt"): content for name, content in FOUR.items()}
    assert shades(read(zipped(files))) == IN_ORDER


def test_what_systems_leave_behind_is_not_even_mentioned(tmp_path: Path) -> None:
    leavings = (".DS_Store", "__MACOSX/cat/._1.png", "cat/.hidden.png", "cat/Thumbs.db", "dog/desktop.ini", ".git/x/1")
    files = FOUR | dict.fromkeys(leavings, b"?")
    for source in (zipped(files), unpacked(tmp_path, files)):
        own = read(source)
        assert shades(own) == IN_ORDER
        assert own.skipped_count == 0


@pytest.mark.parametrize(
    ("train", "test"),
    [
        ("training_set", "test_set"),
        ("train", "test"),
        ("Train", "VAL"),
        ("train", "valid"),
        ("train", "validation"),
        ("dataset/training_set/training_set", "dataset/test_set/test_set"),
        ("archive/Training", "archive/Testing"),
    ],
)
def test_folders_for_training_and_testing_part_the_images(train: str, test: str) -> None:
    files = {f"{train}/{name}": content for name, content in FOUR.items()}
    files |= {f"{test}/dog/7.png": plain(70), f"{test}/cat/8.png": plain(80), f"{test}/owl/9.png": plain(90)}
    own = read(zipped(files))
    assert shades(own) == IN_ORDER
    assert own.test is not None
    assert own.test.labels.tolist() == [0, 1]
    assert own.test.images[:, 0, 4, 4].tolist() == [80, 70]
    assert left_out(own) == {f"{test}/owl/9.png": "is not in a class folder"}


def test_validation_images_beside_test_images_are_to_train_on() -> None:
    files = {f"train/{name}": content for name, content in FOUR.items()}
    files |= {"valid/cat/3.png": plain(25), "test/cat/1.png": plain(80), "test/dog/1.png": plain(90)}
    own = read(zipped(files))
    assert shades(own) == {"cat": [10, 20, 25], "dog": [30, 40]}
    assert own.test is not None
    assert own.test.images[:, 0, 4, 4].tolist() == [80, 90]


def test_a_test_folder_without_classes_is_left_out() -> None:
    files = {f"train/{name}": content for name, content in FOUR.items()}
    own = read(zipped(files | {"test/1.png": plain(1), "test/2.png": plain(2), "single_prediction/1.png": plain(3)}))
    assert shades(own) == IN_ORDER
    assert own.test is None
    assert own.skipped_count == 3


def test_a_train_is_a_thing_as_well() -> None:
    files = {name.replace("cat", "bus").replace("dog", "train"): content for name, content in FOUR.items()}
    assert read(zipped(files)).class_names == ("bus", "train")


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({}, "no class folders"),
        ({"1.png": plain(1), "2.png": plain(2)}, "no class folders"),
        ({"train/1.png": plain(1), "test/1.png": plain(2)}, "no class folders"),
        ({"cat/1.png": plain(1), "cat/2.png": plain(2)}, "only one class: cat"),
        ({"train/cat/1.png": plain(1), "test/cat/1.png": plain(2)}, "only one class: cat"),
        (FOUR | {"owl/1.png": plain(1)}, r"owl \(1\)"),
        (FOUR | {"owl/1.png": b"?", "owl/2.png": b"?"}, r"owl \(0\).*owl/1.png is not an image"),
        ({"cat/1.png": plain(1), "cat/2.png": plain(1), "..\\dog\\1.png": plain(1)}, r"outside the ZIP"),
        ({f"{'long' * 30}/1.png": plain(1), f"{'long' * 31}/1.png": plain(1)}, "longlong… is too long"),
        ({f"{number}/1.png": b"" for number in range(1001)}, "1,001 class folders"),
    ],
)
def test_what_makes_no_data_set_is_told_so(files: dict[str, bytes], said: str) -> None:
    with pytest.raises(InvalidDatasetError, match=said) as caught:
        read(zipped(files))
    assert caught.value.expected


def test_table_of_labels_is_named_where_there_are_no_class_folders() -> None:
    with pytest.raises(InvalidDatasetError) as caught:
        read(zipped({"train/1.png": plain(1), "train/2.png": plain(2), "labels.csv": b"id,breed"}))
    assert caught.value.fix == "Sort the images into one folder per class. Labels in labels.csv are not read."


@pytest.mark.parametrize(
    "content",
    [b"", b"PK", b"no zip", zipped(FOUR).getvalue()[:-30], zipped(FOUR).getvalue()[60:]],
    ids=["empty", "signature only", "text", "end cut off", "start cut off"],
)
def test_what_is_no_zip_file_is_told_so(content: bytes, tmp_path: Path) -> None:
    path = unpacked(tmp_path, {"pets.zip": content}) / "pets.zip"
    with pytest.raises(
        InvalidDatasetError,
        match=r"This isn't a readable ZIP file|no class folders|only one class|too few training images",
    ):
        read(BytesIO(content))
    with pytest.raises(InvalidDatasetError):
        read(path)


def test_a_source_that_is_not_there_is_named(tmp_path: Path) -> None:
    for path in (tmp_path / "missing", tmp_path / "missing" / "below", Path("\0")):
        with pytest.raises(InvalidDatasetError, match="is neither a readable ZIP file nor a folder"):
            read(path)


@pytest.mark.parametrize("size", [{"height": 0}, {"width": 0}, {"height": 257}, {"width": -3}])
def test_sizes_that_no_network_takes_are_refused(size: dict[str, int]) -> None:
    with pytest.raises(InvalidDatasetError, match="is not supported"):
        read(zipped(FOUR), **size)


# Files that cannot be used


def huge(side: int) -> bytes:
    """A small file that claims any size: a decompression bomb."""
    small = bytearray(encoded(Image.new("1", (8, 8)), "BMP"))
    small[18:26] = side.to_bytes(4, "little") * 2
    return bytes(small)


UNUSABLE = {
    "text.png": (b"This is no picture.", "is not an image (PNG, JPEG, GIF, BMP, WEBP, TIFF)"),
    "empty.png": (b"", "is empty"),
    "other.ppm": (encoded(Image.new("L", (8, 8)), "PPM"), "is not an image (PNG, JPEG, GIF, BMP, WEBP, TIFF)"),
    "other.pdf": (encoded(Image.new("L", (8, 8)), "PDF"), "is a PDF file: export it as PNG"),
    "photo.heic": (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "is a HEIC photo: export it as JPEG"),
    "cut.jpg": (encoded(NOISE, "JPEG")[:-400], "is damaged or incomplete"),
    "cut.png": (encoded(NOISE)[:2000], "is damaged or incomplete"),
    "nested.zip": (zipped(FOUR).getvalue(), "is a ZIP file: unpack it first"),
    "nested.png": (zipped(FOUR).getvalue(), "is a ZIP file: unpack it first"),
    "high.bmp": (huge(6_400), "has more than 40 million pixels"),
    "higher.bmp": (huge(11_000), "has more than 40 million pixels"),
    "highest.bmp": (huge(30_000), "has more than 40 million pixels"),
    "large.png": (plain(1) + os.urandom(own_files.MAX_FILE_BYTES), "is larger than 20 MB"),
}


def test_files_that_cannot_be_used_are_named_with_the_reason(tmp_path: Path) -> None:
    files = FOUR | {f"cat/{name}": content for name, (content, _) in UNUSABLE.items()}
    for source in (zipped(files, zipfile.ZIP_STORED), unpacked(tmp_path, files)):
        own = read(source)
        assert left_out(own) == {f"cat/{name}": reason for name, (_, reason) in UNUSABLE.items()}
        assert shades(own) == IN_ORDER


def test_the_list_of_files_left_out_is_bounded_and_their_number_is_not() -> None:
    own = read(zipped(FOUR | {f"cat/{number}.txt": b"?" for number in range(250)}))
    assert own.skipped_count == 250
    assert [one.name for one in own.skipped] == [f"cat/{number}.txt" for number in range(own_images.MAX_REPORTED_SKIPS)]


# ZIP files that mean harm


def entry(name: str, **fields: Any) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name)
    for field, value in fields.items():
        setattr(info, field, value)
    return info


def with_entry(info: zipfile.ZipInfo, content: bytes = plain(99)) -> BytesIO:
    buffer = zipped(FOUR)
    with zipfile.ZipFile(buffer, "a") as archive:
        archive.writestr(info, content)
    return buffer


def patched(source: BytesIO, name: str, offset: int, form: str, value: int) -> BytesIO:
    """The table of contents of a ZIP changed for one file."""
    content = bytearray(source.getvalue())
    place = content.rindex(b"PK\x01\x02", 0, content.rindex(name.encode()))
    struct.pack_into(form, content, place + offset, value)
    return BytesIO(bytes(content))


FLAGS, PACKING, PACKED_SIZE, SIZE = 8, 10, 20, 24


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("../evil.png", "a path outside the ZIP"),
        ("cat/../../evil.png", "a path outside the ZIP"),
        ("cat/..", "a path outside the ZIP"),
        ("/etc/evil.png", "a path outside the ZIP"),
        ("//server/evil.png", "a path outside the ZIP"),
        ("C:/evil.png", "a path outside the ZIP"),
        ("c:evil.png", "a path outside the ZIP"),
        ("..\\evil.png", "a path outside the ZIP"),
        ("cat\\..\\..\\evil.png", "a path outside the ZIP"),
        ("\\\\server\\evil.png", "a path outside the ZIP"),
        ("C:\\evil.png", "a path outside the ZIP"),
        ("cat/evil.png\nERROR", "unprintable characters in its name"),
        ("cat/\x1b[31mevil.png", "unprintable characters in its name"),
        ("cat/gnp.\u202eevil.png", "unprintable characters in its name"),
        ("/".join("a" * 30) + "/evil.png", "more than 20 folders deep"),
    ],
)
def test_names_that_mean_harm_are_left_out_and_written_nowhere(
    name: str, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inner = tmp_path / "a" / "b"
    inner.mkdir(parents=True)
    monkeypatch.chdir(inner)
    own = read(with_entry(entry(name)))
    assert own.skipped_count == 1
    (left,) = own.skipped
    assert reason in left.reason
    assert left.name.isprintable()
    assert shades(own) == IN_ORDER
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["a", "b"]
    assert not Path("/etc/evil.png").exists()


def test_a_null_byte_does_not_hide_the_rest_of_a_name() -> None:
    content = with_entry(entry("cat/evil.png_x")).getvalue().replace(b"evil.png_x", b"evil.png\x00x")
    assert "unprintable" in left_out(read(BytesIO(content)))["cat/evil.png\N{REPLACEMENT CHARACTER}x"]


def test_an_entry_without_a_name_is_nothing() -> None:
    content = with_entry(entry("zz")).getvalue().replace(b"zz", b"./")
    assert shades(read(BytesIO(content))) == IN_ORDER
    assert shades(read(with_entry(entry("")))) == IN_ORDER


def test_links_in_a_zip_are_left_out() -> None:
    info = entry("cat/link.png", create_system=3, external_attr=(stat.S_IFLNK | 0o777) << 16)
    assert left_out(read(with_entry(info, b"/etc/passwd"))) == {"cat/link.png": "is a symbolic link"}


def test_locked_files_and_strange_packings_are_left_out() -> None:
    assert left_out(read(patched(zipped(FOUR | {"dog/3.png": plain(1)}), "dog/3.png", FLAGS, "<H", 1))) == {
        "dog/3.png": "is encrypted with a password"
    }
    for packing in (zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA):
        own = read(with_entry(entry("dog/3.png", compress_type=packing)))
        assert left_out(own) == {"dog/3.png": f"is compressed by method {packing}, which is not supported"}
    own = read(patched(zipped(FOUR | {"dog/3.png": plain(1)}), "dog/3.png", PACKING, "<H", 77))
    assert "method 77" in left_out(own)["dog/3.png"]


def test_bombs_are_not_unpacked(monkeypatch: pytest.MonkeyPatch) -> None:
    read_entry = Mock(wraps=own_files._read_entry)
    monkeypatch.setattr(own_files, "_read_entry", read_entry)
    files = FOUR | {
        "cat/zeros.bmp": bytes(own_files.MAX_FILE_BYTES),
        "dog/zeros.bmp": bytes(3 * own_files.MAX_FILE_BYTES),
    }
    own = read(zipped(files))
    assert set(left_out(own)) == {"cat/zeros.bmp", "dog/zeros.bmp"}
    assert all("ZIP bomb" in one.reason for one in own.skipped)
    assert read_entry.call_count == 4


@pytest.mark.parametrize("declared", [0, 1, 50, 5_000_000, 2**32 - 2])
def test_a_declared_size_that_lies_is_found_out(declared: int) -> None:
    rich = encoded(NOISE)
    source = patched(zipped(FOUR | {"dog/3.png": rich}), "dog/3.png", SIZE, "<I", declared)
    own = read(source)
    assert set(left_out(own)) == {"dog/3.png"}
    assert shades(own) == IN_ORDER


def test_no_more_is_unpacked_than_was_declared(monkeypatch: pytest.MonkeyPatch) -> None:
    """An entry of 20 million bytes that declares 1,000 is rejected before it is unpacked completely."""
    asked = []
    inner = zipfile.ZipExtFile.read

    def watched(self: zipfile.ZipExtFile, size: int = -1) -> bytes:
        asked.append(size)
        return inner(self, size)

    monkeypatch.setattr(zipfile.ZipExtFile, "read", watched)
    source = patched(zipped(FOUR | {"dog/3.png": bytes(own_files.MAX_FILE_BYTES)}), "dog/3.png", SIZE, "<I", 1000)
    assert left_out(read(source)) == {"dog/3.png": "is damaged in the ZIP"}
    assert len(asked) == 5
    assert all(0 <= size <= 1000 for size in asked)


def test_a_file_that_is_damaged_in_the_zip_is_named() -> None:
    content = bytearray(zipped(FOUR | {"dog/3.png": plain(7)}, zipfile.ZIP_STORED).getvalue())
    content[content.index(b"IDAT", content.index(b"dog/3.png")) + 6] ^= 1
    assert left_out(read(BytesIO(bytes(content)))) == {"dog/3.png": "is damaged in the ZIP"}


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_of_two_files_of_one_name_the_later_counts() -> None:
    own = read(with_entry(entry("cat/1.png"), plain(99)))
    assert shades(own) == {"cat": [99, 20], "dog": [30, 40]}
    assert "twice" in left_out(own)["cat/1.png"]


@pytest.mark.parametrize(
    ("constant", "module", "said"),
    [
        ("MAX_ENTRIES", own_files, "too many files"),
        ("MAX_IMAGES", layout_checks, "4 images"),
        ("MAX_SOURCE_BYTES", layout_checks, "The files take"),
        ("MAX_IMAGES_BYTES", layout_checks, "The images would take"),
    ],
)
def test_too_much_is_said_before_anything_is_read(
    constant: str, module: Any, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, constant, 3)
    monkeypatch.setattr(own_images, "_decode_split", lambda *_: pytest.fail("was read"))
    for source in (zipped(FOUR), unpacked(tmp_path, FOUR)):
        with pytest.raises(InvalidDatasetError, match=said) as caught:
            read(source)
        assert caught.value.fix


def test_a_table_of_contents_of_millions_is_not_even_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(own_files, "MAX_FILE_BYTES", 100_000)
    with pytest.raises(InvalidDatasetError, match="too many files"):
        read(zipped({f"{'a' * 200}/{number}": b"" for number in range(500)}))


# Names of all countries


def test_names_of_all_countries_are_kept(tmp_path: Path) -> None:
    names = ("Äpfel", "Кошки", "猫", "🐈")
    files = {f"{name}/{number} é.png": plain(number) for name in names for number in (1, 2)}
    for source in (zipped(files), unpacked(tmp_path, files)):
        assert set(read(source).class_names) == set(names)


def test_names_as_macs_write_them_are_the_same_names() -> None:
    """UTF-8 that does not say so, letters and accents apart."""
    spelt = unicodedata.normalize("NFD", "Äpfel")
    files = {f"{'x' * len(spelt.encode())}/{number}.png": plain(number) for number in (1, 2)}
    source = zipped(files | {"dog/1.png": plain(3), "dog/2.png": plain(4)})
    content = source.getvalue().replace(b"x" * len(spelt.encode()), spelt.encode())
    assert read(BytesIO(content)).class_names == ("dog", "Äpfel")


def test_names_of_old_windows_are_read_as_it_wrote_them() -> None:
    content = zipped({name.replace("cat", "xpfel"): one for name, one in FOUR.items()}).getvalue()
    assert read(BytesIO(content.replace(b"xpfel", "Äpfel".encode("cp437")))).class_names == ("dog", "Äpfel")


# Folders


def test_links_out_of_the_folder_are_left_out_and_those_within_are_read(tmp_path: Path) -> None:
    folder = unpacked(tmp_path / "pets", FOUR)
    outside = unpacked(tmp_path / "outside", {"cat/secret.png": plain(99)})
    (folder / "cat" / "out.png").symlink_to(outside / "cat" / "secret.png")
    (folder / "cat" / "in.png").symlink_to(folder / "dog" / "1.png")
    (folder / "cat" / "broken.png").symlink_to(folder / "nothing")
    (folder / "cat" / "circle.png").symlink_to(folder / "cat" / "circle.png")
    (folder / "owl").symlink_to(outside / "cat")
    (folder / "dog" / "again").symlink_to(folder)
    own = read(folder)
    assert shades(own) == {"cat": [10, 20, 30], "dog": [30, 40]}
    reasons = left_out(own)
    assert reasons.keys() == {"cat/out.png", "cat/broken.png", "cat/circle.png", "owl", "dog/again"}
    assert reasons["cat/out.png"] == reasons["owl"] == "is a symbolic link to a file outside the folder"
    assert reasons["cat/broken.png"].startswith("cannot be read")
    assert reasons["cat/circle.png"].startswith("cannot be read")


def test_a_link_to_the_folder_itself_is_followed(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(unpacked(tmp_path / "pets", FOUR))
    assert shades(read(tmp_path / "link")) == IN_ORDER


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no pipes in folders here")
def test_a_pipe_in_the_folder_keeps_nobody_waiting(tmp_path: Path) -> None:
    os.mkfifo(unpacked(tmp_path, FOUR) / "cat" / "pipe.png")
    assert left_out(read(tmp_path)) == {"cat/pipe.png": "is not a regular file"}


def test_files_that_may_not_be_read_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = unpacked(tmp_path, FOUR | {"dog/3.png": plain(1)})
    inner = Path.open

    def refusing(self: Path, *arguments: Any, **options: Any) -> Any:
        if self.name == "3.png":
            raise PermissionError(13, "Permission denied")
        return inner(self, *arguments, **options)

    monkeypatch.setattr(Path, "open", refusing)
    assert left_out(read(folder)) == {"dog/3.png": "cannot be read: Permission denied"}


@pytest.mark.skipif(os.name == "nt", reason="names are always text there")
def test_names_that_are_no_text_are_left_out(tmp_path: Path) -> None:
    unpacked(tmp_path, FOUR)
    try:
        Path(os.fsdecode(os.fsencode(tmp_path / "cat") + b"/\xff.png")).write_bytes(plain(1))
    except OSError:
        pytest.skip("this disk takes no such names")
    own = read(tmp_path)
    assert own.skipped_count == 1
    assert own.skipped[0].name == "cat/\N{REPLACEMENT CHARACTER}.png"


# Progress


def test_progress_is_told_about_a_hundred_times_in_the_callers_thread() -> None:
    told: list[Progress] = []
    threads = set()

    def add_progress(progress: Progress) -> None:
        told.append(progress)
        threads.add(threading.current_thread())

    read(zipped({f"{name}/{number}.png": plain(1) for name in "ab" for number in range(200)}), on_progress=add_progress)
    assert told == [Progress("Reading images", 4 * number, 400) for number in range(1, 101)]
    assert threads == {threading.current_thread()}
    told.clear()
    read(zipped(FOUR), on_progress=add_progress)
    assert told == [Progress("Reading images", number, 4) for number in range(1, 5)]


def test_who_is_told_of_the_progress_can_end_the_work(monkeypatch: pytest.MonkeyPatch) -> None:
    decode = Mock(wraps=decode_image)
    monkeypatch.setattr(own_images, "decode_image", decode)

    def stop(_: Progress) -> None:
        raise KeyboardInterrupt

    before = threading.active_count()
    with pytest.raises(KeyboardInterrupt):
        read(zipped({f"{name}/{number}.png": plain(1) for name in "ab" for number in range(1000)}), on_progress=stop)
    assert decode.call_count < 2000
    assert threading.active_count() == before


# Bits of gray values


@pytest.mark.parametrize(("largest", "bits"), [(4095, 12), (1000, 10), (200, 8), (65_535, 16), (40_000, 16)])
def test_bits_that_16_bit_images_use_are_those_of_the_whole_set(largest: int, bits: int) -> None:
    values = np.tile(np.linspace(0, largest, 8).astype(np.uint16), (8, 1))
    files = {f"{name}/{number}.png": encoded(values // (number + 1)) for name in ("ant", "bear") for number in (0, 1)}
    own = read(zipped(files | {"ant/3.png": plain(99)}))
    assert own.gray_bits == bits
    shift = bits - 8
    assert own.train.images[0, 0, 0].tolist() == (values[0] >> shift).tolist()
    assert own.train.images[1, 0, 0].tolist() == (values[0] // 2 >> shift).tolist()
    assert own.train.images[2].unique().tolist() == [99]
    assert any("16-bit images use" in remark for remark in own.remarks) == (bits < 16)


# ZIP files of Windows


def test_zip_of_powershell_has_backslashes_between_folders() -> None:
    files = {f"pets\\{name}".replace("/", "\\"): content for name, content in FOUR.items()}
    own = read(zipped({"pets\\cat\\": b"", "pets\\dog\\": b""} | files | {"..\\evil.png": plain(1)}))
    assert shades(own) == IN_ORDER
    assert left_out(own) == {"../evil.png": "has a path outside the ZIP"}


@pytest.mark.parametrize("char", ["\n", "\x1b", "\u202e", "\xa0", "\u2028"])
def test_names_of_skipped_files_are_printable(char: str) -> None:
    """Damaged archives can have any character in a name, such as a no-break space beside a control character."""
    assert SkippedFile.from_name(f"cat{char}.png", "is damaged").name == "cat\N{REPLACEMENT CHARACTER}.png"
