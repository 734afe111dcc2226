from pathlib import Path

import pytest

from artray.catalogs.vocabularies import read_vocabulary
from artray.errors import InputError


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("genres.yaml", "classes: [{name: portrait}]"),
        ("GENRES.YML", "classes: [{name: portrait}]"),
        ("Genres.CSV", "name\nportrait\n"),
    ],
)
def test_a_file_is_known_by_the_end_of_its_name(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text)
    assert read_vocabulary(str(tmp_path / name)).names == ("portrait",)


def test_what_is_neither_a_name_nor_a_file_is_told_what_there_is() -> None:
    with pytest.raises(InputError, match=r"no vocabulary 'genres\.txt', but emotion-16, .*must end in \.yaml, \.yml"):
        read_vocabulary("genres.txt")
    assert "Rococo" in read_vocabulary("style").names
