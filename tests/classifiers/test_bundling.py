from artray.classifiers.bundling import concept


def test_classes_get_their_aat_uri_where_the_vocabulary_knows_one():
    assert concept("style", "Impressionism") == "http://vocab.getty.edu/aat/300021503"
    assert concept("style", "Ukiyo-e") is None
    assert concept("medium", "hand") is None
    assert concept("shelf", "Impressionism") is None
