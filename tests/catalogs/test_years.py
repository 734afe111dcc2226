"""Which year the text of a date means."""

import pytest

from artray.catalogs.years import year_of


@pytest.mark.parametrize(
    ("date", "year"),
    [
        *((text, "1874") for text in ("1874", "c. 1874-1877", "1874/75", "3.5.1874", "1874, British Columbia")),
        *((text, None) for text in ("", "19th century", "187?", "-1450", "1450 BC", "1450-1400 B.C.E.")),
        *((text, None) for text in ("1000–900 BCE", "1200 v. Chr.", "1200 v. u. Z.", "1300 av. J.-C.", "1300 a. C.")),
    ],
)
def test_the_first_year_of_our_era(date: str, year: str | None) -> None:
    assert year_of(date) == year
