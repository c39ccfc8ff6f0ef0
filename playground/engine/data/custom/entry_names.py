"""Decoding of the names in a ZIP file, which does not say in which code page old programs wrote them.

Entries are UTF-8 by their flag, have a UTF-8 copy of their name, or are in the code page of the Windows that wrote
them. The code page is detected from all names of the file together: the letters that it gives must be common ones, next
to letters that they occur with. Names are too few bytes for general detectors such as charset-normalizer.
"""

import struct
import unicodedata
import zipfile
import zlib
from collections.abc import Callable, Iterable, Sequence

UTF8 = "utf-8"
FALLBACK_ENCODING = "cp437"  # the ZIP specification's
_UTF8_NAME_FLAG = 1 << 11
_UNICODE_PATH_FIELD = 0x7075  # Info-ZIP's UTF-8 copy of the name
_MIN_PLAUSIBILITY = 0.5
_MAX_SAMPLED_NAMES = 1000  # more do not change the answer, and 100,000 take half a minute

_Rule = Callable[[bytes, str, str, str], bool]
"""Plausibility of a letter is plausible: its code, the character before it, the letter, the character after it."""

NAME_ENCODINGS = {
    UTF8: "Unicode (UTF-8)",
    "cp437": "Western (DOS, CP437)",
    "cp850": "Western European (DOS, CP850)",
    "cp1252": "Western (Windows-1252)",
    "cp932": "Japanese (Shift JIS, CP932)",
    "gbk": "Chinese, simplified (GBK)",
    "cp949": "Korean (CP949)",
    "big5": "Chinese, traditional (Big5)",
    "cp866": "Cyrillic (DOS, CP866)",
    "cp1251": "Cyrillic (Windows-1251)",
}
"""Encodings that can be chosen, with their titles."""


def get_raw_name(entry: zipfile.ZipInfo) -> str | bytes:
    """Return an entry's name as text where its encoding is known, else as bytes."""
    name = entry.orig_filename
    if entry.flag_bits & _UTF8_NAME_FLAG:
        return name
    raw = name.encode("cp437")  # zipfile has decoded it so, which loses nothing
    return name if raw.isascii() else _find_unicode_path(entry.extra, raw) or raw


def decode_name(raw: str | bytes, encoding: str) -> str:
    """Decode a name; bytes that do not fit the encoding become replacement characters."""
    return raw if isinstance(raw, str) else raw.decode(encoding, "replace")


def detect_name_encoding(names: Iterable[str | bytes]) -> str | None:
    """Return the most plausible encoding of the names that are bytes; None if none are."""
    unknown = sorted({raw for raw in names if isinstance(raw, bytes)})
    if not unknown:
        return None
    if all(map(_is_utf8, unknown)):
        return UTF8
    sampled = unknown[:: len(unknown) // _MAX_SAMPLED_NAMES + 1]
    scores = {encoding: _measure_plausibility(sampled, encoding) for encoding in _RULES}
    best = max(scores, key=lambda encoding: scores[encoding])
    return best if scores[best] >= _MIN_PLAUSIBILITY else FALLBACK_ENCODING


def _find_unicode_path(extra: bytes, raw: bytes) -> str | None:
    """Read the UTF-8 copy of a name from an entry's extra fields; None if there is none for this name."""
    while len(extra) >= 4:
        kind, size = struct.unpack_from("<HH", extra)
        field, extra = extra[4 : 4 + size], extra[4 + size :]
        if kind == _UNICODE_PATH_FIELD and len(field) > 5 and struct.unpack_from("<L", field, 1)[0] == zlib.crc32(raw):
            try:
                return field[5:].decode(UTF8)
            except UnicodeDecodeError:
                return None
    return None


def _is_utf8(raw: bytes) -> bool:
    try:
        raw.decode(UTF8)
    except UnicodeDecodeError:
        return False
    return True


def _measure_plausibility(names: Sequence[bytes], encoding: str) -> float:
    """Return the share of the names' non-ASCII bytes that are plausible letters in an encoding; 0 if one is invalid."""
    plausible = total = 0
    letters = set()
    for raw in names:
        try:
            padded = f"/{raw.decode(encoding)}/"
        except UnicodeDecodeError:
            return 0.0
        for before, letter, after in zip(padded, padded[1:], padded[2:], strict=False):
            if not letter.isascii():
                code = letter.encode(encoding)
                total += len(code)
                plausible += len(code) * _RULES[encoding](code, before, letter, after)
                letters.add(letter)
    if encoding == "cp949" and sum(map(_is_open_syllable, letters)) < _MIN_OPEN_SYLLABLES * len(letters):
        return 0.0
    return plausible / total


def _is_open_syllable(letter: str) -> bool:
    return "가" <= letter <= "힣" and (ord(letter) - ord("가")) % 28 == 0  # no final consonant


def _is_accented_letter(_code: bytes, before: str, letter: str, after: str) -> bool:
    """Return True for a Latin letter in a word of ASCII letters."""
    in_word = any(other.isascii() and other.isalpha() for other in (before, after))
    return in_word and unicodedata.name(letter, "").startswith("LATIN") and _has_case_of_word(before, letter, after)


def _is_cyrillic_letter(_code: bytes, before: str, letter: str, after: str) -> bool:
    """Return True for a Cyrillic letter beside another one."""
    names = [unicodedata.name(other, "") for other in (before, letter, after)]
    is_cyrillic = [name.startswith("CYRILLIC") for name in names]
    return is_cyrillic[1] and any(is_cyrillic[::2]) and _has_case_of_word(before, letter, after)


def _has_case_of_word(before: str, letter: str, after: str) -> bool:
    return not (letter.isupper() and before.islower()) and not (letter.islower() and after.isupper())


def _make_double_byte_rule(*lead_ranges: tuple[int, int], min_trail: int = 0) -> _Rule:
    """Make the rule for characters of two bytes, of which those with these lead bytes are common."""

    def is_common(code: bytes, before: str, _letter: str, after: str) -> bool:
        in_word = any(other.isascii() and other.isalpha() for other in (before, after))
        return (
            len(code) == 2
            and not in_word
            and code[1] >= min_trail
            and any(first <= code[0] <= last for first, last in lead_ranges)
        )

    return is_common


_RULES: dict[str, _Rule] = {
    "cp437": _is_accented_letter,
    "cp850": _is_accented_letter,
    "cp1252": _is_accented_letter,
    "cp932": _make_double_byte_rule((0x81, 0x83), (0x88, 0x97)),  # punctuation, kana, kanji of level 1
    "cp949": _make_double_byte_rule((0xB0, 0xC8), min_trail=0xA1),  # Hangul of KS X 1001
    "gbk": _make_double_byte_rule((0xA1, 0xA3), (0xB0, 0xD7), min_trail=0xA1),  # GB 2312, level 1
    "big5": _make_double_byte_rule((0xA1, 0xC6)),  # level 1
    "cp866": _is_cyrillic_letter,
    "cp1251": _is_cyrillic_letter,
}
# Of equally plausible encodings the first is taken. The bytes of common Hangul are those of common Chinese characters
# too, but of arbitrary Hangul few end in a vowel; of those in Korean words about half do.
_MIN_OPEN_SYLLABLES = 0.4
