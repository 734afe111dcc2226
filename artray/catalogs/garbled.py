"""Text that programs garbled before it came into a catalogue, read as it was meant.

HTML entities (`M&uuml;ller`), UTF-8 that was read as Windows-1252 and saved again (`MÃ¼ller`), and characters that
nobody sees, which make two labels of what looks like one.
"""

import html
import html.entities
import re
from collections.abc import Callable

import pyarrow as pa
import pyarrow.compute as pc

_ENTITY = r"&(#[0-9]{2,7}|#[xX][0-9A-Fa-f]{2,6}|[A-Za-z]{2,8}[0-9]{0,2});"
UNSEEN = (
    r"[\x{200b}\x{2060}\x{feff}\x{ad}]"
    r"|^[\x{200e}\x{200f}\x{202a}-\x{202c}]+|[\x{200e}\x{200f}\x{202a}-\x{202c}]+$"
)
"""RE2: zero-width spaces, byte order marks and soft hyphens; marks of direction at either end."""

# What Windows-1252 makes of a byte that goes on with a character in UTF-8; where it has no letter, C1 controls stay.
_BYTES = {bytes([byte]).decode("cp1252", "ignore") or chr(byte): byte for byte in range(0x80, 0x100)}
_GOES_ON = "".join(letter for letter, byte in _BYTES.items() if byte < 0xC0)
# After a capital in sound text there may be a quotation mark, a dash or a space: « LIBERTÉ».
_AFTER_CAPITALS = "«»“”‘’„‚‹›–—…\xa0"
_SURE = re.compile(f"[Â-ô][{''.join(letter for letter in _GOES_ON if letter not in _AFTER_CAPITALS)}]")
_MAY_BE = f"[Â-ô][{_GOES_ON}]"

KINDS: dict[str, tuple[str, Callable[[str], str]]]
"""What is told of a kind, the pattern (RE2) of cells that may be of it, and what becomes of one."""


def _without_entities(text: str) -> str:
    """Entities that end as they must, twice: `&amp;uuml;` was written by two programs."""

    def letter(found: re.Match[str]) -> str:
        name = found[1]
        return html.unescape(found[0]) if name[0] == "#" else html.entities.html5.get(f"{name};", found[0])

    return re.sub(_ENTITY, letter, re.sub(_ENTITY, letter, text))


def _read_aright(text: str) -> str:
    """UTF-8 that was read as Windows-1252; a text that is not all of it stays."""
    if not _SURE.search(text):
        return text
    try:
        return bytes(_BYTES.get(letter) or letter.encode("ascii")[0] for letter in text).decode("utf-8")
    except UnicodeError:
        return text


def _seen(text: str) -> str:
    unseen = re.sub(r"\\x\{([0-9a-f]+)\}", lambda found: f"\\u{found[1]:0>4}", UNSEEN)
    return re.sub(unseen, "", text)


KINDS = {
    "HTML entities (&uuml;), read as the characters they stand for": (_ENTITY, _without_entities),
    "UTF-8 that a program had read as Windows-1252 (Ã¼), read as UTF-8": (_MAY_BE, _read_aright),
    "characters that nobody sees (zero-width spaces, soft hyphens), left out": (UNSEEN, _seen),
}


def mended(cells: pa.ChunkedArray, told: Callable[[str, pa.ChunkedArray], None]) -> pa.ChunkedArray:
    """Cells as they were meant.

    Args:
        cells: Strings.
        told: Gets what was done, and in which cells.
    """
    is_ascii = pc.all(pc.string_is_ascii(cells), min_count=0).as_py()
    for what, (pattern, mend) in KINDS.items():
        if is_ascii if pattern != _ENTITY else not pc.any(pc.match_substring(cells, "&"), min_count=0).as_py():
            continue
        may_be = pc.fill_null(pc.match_substring_regex(cells, pattern), False)
        if not pc.any(may_be, min_count=0).as_py():
            continue
        texts = pa.array([mend(text) for text in cells.filter(may_be).to_pylist()], cells.type)
        after = pc.replace_with_mask(cells.combine_chunks(), may_be.combine_chunks(), texts)
        before, cells = cells, pa.chunked_array([after])
        changed = pa.chunked_array([pc.fill_null(pc.not_equal(before.combine_chunks(), after), False)])
        if pc.any(changed, min_count=0).as_py():
            told(what, changed)
        is_ascii = is_ascii and pattern != _ENTITY
    return cells


def mended_text(text: str) -> str:
    """One text as it was meant, a column's name.

    >>> mended_text("K&uuml;nstler") == mended_text("KÃ¼nstler") == mended_text("Künst\N{SOFT HYPHEN}ler") == "Künstler"
    True
    """
    for _, mend in KINDS.values():
        text = mend(text)
    return text
