from pathlib import Path

import pytest

from artray.classifiers.bundling import concepts, lacking_told
from artray.errors import InputError


def test_classes_get_their_aat_uri_where_the_vocabulary_knows_one():
    found = {"Impressionism": "http://vocab.getty.edu/aat/300021503"}
    assert concepts("style", ["Impressionism", "Ukiyo-e"]) == found
    assert concepts("medium", ["hand"]) == {}
    assert concepts("shelf", ["Impressionism"]) == {}


def test_a_class_has_its_concept_in_the_museums_own_thesaurus(tmp_path: Path) -> None:
    file, labels = tmp_path / "styles.csv", ["Ukiyo-e", "Impressionism"]
    file.write_text("name,uri,aliases\nukiyo-e,https://museum.example/t/7,Ukiyo-e prints\n")
    uris = concepts("style", labels, str(file))
    assert uris == {"Ukiyo-e": "https://museum.example/t/7"}
    assert lacking_told(labels, uris) == "has no URI for 1 of 2 labels: Impressionism"
    assert lacking_told(["Ukiyo-e"], uris) is None
    assert lacking_told(list("abcdefg"), {"a": "b"}) == "has no URI for 6 of 7 labels: b, c, d, e, f, …"
    file.write_text("name,uri\nukiyo-e,https://museum.example/t/8\n")
    assert concepts("style", labels, str(file)) == {"Ukiyo-e": "https://museum.example/t/8"}
    assert concepts("shelf", labels, "style") == {"Impressionism": "http://vocab.getty.edu/aat/300021503"}
    with pytest.raises(InputError, match="no vocabulary"):
        concepts("style", labels, "nowhere")
