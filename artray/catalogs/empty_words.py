"""Words that stand in a cell where there is nothing to say: NULL, n/a, unbekannt."""

import unicodedata
from collections.abc import Iterable
from functools import lru_cache

import pyarrow as pa
import pyarrow.compute as pc

from artray import console
from artray.catalogs.unicode import without_accents
from artray.vocabulary import fold

# What a database or a program writes for nothing …
_NOTHING = frozenset(
    (
        "null", "none", "nil", "nan", "na", "n a", "<na>", "<null>", "(null)", "[null]", "\\n", "#n a", "", "?", "??",
        "???", "...", "—", "*", "\\", "empty", "(empty)", "blank", "(blank)", "(leer)", "leer", "vide", "vuoto",
        "vacio",
    )
)  # fmt: skip
# … and what a person writes who does not know.
_UNKNOWN = frozenset(
    (
        "unknown", "(unknown)", "[unknown]", "unidentified", "undetermined", "undefined", "unspecified",
        "not specified", "not known", "not assigned", "unassigned", "unclassified", "uncategorized", "not available",
        "not applicable", "no data", "missing", "tbd", "tba", "to be determined", "indeterminate", "not recorded",
        "no value", "none given", "not given", "not stated", "none recorded", "not determined", "not yet determined",
        "not classified", "not yet classified", "to be classified", "to be confirmed", "no information", "no entry",
        "not set", "keine", "aucun", "aucune", "ninguno", "ninguna", "nessuno", "nessuna", "geen", "inga", "ingen",
        "brak", "brak danych", "нет", "нет данных", "なし", "無", "无", "없음",
        "unbekannt", "nicht bekannt", "unbestimmt", "nicht bestimmt", "keine angabe", "keine angaben",
        "nicht erfasst", "nicht angegeben", "nicht ermittelt", "nicht vorhanden",
        "k a", "ohne angabe", "o a", "ungeklart", "nicht zugeordnet", "inconnu", "inconnue", "indetermine",
        "indeterminee", "non determine", "non precise", "non renseigne", "non renseignee", "s o", "s n", "sans objet",
        "desconocido",
        "desconocida", "sin datos", "sin determinar", "indeterminado", "sconosciuto", "sconosciuta", "ignoto",
        "ignota", "non determinato", "indeterminato", "non identificato", "onbekend", "niet bekend",
        "niet van toepassing", "n v t", "nvt", "okand", "okant", "ej angivet", "uppgift saknas", "ukjent", "ukendt",
        "tuntematon", "desconhecido", "desconhecida", "nieznany", "nieznana", "nieznane", "neznamy", "neznama",
        "ismeretlen", "неизвестно", "неизвестныи", "αγνωστο", "不明", "未知", "不详", "不詳", "미상",
    )
)  # fmt: skip


# Of a table on paper: the same as above, which a cell in a file can't say.
_AS_ABOVE = frozenset(("idem", "ditto", "dito", "〃", "''", '"', "\u201d", "\u201c", "\u2033"))


# "No", "there is none", a star: labels where the other answer is one.
_ANSWERS = {"нет": "да", "なし": "あり", "無": "有", "无": "有", "없음": "있음", "*": "**"}


def answers(values: Iterable[str]) -> set[str]:
    """Words for nothing that are labels among some values, since what they are the opposite of is one; folded."""
    folded = set(map(fold, values))
    return {word for word, other in _ANSWERS.items() if word in folded and other in folded}


@lru_cache(maxsize=65_536)
def says_nothing(value: str) -> bool:
    """Whether a label says that there is none, or that nobody knows it."""
    word = _plain(value)
    if word in _NOTHING or word in _UNKNOWN or value.strip().lower() in _AS_ABOVE:
        return True
    bare = word[1:-1].strip() if len(word) > 2 and word[0] + word[-1] in ("()", "[]", "<>", "{}") else ""
    return bool(bare) and (bare in _NOTHING or bare in _UNKNOWN)


def without_nobody(table: pa.Table, artist: str | None) -> pa.Table:
    """A catalogue in which NULL, n/a and the like are no artist, with a word on how many; `Unknown` stays one."""
    if artist is None or artist not in table.column_names:
        return table
    encoded = pc.dictionary_encode(table[artist].combine_chunks())
    texts = [None if _plain(text) in _NOTHING else text for text in encoded.dictionary.to_pylist()]
    if None not in texts:
        return table
    named = pa.array(texts, pa.string()).take(encoded.indices)
    nobody = named.null_count - table[artist].null_count
    console.say(f"{artist}: NULL, n/a and the like, taken for no artist: {nobody:,}")
    return table.set_column(table.column_names.index(artist), artist, pa.chunked_array([named]))


def _plain(value: str) -> str:
    """A word as it is compared: as labels are, and without accents."""
    return unicodedata.normalize("NFC", without_accents(fold(value)))  # Korean is put together again
