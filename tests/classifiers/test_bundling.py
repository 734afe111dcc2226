from pathlib import Path

import pytest

from artray.bundles.classifier import BundleClass
from artray.classifiers.bundling import bundle_classes, concepts, lacking_told
from artray.errors import InputError

IMPRESSIONISM = "http://vocab.getty.edu/aat/300021503"


def uris(target: str, labels: list[str], vocabulary: str | None = None) -> list[str | None]:
    return [each.uri for each in bundle_classes(labels, concepts(target, labels, vocabulary))]


def test_classes_get_their_aat_uri_where_the_vocabulary_knows_one():
    assert uris("style", ["Impressionism", "Ukiyo-e"]) == [IMPRESSIONISM, None]
    assert uris("medium", ["hand"]) == [None]
    assert uris("shelf", ["Impressionism"]) == [None]


def test_a_class_has_its_concept_in_the_museums_own_thesaurus(tmp_path: Path) -> None:
    file, labels = tmp_path / "styles.csv", ["Ukiyo-e", "Impressionism"]
    file.write_text("name,uri,aliases,wikidata\nukiyo-e,https://museum.example/t/7,Ukiyo-e prints,Q185905\n")
    known = concepts("style", labels, str(file))
    first, second = bundle_classes(labels, known)
    assert (first.uri, first.equivalents) == ("https://museum.example/t/7", ("http://www.wikidata.org/entity/Q185905",))
    assert BundleClass.model_validate_json(first.model_dump_json()) == first
    assert second.model_dump() == {"name": "Impressionism", "uri": None}  # as bundles of before have it
    assert lacking_told("own.ttl", labels, known) == "own.ttl: has no URI for 1 of 2 labels: Impressionism"
    assert lacking_told(None, labels, known) is lacking_told("own.ttl", ["Ukiyo-e"], known) is None
    assert (
        lacking_told("own.ttl", ["Ukiyo-e", *"bcdefg"], known)
        == "own.ttl: has no URI for 6 of 7 labels: b, c, d, e, f, …"
    )
    file.write_text("name,uri\nukiyo-e,https://museum.example/t/8\n")
    assert uris("style", labels, str(file)) == ["https://museum.example/t/8", None]
    assert uris("shelf", labels, "style") == [None, IMPRESSIONISM]
    with pytest.raises(InputError, match="no vocabulary"):
        concepts("style", labels, "nowhere")
