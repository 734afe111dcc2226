"""Features by their specs."""

import pytest

from artray.features.specs import Extractors


@pytest.mark.parametrize(("half", "expected"), [(False, "float32"), (True, "bfloat16")])
def test_embeddings_are_computed_in_the_precision_that_is_asked_for(half, expected):
    extractors = Extractors(32, half=half)
    assert extractors[{"name": "embedding"}].precision == expected
    assert extractors[{"name": "embedding", "precision": "bfloat16"}].precision == "bfloat16"
    extractors.batch = 8
    assert extractors[{"name": "embedding"}].precision == expected
