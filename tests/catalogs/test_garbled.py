"""Text that programs garbled: entities, UTF-8 read as Windows-1252, characters that nobody sees."""

import pyarrow as pa
import pytest

from artray.catalogs.garbled import mended, mended_text
from tests.catalogs.matched import by_file, joined
from tests.catalogs.read import problems, read


@pytest.mark.parametrize(
    ("cell", "meant"),
    [
        ("M&uuml;ller &amp; S&#246;hne", "Müller & Söhne"),
        ("M&amp;uuml;ller", "Müller"),  # twice
        ("MÃ¼ller â€“ GrÃ¶ÃŸl", "Müller – Größl"),
        ("Å‚Ã³dÅº", "łódź"),
        ("Ð¿Ñ€Ð¸Ð²ÐµÑ‚", "привет"),
        ("20Â°C", "20°C"),
        ("Cu\N{SOFT HYPHEN}bism\N{ZERO WIDTH SPACE}", "Cubism"),
        ("\N{RIGHT-TO-LEFT MARK}3.12.2020\N{RIGHT-TO-LEFT MARK}", "3.12.2020"),
        ("TimiÈ™oara, èŠ±, thÆ°", "Timișoara, 花, thư"),
        ("×\xa0×•×£", "נוף"),
        ("Ã–l auf Leinwand", "Öl auf Leinwand"),
        ("Ã“leo, 30 Ã— 40 cm", "Óleo, 30 × 40 cm"),
        ("Portrait Ã\xa0 l'huile", "Portrait à l'huile"),
        ("WÅ‚adysÅ‚aw", "Władysław"),
        ("Å“uvre", "œuvre"),
        ("10 â‚¬", "10 €"),
        ("Viá»‡t Nam", "Việt Nam"),
        ("Itâ\x80\x99s", "It’s"),  # by Latin-1
        ("MÃƒÂ¼ller", "Müller"),  # twice
        # These are as they are meant.
        *((text, text) for text in ("Å’s harbour", "MANHÃ – 1922", "MANHÃ—TARDE", "«Olá»", "“Å”")),
        *((text, text) for text in ("PAPÉŽ", "BLÍŽENCI", "VÝŠKA", "Úžas", "6×¾ in.", "1×½×¼", "Ø½ Zoll", "OLÉ¡")),
        *((text, text) for text in ("CAFÉ®", "CAFÉ™", "Voß´ Haus", "Tomáš’s house", "Tomáš\xa0Masaryk")),
        ("a \u202babc\u202c", "a \u202babc\u202c"),  # a direction that begins within the text ends there
        ("AT&T; &copy=2 &unknown;", "AT&T; &copy=2 &unknown;"),
        ("« LIBERTÉ»", "« LIBERTÉ»"),
        ("„ADRIÄ“", "„ADRIÄ“"),
        ("NÃO, MANHÃ”", "NÃO, MANHÃ”"),
        ("Müller Ã¼", "Müller Ã¼"),  # not all of it: who knows
        ("می\N{ZERO WIDTH NON-JOINER}خواهم", "می\N{ZERO WIDTH NON-JOINER}خواهم"),
    ],
)
def test_texts_as_they_were_meant(cell: str, meant: str) -> None:
    assert mended_text(cell) == meant
    catalog = read(f"id\t\N{ZERO WIDTH SPACE}K&uuml;nstler\n1\t{cell}\n")
    assert catalog.table.to_pylist() == [{"id": "1", "Künstler": meant}]
    assert [lines for what, lines in problems(catalog).items() if "read as" in what or "nobody" in what] == (
        [(2,)] if cell != meant else []
    )


def test_names_of_pictures_with_what_nobody_sees() -> None:
    found = by_file(["Cu\N{SOFT HYPHEN}bism.jpg", "MÃ¼ller.jpg"], ["Cubism.jpg", "Müller.jpg"])
    assert joined(found) == {"Cu\N{SOFT HYPHEN}bism.jpg": 0, "MÃ¼ller.jpg": 1}


def test_names_of_pictures_with_entities() -> None:
    """The catalogue's are mended, the pictures' are as a program has written both."""
    assert joined(by_file(["it&#39;s.jpg", "a&amp;b.jpg"], ["it's.jpg", "a&b.jpg"])) == {
        "it&#39;s.jpg": 0,
        "a&amp;b.jpg": 1,
    }


def test_cells_in_chunks_of_one_buffer() -> None:
    cells = pa.array(["x", None, "M&uuml;", "", None, "a\N{ZERO WIDTH SPACE}b"])
    told: dict[str, list[bool]] = {}
    found = mended(
        pa.chunked_array([cells.slice(2, 3), cells.slice(5), cells.slice(0, 0)]),
        lambda what, where: told.update({what[:4]: where.to_pylist()}),
    )
    assert found.to_pylist() == ["Mü", "", None, "ab"]
    assert told == {"HTML": [True, False, False, False], "char": [False, False, False, True]}
    assert mended(pa.chunked_array([pa.nulls(2, pa.string())]), pytest.fail).to_pylist() == [None, None]
