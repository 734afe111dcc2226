from pathlib import Path

import pytest

from artray.classifiers.bundling import concept
from artray.errors import InputError


def test_classes_get_their_aat_uri_where_the_vocabulary_knows_one():
    assert concept("style", "Impressionism") == "http://vocab.getty.edu/aat/300021503"
    assert concept("style", "Ukiyo-e") is None
    assert concept("medium", "hand") is None
    assert concept("shelf", "Impressionism") is None


def test_a_class_has_its_concept_in_the_museums_own_thesaurus(tmp_path: Path) -> None:
    file = tmp_path / "styles.csv"
    file.write_text("name,uri,aliases\nukiyo-e,https://museum.example/t/7,Ukiyo-e prints\n")
    assert concept("style", "Ukiyo-e", str(file)) == "https://museum.example/t/7"
    assert concept("style", "Impressionism", str(file)) is None
    assert concept("shelf", "Impressionism", "style") == "http://vocab.getty.edu/aat/300021503"
    with pytest.raises(InputError, match="no vocabulary"):
        concept("style", "Impressionism", "nowhere")
