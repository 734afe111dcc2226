from artray.training.loop import _concept


def test_classes_get_their_aat_uri_where_the_vocabulary_knows_one():
    assert _concept("style", "Impressionism") == "http://vocab.getty.edu/aat/300021503"
    assert _concept("style", "Ukiyo-e") is None
    assert _concept("medium", "hand") is None
    assert _concept("shelf", "Impressionism") is None
