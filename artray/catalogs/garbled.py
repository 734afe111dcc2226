"""Text that programs garbled before it came into a catalogue, read as it was meant.

HTML entities (`M&uuml;ller`), UTF-8 that was read as Windows-1252 and saved again (`MÃ¼ller`), and characters that
nobody sees, which make two labels of what looks like one.
"""

import html
import html.entities
import re
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

ENTITY = r"&(#[0-9]{2,7}|#[xX][0-9A-Fa-f]{2,6}|[A-Za-z]{2,8}[0-9]{0,2});"
UNSEEN = (
    r"[\x{200b}\x{2060}\x{feff}\x{ad}]"
    r"|^[\x{200e}\x{200f}\x{202a}-\x{202c}]+|[\x{200e}\x{200f}\x{202a}-\x{202c}]+$"
)
"""RE2: zero-width spaces, byte order marks and soft hyphens; marks of direction at either end."""

# What Windows-1252 makes of a byte that goes on with a character in UTF-8; where it has no letter, C1 controls stay.
# Latin-1 has these for all below 0xA0.
_BYTES = {chr(byte): byte for byte in range(0x80, 0x100)} | {
    letter: byte for byte in range(0x80, 0x100) if (letter := bytes([byte]).decode("cp1252", "ignore"))
}
_GOES_ON = "".join(letter for letter, byte in _BYTES.items() if byte < 0xC0)
# Sound text has such pairs too. After a capital there may be a quotation mark, a dash or a space (« LIBERTÉ»), a letter
# (PAPÉŽ, Tomáš’s), a sign (CAFÉ™, Voß´); between numbers × (4×½). There only a second pair is sure, or a small letter.
_FOLLOWS = "".join(letter for letter in _GOES_ON if letter not in "«»“”‘’„‚‹›–—…\xa0")
_NO_LETTER = "".join(letter for letter in _FOLLOWS if letter not in "ŠšŽžŒœŸ")
_NO_FRACTION = "".join(letter for letter in _FOLLOWS if letter not in "°²³¼½¾")
_SURE = re.compile(
    f"[ÂÃÄÅàâãåæçèêëìîïð][{_FOLLOWS}]|[áäéíñòóô][{_NO_LETTER}]|(?<=[a-z])[Æ-ÖØ-Þ][{_FOLLOWS}]|È[˜™](?=[a-z])"
    f"|[Æ-ÖØ-ß](?:[{_FOLLOWS}][Æ-ß][{_GOES_ON}]|[{_GOES_ON}][Æ-ß][{_FOLLOWS}])|×[{_NO_FRACTION}]"
    # Marks where sound text has none: Ã–l, Ã“leo; Ã\xa0 l’huile; WÅ‚adysÅ‚aw; Å“uvre (but Å’s); 30 Ã— 40; â‚¬; Viá»‡t.
    f"|(?<![^\\W\\d_])Ã[„“”‘’‚–—…‹](?=[A-Za-z])|(?<![A-ZÀ-Þ])Ã\xa0|(?<=[a-z])[ÂÃÄÅ][{_GOES_ON}]|Å[‚“’](?=[a-z]{{2}})"
    f"|(?:(?<=[0-9])|(?<=[0-9] ))Ã—|â‚¬|á»[{_FOLLOWS}]"
)
_MAY_BE = f"[Â-ô][{_GOES_ON}]"


class _Kind(NamedTuple):
    """One way in which text is garbled.

    Attributes:
        begins: Bytes of which its UTF-8 has one at least.
        holds: What its UTF-8 looks like.
        pattern: Of cells that may be garbled so (RE2).
        mend: Gives a text as it was meant.
    """

    begins: bytes
    holds: re.Pattern[bytes]
    pattern: str
    mend: Callable[[str], str]


def without_entities(text: str) -> str:
    """Entities that end as they must, twice: `&amp;uuml;` was written by two programs."""

    def letter(match: re.Match[str]) -> str:
        name = match[1]
        return html.unescape(match[0]) if name[0] == "#" else html.entities.html5.get(f"{name};", match[0])

    return re.sub(ENTITY, letter, re.sub(ENTITY, letter, text))


def _read_aright(text: str) -> str:
    """UTF-8 that was read as Windows-1252, maybe twice; a text that is not all of it stays."""
    for _ in range(2):
        if not _SURE.search(text):
            return text
        try:
            text = bytes(_BYTES.get(letter) or letter.encode("ascii")[0] for letter in text).decode("utf-8")
        except UnicodeError:
            return text
    return text


def _seen(text: str) -> str:
    unseen = re.sub(r"\\x\{([0-9a-f]+)\}", lambda match: f"\\u{match[1]:0>4}", UNSEEN)
    bare = re.sub(unseen, "", text)
    begun = len(re.findall("[\u202a\u202b\u202d\u202e]", bare)) - bare.count("\u202c")
    return bare + "\u202c" * min(max(begun, 0), text.count("\u202c") - bare.count("\u202c"))  # what begins within ends


_KINDS = {
    "HTML entities (&uuml;), read as the characters they stand for": _Kind(
        b"&",
        re.compile(rb"&[#A-Za-z][0-9A-Za-z]+;"),
        ENTITY,
        without_entities,
    ),
    "UTF-8 that a program had read as Windows-1252 (Ã¼), read as UTF-8": _Kind(
        b"\xc3",
        re.compile(rb"\xc3[\x82-\xb4][\xc2\xc5\xc6\xcb\xe2]"),
        _MAY_BE,
        _read_aright,
    ),
    "characters that nobody sees (zero-width spaces, soft hyphens), left out": _Kind(
        b"\xc2\xe2\xef",
        re.compile(rb"\xc2\xad|\xe2\x80[\x8b\x8e\x8f\xaa-\xac]|\xe2\x81\xa0|\xef\xbb\xbf"),
        UNSEEN,
        _seen,
    ),
}


def mended(cells: pa.ChunkedArray, told: Callable[[str, pa.ChunkedArray], None]) -> pa.ChunkedArray:
    """Cells as they were meant.

    Args:
        cells: Strings.
        told: Gets what was done, and in which cells.
    """
    held = _bytes_of(cells)
    for what, kind in _KINDS.items():
        # Most columns hold none, which their bytes tell in a tenth of the time.
        if not any(any(byte in data for byte in kind.begins) and kind.holds.search(data) for data in held):
            continue
        may_be = pc.fill_null(pc.match_substring_regex(cells, kind.pattern), False)
        if not pc.any(may_be, min_count=0).as_py():
            continue
        texts = pa.array([kind.mend(text) for text in cells.filter(may_be).to_pylist()], cells.type)
        after = pc.replace_with_mask(cells.combine_chunks(), may_be.combine_chunks(), texts)
        before, cells = cells, pa.chunked_array([after])
        changed = pa.chunked_array([pc.fill_null(pc.not_equal(before.combine_chunks(), after), False)])
        if pc.any(changed, min_count=0).as_py():
            told(what, changed)
        held = _bytes_of(cells)
    return cells


def _bytes_of(cells: pa.ChunkedArray) -> list[bytes]:
    """The bytes of each chunk's texts, one behind the other."""
    letters = []
    for chunk in cells.chunks:
        _, offsets, data = chunk.buffers()
        if data is not None and len(chunk):
            kind = np.int64 if pa.types.is_large_string(chunk.type) else np.int32
            ends = np.frombuffer(offsets, kind)[[chunk.offset, chunk.offset + len(chunk)]]
            letters.append(data.slice(ends[0], ends[1] - ends[0]).to_pybytes())
    return letters


def mended_text(text: str) -> str:
    """One text as it was meant, a column's name.

    >>> mended_text("K&uuml;nstler") == mended_text("KÃ¼nstler") == mended_text("Künst\N{SOFT HYPHEN}ler") == "Künstler"
    True
    """
    for kind in _KINDS.values():
        text = kind.mend(text)
    return text
