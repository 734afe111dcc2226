r"""Who made a work, as a split has to know it: one maker's works are never on two sides, whatever the cells look like.

A cell may name several makers (`Maker C|Maker B`, `Bernd Becher and Hilla Becher`, `Art & Language (Terry Atkinson;
Michael Baldwin)`): the work counts as each one's. What is after a maker, from the workshop or attributed counts as the
maker's too, since it looks like it: a copy of a test picture must not be learned from. Spelling, dates and countries
don't make another maker.

Too much is tied rather than too little, but only by what is a name: `and`, `&` and commas separate makers where the
parts are names (of two words, or known from other cells), not in `Gilbert & George` or `Gogh, Vincent van`.
"""

import re
from collections.abc import Sequence
from functools import lru_cache
from itertools import chain

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from artray.catalogs.unicode import nfc, without_accents
from artray.ingest.duplicates import join_pairs

UNKNOWN = frozenset(
    (
        "?", "-", "unknown", "anonymous", "anon", "anon.", "unidentified", "unrecorded", "none", "null", "n/a", "na",
        "various", "various artists", "unknown artist", "unknown maker", "unknown photographer", "artist unknown",
        "maker unknown", "unidentified artist", "unidentified maker", "anonymous artist", "not known", "not recorded",
        "unbekannt", "anonym", "unbekannter künstler", "unbekannter meister", "verschiedene", "inconnu", "anonyme",
        "artiste inconnu", "auteur inconnu", "sconosciuto", "anonimo", "ignoto", "autore ignoto", "desconocido",
        "anónimo", "autor desconocido", "onbekend", "anoniem", "onbekende kunstenaar", "okänd", "okänd konstnär",
        "ukendt", "ukjent",
    )
)  # fmt: skip
"""Cells that say that nobody knows, in small letters."""

_MAKER_WORDS = (
    "artist", "maker", "creator", "painter", "author", "attribution", "photographer", "künstler", "kuenstler",
    "urheber", "maler", "artiste", "auteur", "créateur", "autor", "pittore", "kunstenaar", "vervaardiger", "konstnär",
)  # fmt: skip
_MARKS = re.compile(r"\s*[;|\r\n]+\s*")
_AND = re.compile(r"(?i)\s+(?:and|&|und|et|y|e|en|och|og|with|mit|avec|con)\s+|\s+/\s+")
# In small letters, what the steps below could take for more than a name; most cells are names and nothing else.
_MORE_THAN_A_NAME = (
    r"[,;|()\[\]&/\r\n?:]|\s\*?[0-9]{3}|\s(?:and|und|et|y|e|en|och|og|with|mit|avec|con)\s|^\W"
    r"|\s(?:born|died|active|geboren|gestorben|tätig|né|née|nato|nacido|b\.|d\.|fl\.|c\.|ca\.|circa)\s"
    r"|\b(?:of|after|by|to|nach|naar|von|des|der|van|di|da|de|d['’]|à|a)\b|attr|formerly|doubtfully|possibly|probably"
    r"|perhaps|zugeschrieben|werkstatt|umkreis|schule|nachfolger|nachahmer|^[0-9]{1,2}[.)] "
)
_BRACKETS = re.compile(r"\(([^()]*)\)|\[([^\[\]]*)\]")
_QUALIFIER = re.compile(
    r"""(?ix)^\W*(?:
      (?:copy|copies|prints?|engraving|etching|painting)\s+(?:after|by) | after | by
    | (?:(?:formerly|doubtfully|possibly|probably|perhaps)\s+)?(?:attributed|ascribed)\s+to | attr\.?(?:\s+to)?
    | formerly | doubtfully | possibly | probably | perhaps
    | (?:in\s+the\s+)?(?:workshop|studio|circle|school|manner|style|followers?|imitators?|pupils?|assistants?)\s+of
    | (?:published|printed|designed|engraved|etched|made|painted)\s+by
    | (?:kopie\s+)?nach | zugeschrieben | (?:werkstatt|umkreis|schule|nachfolger|nachahmer)(?:\s+(?:von|des|der))?
    | art\s+(?:von|des|der)
    | d['’]après | attribuée?\s+à | (?:atelier|entourage|école|suiveur|manière|cercle|copie)\s+d(?:e\s+|['’])
    | attribuito\s+a | (?:bottega|scuola|cerchia|seguace|maniera)\s+di | copia\s+da
    | atribuido\s+a | (?:taller|escuela|círculo|seguidor|copia)\s+de
    | toegeschreven\s+aan | (?:kopie\s+)?naar | (?:werkplaats|omgeving|navolger|school)\s+van
    )\s+"""
)
_UMLAUTS = re.compile("([aou])e")
_LETTERS = str.maketrans({"ø": "o", "œ": "o", "æ": "a", "ł": "l", "đ": "d", "ß": "ss", "ı": "i"})
_ROLE = re.compile(r"(?i)^\s*(?:" + "|".join(_MAKER_WORDS) + r")(?:in)?\s*:\s*")
_NUMBERED = re.compile(r"(?:^|\s+)[0-9]{1,2}[.)]\s+(?=[^\W\d_])")  # 1. Claude Monet 2. Auguste Renoir
# What follows a name: dates, and whatever stands after them.
_LIFE = re.compile(
    r"(?i)[,\s]+(?:(?:born|died|active|geboren|gestorben|tätig|né|née|nato|nacido|b\.|d\.|fl\.|c\.|ca\.|circa)\s.*"
    r"|\*?\s*(?:c\.|ca\.)?\s*[0-9]{3,4}\b.*)$"
)
# Words that no person's name has: firms and families, and what a maker is.
_NO_NAME = frozenset(
    (
        "others", "other", "sons", "son", "brothers", "bros", "bros.", "daughters", "family", "co", "co.", "company",
        "inc", "inc.", "ltd", "ltd.", "gmbh", "workshop", "studio", "assistants", "associates", "partners", "school",
        "circle", "jr", "jr.", "sr", "sr.", "junior", "senior", "artist", "painter", "sculptor", "printmaker",
        "engraver", "etcher", "printer", "publisher", "designer", "draughtsman", "photographer", "maker", "author",
    )
)  # fmt: skip


def maker_ties(
    column: pa.ChunkedArray | pa.Array, *, separator: str | None = None, people: bool = True
) -> NDArray[np.int64]:
    """Rows that share a maker, directly or through others.

    Args:
        column: The makers' cells, a row each; null where there is none.
        separator: What stands between several values of a cell; `;`, `|` and a new line do in any case.
        people: The values are names of people, which `and`, `&` and commas may separate; else nothing but the marks
            does, and values are compared as they are.

    Returns:
        Shape (n,): equal for rows that share a maker, different for all others; a row without one shares none.
    """
    cells = _encoded(column)
    texts: list[str] = cells.dictionary.to_pylist()
    keys = makers(texts, separator) if people else [_split(text, separator) for text in texts]
    if people:
        keys = [[_alike(key) for key in of_cell] for of_cell in keys]
    number = {key: len(texts) + at for at, key in enumerate(dict.fromkeys(chain.from_iterable(keys)))}
    a = np.repeat(np.arange(len(texts)), [len(of_cell) for of_cell in keys])
    b = np.array([number[key] for of_cell in keys for key in of_cell], np.int64)
    roots = join_pairs(np.arange(len(texts) + len(number)), a, b)
    codes = _codes(cells)
    return np.where(codes >= 0, np.append(roots, 0)[codes], len(roots) + np.arange(len(codes)))


@lru_cache(maxsize=1 << 17)
def _alike(name: str) -> str:
    """A name as it is written without accents, and without spaces between initials: Dürer, Durer and Duerer are one."""
    text = re.sub(r"\.\s*", ". ", name).strip()
    if text.isascii():
        return _UMLAUTS.sub(r"\1", text)
    return _UMLAUTS.sub(r"\1", without_accents(text.translate(_LETTERS)))


def equal_ties(column: pa.ChunkedArray | pa.Array) -> NDArray[np.int64]:
    """Rows of equal cells, such as those of one number; as `maker_ties`, and no cell is divided."""
    codes = _codes(_encoded(column))
    return np.where(codes >= 0, codes, len(codes) + np.arange(len(codes)))


def makers(cells: Sequence[str], separator: str | None = None) -> list[list[str]]:
    """The makers that each cell names, as they are compared.

    Args:
        cells: Different ones.
        separator: As in `maker_ties`.

    Example:
        >>> makers(["Maker C|Maker B", "after Claude Monet (French, 1840-1926)", "MONET, Claude", "Claude Monet"])
        [['maker c', 'maker b'], ['claude monet'], ['claude monet'], ['claude monet']]
    """
    composed = nfc(pa.array(cells, pa.string()))
    small = pc.utf8_lower(composed)
    more = pc.match_substring_regex(small, _MORE_THAN_A_NAME)
    keys = pc.utf8_trim_whitespace(pc.replace_substring_regex(small, r"\s+", " "))
    if separator:
        more = pc.or_(more, pc.match_substring(composed, separator))
    at = np.flatnonzero(more.to_numpy(zero_copy_only=False))
    found = [[key] for key in keys.to_pylist()]
    atoms = [[_plain(name) for name in _names(cell, separator)] for cell in composed.take(pa.array(at)).to_pylist()]
    known = set(keys.filter(pc.invert(more)).to_pylist())
    known |= {name for of_cell in atoms for name in of_cell if "," not in name and not _AND.search(name)}
    alike = {_alike(name) for name in known}
    commas = _commas_separate([name for of_cell in atoms for name in of_cell if "," in name], known)
    for row, of_cell in zip(at.tolist(), atoms, strict=True):
        names = list(dict.fromkeys(piece for name in of_cell for piece in _pieces(name, known, alike, commas)))
        told = [name for name in names if name and name not in UNKNOWN]
        found[row] = told or [name for name in names if name] or found[row]
    return found


def is_maker_column(name: str) -> bool:
    """Whether a column is called so that it holds people who made something, in one of the languages of museums."""
    folded = nfc(pa.array([name.lower()]))[0].as_py()
    return any(word in folded for word in _MAKER_WORDS)


def unknown_makers(column: pa.ChunkedArray | pa.Array) -> dict[str, int]:
    """The cells that say that nobody knows the maker (`Unknown`, `Anonymous`), with their rows."""
    counts = pc.value_counts(pc.drop_null(column)).to_pylist()
    return {item["values"]: item["counts"] for item in counts if item["values"].strip().lower() in UNKNOWN}


def _encoded(column: pa.ChunkedArray | pa.Array) -> pa.DictionaryArray:
    return pc.dictionary_encode(column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column)


def _codes(cells: pa.DictionaryArray) -> NDArray[np.int64]:
    return np.asarray(pc.fill_null(cells.indices, -1).to_numpy(zero_copy_only=False), np.int64)


def _split(text: str, separator: str | None) -> list[str]:
    pieces = text.split(separator) if separator else [text]
    names = [name.strip() for piece in pieces for name in _MARKS.split(piece)]
    return list(dict.fromkeys(name for name in names if name)) or [text]


def _names(cell: str, separator: str | None) -> list[str]:
    """The names that marks separate; of what is in brackets only lists of names, the members of a group."""
    members: list[str] = []

    def take_out(match: re.Match[str]) -> str:
        inside = [piece for piece in _MARKS.split(match[1] or match[2] or "") if piece]
        if len(inside) > 1:
            members.extend(piece for piece in inside if len(_plain(piece).split()) > 1)
        return " "

    cell = cell.strip()
    if match := _BRACKETS.fullmatch(cell):  # a name that the museum has inferred
        cell = match[1] or match[2] or cell
    if _NUMBERED.match(cell):
        cell = _NUMBERED.sub("|", cell)
    pieces = _split(_BRACKETS.sub(take_out, cell), separator)
    return [*(_ROLE.sub("", piece) or piece for piece in pieces), *members]


def _plain(name: str) -> str:
    """A name in small letters, without what is said around it."""
    name = _LIFE.sub("", name)
    while (shorter := _QUALIFIER.sub("", name)) != name and shorter.strip():
        name = shorter
    return re.sub(r"\s+([,.;])", r"\1", " ".join(name.lower().split())).strip(" ,;:?")


def _commas_separate(names: list[str], known: set[str]) -> bool:
    """Whether commas stand between makers in this column.

    At least half of such cells have a name that stands elsewhere alone, or on the other side of a comma, as neither
    `Gogh, Vincent van` nor `Royal Doulton, Stoke on Trent` do.
    """
    cells = [[_plain(piece) for piece in name.split(",")] for name in names]
    firsts = {pieces[0] for pieces in cells if _is_name(pieces[0])}
    others = {piece for pieces in cells for piece in pieces[1:] if _is_name(piece)}
    elsewhere = firsts & others | known
    told = sum(any(_is_name(piece) and piece in elsewhere for piece in pieces) for pieces in cells)
    return told > 1 and 2 * told >= len(cells)


def _pieces(name: str, known: set[str], alike: set[str], commas: bool) -> list[str]:
    """The makers in a name; the name itself if it is one."""
    names = []
    for several in _AND.split(name):
        pieces = [_plain(piece) for piece in several.split(",")]
        after = any(_QUALIFIER.match(piece.lstrip()) for piece in several.split(",")[1:])
        if len(pieces) == 2 and _alike(f"{pieces[1]} {pieces[0]}") in alike:
            names.append(f"{pieces[1]} {pieces[0]}")  # Monet, Claude
        elif len(pieces) > 1 and (commas or after):
            names += [piece for piece in pieces if piece in known or _is_name(piece)]
        elif len(pieces) > 1 and all(piece in _NO_NAME for piece in pieces[1:]):
            names.append(pieces[0])
        elif len(pieces) > 1 and any(_is_name(piece) and piece in known for piece in pieces):
            names += [piece for piece in pieces if _is_name(piece) and piece in known]
        elif several != name and (pieces[0] in known or _is_name(pieces[0])):
            names.append(pieces[0])
    return names or [name]


def _is_name(piece: str) -> bool:
    words = piece.split()
    return len(words) > 1 and not _NO_NAME.intersection(words)
