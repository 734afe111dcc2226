"""Text that programs garbled: entities, UTF-8 read as Windows-1252, characters that nobody sees."""

import pytest

from artray.catalogs.garbled import mended_text
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
        # These are as they are meant.
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
