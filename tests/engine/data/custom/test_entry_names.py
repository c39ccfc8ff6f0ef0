"""Names in ZIP files: the code page is detected from all of them, and names that state their encoding are exact."""

import struct
import zipfile
import zlib
from io import BytesIO
from typing import Any

import pytest

from playground.engine.data.custom.archive import open_file_listing
from playground.engine.data.custom.entry_names import (
    FALLBACK_ENCODING,
    NAME_ENCODINGS,
    UTF8,
    decode_name,
    detect_name_encoding,
)
from playground.engine.data.custom.image_folder import read_image_folder
from playground.engine.data.custom.preview import preview_image_folder
from tests.engine.data.custom.picture_files import plain, zipped

_NAMES = [
    ("cp932", "猫 犬"),
    ("cp932", "赤 青"),
    ("cp932", "プ ア"),
    ("cp932", "ソ 表 能"),  # their second byte is a backslash
    ("cp932", "りんご みかん バナナ"),
    ("cp932", "cat_猫 dog_犬"),
    ("cp932", "東京 大阪 名古屋"),
    ("gbk", "猫 狗"),
    ("gbk", "苹果 香蕉 橙子"),
    ("gbk", "汽车 飞机 轮船 火车"),
    ("gbk", "训练集/猫/图片1 测试集/狗/图片2"),
    ("gbk", "新建文件夹"),
    ("cp437", "Äpfel Bären"),
    ("cp437", "Füße Öl"),
    ("cp437", "éléphant âne"),
    ("cp437", "piñata niño"),
    ("cp437", "pingüino abeja"),
    ("cp850", "Águila Ratón"),
    ("cp850", "maçã pão limão"),
    ("cp1252", "Äpfel Bären"),
    ("cp949", "고양이 강아지"),
    ("cp949", "사과 바나나 오렌지"),
    ("big5", "貓 狗"),
    ("big5", "蘋果 香蕉"),
    ("cp866", "кошка собака"),
    ("cp866", "Новая_папка"),
    ("cp1251", "кошка собака"),
    (UTF8, "Äpfel 고양이"),
    (UTF8, "猫"),
]


@pytest.mark.parametrize(("encoding", "names"), _NAMES)
def test_code_page_is_detected_from_short_names(encoding: str, names: str) -> None:
    wanted = [f"{name}/{number}.png" for name in names.split() for number in range(3)]
    detected = detect_name_encoding([name.encode(encoding) for name in wanted])
    assert detected is not None
    assert [decode_name(name.encode(encoding), detected) for name in wanted] == wanted


def test_names_that_state_their_encoding_need_no_detection() -> None:
    assert detect_name_encoding(["猫/1.png", "cat/1.png"]) is None


def test_bytes_that_are_no_words_in_any_encoding_fall_back_to_that_of_the_zip_specification() -> None:
    assert detect_name_encoding([b"\xff\x00\xff/1.png"]) == FALLBACK_ENCODING
    assert all(decode_name(b"\xff\x81", encoding) for encoding in NAME_ENCODINGS)


def _zip_with_names(names: list[str], encoding: str) -> BytesIO:
    """A ZIP file whose names are bytes of a code page, as Windows writes them."""
    placeholders = {f"{number:0{len(name.encode(encoding))}d}": name for number, name in enumerate(names)}
    content = zipped({f"{place}/{shade}.png": plain(shade) for place in placeholders for shade in (1, 2)}).getvalue()
    for place, name in placeholders.items():
        content = content.replace(f"{place}/".encode(), f"{name}/".encode(encoding))
    return BytesIO(content)


@pytest.mark.parametrize(("encoding", "names"), [("cp932", ["ソ表", "犬"]), ("gbk", ["猫咪", "狗狗"])])
def test_class_names_of_windows_in_asia_are_read(encoding: str, names: list[str]) -> None:
    images = read_image_folder(_zip_with_names(names, encoding), height=8, width=8, channels=1)
    assert sorted(images.class_names) == sorted(names)


def test_preview_shows_the_detected_encoding_and_takes_another_one() -> None:
    source = _zip_with_names(["猫咪", "狗狗"], "gbk")
    options: dict[str, Any] = {"height": 8, "width": 8, "channels": 1}
    assert preview_image_folder(source, **options).name_encoding == "gbk"
    chosen = preview_image_folder(source, **options, name_encoding="cp1251")
    assert chosen.name_encoding == "cp1251"
    assert set(chosen.class_names) == {name.encode("gbk").decode("cp1251") for name in ("猫咪", "狗狗")}


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_utf8_copy_of_a_name_is_used_where_it_belongs_to_the_name() -> None:
    raw, buffer = "bär".encode("cp437"), BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for number, checksum in enumerate((zlib.crc32(raw), 0)):
            field = b"\x01" + struct.pack("<L", checksum) + f"猫/{number}.png".encode()
            info = zipfile.ZipInfo("xyz")
            info.extra = struct.pack("<HH", 0x7075, len(field)) + field
            archive.writestr(info, plain(1))
    with open_file_listing(BytesIO(buffer.getvalue().replace(b"xyz", raw))) as listing:
        assert [file.name for file in listing.files] == ["猫/0.png", "bär"]
