"""How a text file's bytes become characters: said by the user, certain by itself, or found by chardet and then doubted.

UTF-8 is certain, since no other text happens to be valid UTF-8. Single-byte encodings look alike, so among those that
museums' systems write (Windows, Mac, DOS, ISO 8859, and those of East Asia) chardet's language models choose, from
lines of the whole file that are not ASCII. A choice that another one comes near is said as a doubt.
"""

import codecs
import re
import unicodedata
from contextlib import suppress
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from artray.errors import InputError, did_you_mean

REPLACEMENT = "\N{REPLACEMENT CHARACTER}"

# Python's name, and what people call it. Where two read a file alike, the first is named.
_NAMES = {
    "cp1252": "Windows-1252",
    "mac_roman": "Mac Roman",
    "cp850": "DOS 850",
    "cp437": "DOS 437",
    "iso8859-15": "ISO 8859-15",
    "iso8859-1": "Latin-1",
    "cp1250": "Windows-1250",
    "iso8859-2": "ISO 8859-2",
    "cp852": "DOS 852",
    "mac_latin2": "Mac Central European",
    "cp1251": "Windows-1251",
    "koi8-r": "KOI8-R",
    "koi8-u": "KOI8-U",
    "cp866": "DOS 866",
    "iso8859-5": "ISO 8859-5",
    "mac_cyrillic": "Mac Cyrillic",
    "cp1253": "Windows-1253",
    "iso8859-7": "ISO 8859-7",
    "mac_greek": "Mac Greek",
    "cp1254": "Windows-1254",
    "iso8859-9": "ISO 8859-9",
    "cp1255": "Windows-1255",
    "cp1256": "Windows-1256",
    "cp1257": "Windows-1257",
    "cp874": "Windows-874",
    "gb18030": "GB18030",
    "big5hkscs": "Big5",
    "cp932": "Shift JIS",
    "euc_jis_2004": "EUC-JP",
    "cp949": "EUC-KR",
}
# The superset that reads an encoding's files, and those that are said to be in it.
_SUPERSETS = {
    "shift_jis": "cp932",
    "shift_jis_2004": "cp932",
    "euc_jp": "euc_jis_2004",
    "euc_kr": "cp949",
    "big5": "big5hkscs",
    "gbk": "gb18030",
    "gb2312": "gb18030",
}
_LOOKED_FOR = [*(name for name in _NAMES if name not in ("euc_jis_2004", "big5hkscs")), "euc-jp", "big5", "shift_jis"]

_HEAD = 65_536
_LINES = 300  # looked at
_LINE_BYTES = 2_000  # of each
_SAMPLE = 40_000  # bytes in all
_CANDIDATES = 6
_NEAR = 0.85  # of the best one's confidence: nearer than that, another encoding is a doubt
_NEAR_IN_ASIA = 0.6  # of encodings that share their bytes, where a few names say little
_WEAK = 0.15
_ODD_COSTS = 6
_FEW = 4  # different words that are not ASCII: fewer decide nothing


@dataclass(frozen=True, slots=True)
class Decoded:
    """A file's text.

    Attributes:
        text: Without byte order marks; what has no meaning is U+FFFD.
        encoding: What people call it, for example "UTF-8 with BOM" or "Mac Roman".
        sure: Whether that is certain, or at least what no other comes near.
    """

    text: str
    encoding: str
    sure: bool = True


def decode_text(data: bytes, encoding: str | None = None) -> Decoded:
    """Text of a file in any of the encodings that museums' systems write.

    Mostly valid UTF-8 stays UTF-8: a few damaged bytes become U+FFFD, because reading the whole file as Windows-1252
    would spoil every accent in it.

    Args:
        data: The whole file.
        encoding: A name that Python knows, where the user has said it.

    Raises:
        InputError: There is no such encoding.
    """
    if encoding is not None:
        return Decoded(_without_marks(data.decode(codec(encoding), "replace")), encoding)
    for mark, name in _MARKS.items():
        if data.startswith(mark):
            shown = "UTF-8 with BOM" if name == "utf-8" else name.upper()
            return Decoded(_without_marks(data[len(mark) if name == "utf-8" else 0 :].decode(name, "replace")), shown)
    wide = _utf16_without_mark(data)
    if wide is not None:
        return Decoded(data.decode(wide, "replace"), f"{wide.upper()} without BOM")
    if b"\x1b$" in data and data.isascii():  # valid UTF-8 too, but of no sense
        for name in ("iso2022_jp_2", "iso2022_kr"):
            with suppress(UnicodeDecodeError):
                return Decoded(data.decode(name), "ISO-2022-" + name[8:10].upper())
    try:
        return Decoded(data.decode("utf-8"), "UTF-8")
    except UnicodeDecodeError:
        pass
    text = data.decode("utf-8", "replace")
    replaced = text.count(REPLACEMENT)
    ascii_bytes = int(np.count_nonzero(np.frombuffer(data, np.uint8) < 0x80))
    if len(text) - ascii_bytes - replaced > replaced:
        return Decoded(text, "UTF-8 with damaged bytes")
    codec_name, sure = _find(data)
    return Decoded(data.decode(codec_name, "replace"), _NAMES.get(codec_name, codec_name), sure)


_MARKS = {  # UTF-32's begins with UTF-16's
    codecs.BOM_UTF8: "utf-8",
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}


def codec(name: str) -> str:
    """The Python codec that a user names: `mac_roman`, `Mac Roman` and `macroman` alike.

    Raises:
        InputError: There is no such encoding of text.
    """
    shown = {people.casefold(): python for python, people in _NAMES.items()}
    wanted = shown.get(name.strip().casefold(), name.strip().replace(" ", "_"))
    try:
        b"a\xe9b".decode(wanted, "replace")  # refuses what makes no text of any bytes, as base64
        return codecs.lookup(wanted).name
    except (LookupError, ValueError):
        known = ["utf-8", "utf-16", *_NAMES]
        near = did_you_mean(name, known) or f"; there is {', '.join(known[:6])}, …"
        raise InputError(f"--encoding {name}: there is no such encoding{near}") from None


def _without_marks(text: str) -> str:
    """Programs that put a mark before a file that has one leave the second as a letter."""
    return text.lstrip("\ufeff")


def _utf16_without_mark(data: bytes) -> str | None:
    """UTF-16 by its zero bytes, of which text in it has many, all on one side; those of ASCII characters."""
    if len(data) % 2 or len(data) < 4:
        return None
    head = np.frombuffer(data[:65_536], np.uint8)
    zeros = [float(np.mean(head[parity::2] == 0)) for parity in (0, 1)]
    if max(zeros) < 0.05 or min(zeros) > max(zeros) / 4:
        return None
    guess = "utf-16-be" if zeros[0] > zeros[1] else "utf-16-le"
    # In Chinese few characters are ASCII: then the ends of lines must be, and all others must have a meaning.
    return guess if max(zeros) > 0.4 or _is_text(data[:65_536], guess) else None


def _is_text(data: bytes, encoding: str) -> bool:
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError:
        return False
    ends = text.count("\n") + text.count("\r")
    return ends * 2 >= data.count(b"\n") + data.count(b"\r") and all(
        unicodedata.category(character) not in ("Cc", "Cn", "Co") or character in "\t\r\n\v\x1d" for character in text
    )


# -- encodings without a mark ------------------------------------------------------------------------------------------


def _find(data: bytes) -> tuple[str, bool]:
    """The codec of text that is not UTF-8, and whether that is sure."""
    import chardet  # a tenth of a second that UTF-8 need not wait

    sample = _sample(data)
    ranked: dict[str, float] = {}
    for guess in chardet.detect_all(
        sample, ignore_threshold=True, include_encodings=_LOOKED_FOR, no_match_encoding="cp1252"
    ):
        name = codecs.lookup(guess["encoding"] or "cp1252").name.replace("mac-", "mac_")
        name = _SUPERSETS.get(name, name)
        ranked.setdefault(name, guess["confidence"])
    texts: dict[str, tuple[str, float, float]] = {}  # by what is read: the codec, its confidence, its odd characters
    for name, confidence in list(ranked.items())[:_CANDIDATES]:
        text = sample.decode(name, "replace")
        if text not in texts or list(_NAMES).index(name) < list(_NAMES).index(texts[text][0]):
            texts[text] = name, max(confidence, texts.get(text, ("", 0.0, 0.0))[1]), _oddity(text)
    # A few odd characters are no argument; many are one that chardet's models don't know.
    words = {word for word in re.findall(rb"[^\s;,\t|\"]+", sample) if not word.isascii()}
    few = len(words) < _FEW
    mac = b"\r" in data[:_HEAD] and b"\n" not in data[:_HEAD]  # as only old Macs and FileMaker end lines
    order = sorted(((_weighed(*item, few=few, mac=mac), item[0]) for item in texts.values()), reverse=True)
    (best, name), *others = order
    asian = name in _SUPERSETS.values() and best < _WEAK and others and others[0][1] in _SUPERSETS.values()
    near = bool(others) and others[0][0] > (_NEAR_IN_ASIA if asian else _NEAR) * best
    sure = not near and (not few or best > 0.3)
    return _turkish_or_icelandic(name, sample, sure) if name in _WESTERN else (name, sure)


# These two differ in six letters only, and a few Turkish names among many Western ones decide nothing for chardet.
_WESTERN = ("cp1252", "iso8859-1", "iso8859-15")
_SIX = re.compile(r"\w*[ðýþÐÝÞ]\w*")
_ICELANDIC = frozenset("áéíóúæÁÉÍÓÚÆ")  # not in Turkish, and the others not in Icelandic or Faroese
_TURKISH = frozenset("çüâîûÇÜÂÎÛ")


def _turkish_or_icelandic(name: str, sample: bytes, sure: bool) -> tuple[str, bool]:
    """The Western encoding, or Windows-1254 where the letters in which they differ stand in Turkish words alone."""
    words = _SIX.findall(sample.decode("cp1252", "replace"))
    icelandic, turkish = (sum(not letters.isdisjoint(word) for word in words) for letters in (_ICELANDIC, _TURKISH))
    return ("cp1254" if turkish and not icelandic else name), sure and (not words or (icelandic > 0 and not turkish))


def _weighed(name: str, confidence: float, oddity: float, *, few: bool, mac: bool) -> float:
    """A confidence, less where the text looks odd, and more for what catalogues are in more often than others."""
    usual = {"cp1252": 1.6 if few else 1.25, "mac_roman": 1.1, "cp1257": 0.8}.get(name, 1.0)
    usual *= 3 if mac and name.startswith("mac_") else 1
    return (confidence + 0.001) * usual * max(0.0, 1 - _ODD_COSTS * oddity)


def _sample(data: bytes) -> bytes:
    """Lines that are not ASCII, from the whole of a file, each different one once."""
    array: npt.NDArray[np.uint8] = np.frombuffer(data, np.uint8)
    positions = np.flatnonzero(array >= 0x80)
    lines: dict[bytes, None] = {}
    size = 0
    chosen = (
        positions
        if len(positions) <= 50 * _LINES
        else positions[np.linspace(0, len(positions) - 1, 4 * _LINES).astype(np.int64)]
    )
    end = -1
    for position in chosen.tolist():
        if position < end:
            continue
        window = data[max(0, position - _LINE_BYTES) : position + _LINE_BYTES]
        at = min(position, _LINE_BYTES)
        start = max(window.rfind(b"\n", 0, at), window.rfind(b"\r", 0, at)) + 1
        stop = min((newline for mark in (b"\n", b"\r") if (newline := window.find(mark, at)) >= 0), default=len(window))
        end = position + stop - at
        line = window[start:stop]
        if line not in lines:
            lines[line] = None
            size += len(line)
            if len(lines) >= _LINES or size > _SAMPLE:
                break
    # What is neither text nor a line's end would make it "binary" to chardet.
    return re.sub(rb"[\x00-\x08\x0b-\x1f\x7f]", b" ", b"\n".join(lines))


_NOT_ASCII = re.compile(r"[^\x00-\x7f]")
_BETWEEN_LETTERS = frozenset("’·‐–—・、，。")
_AFTER_LETTERS = frozenset("°²³®©™´`")
_NOT_AFTER_LETTERS = frozenset("•‚„†‡¿¡")


def _oddity(text: str) -> float:
    """Share of the characters beyond ASCII that stand where no writer puts them: 0 for sound text, 1 for noise.

    Other alphabets' letters beside Latin ones, capitals within a word, symbols and controls.
    """
    odd, count = 0.0, 0
    for match in _NOT_ASCII.finditer(text):
        count += 1
        character, at = match[0], match.start()
        before, after = text[at - 1 : at], text[at + 1 : at + 2]
        kind = unicodedata.category(character)
        if kind[0] == "C" or character == REPLACEMENT:
            odd += 2
        elif kind[0] == "L":
            latin = unicodedata.name(character, "").startswith("LATIN")
            beside_latin = any(letter.isascii() and letter.isalpha() for letter in (before, after))
            odd += (not latin and beside_latin) or (
                character.isupper() and (before.islower() or (before.isalpha() and after.islower()))
            )
        elif kind[0] in "SN" and character not in _AFTER_LETTERS:
            odd += 1 if before.isalpha() or after.isalpha() else 0.3 * (kind != "Sc")
        elif before.isalpha():
            within = after.isalpha() and character not in _BETWEEN_LETTERS
            odd += character in _NOT_AFTER_LETTERS or within or 0.4 * (character in "…—" and not after.isalpha())
    return odd / count if count else 0.0
