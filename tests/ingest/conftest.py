import pytest

from tests.ingest.collection import Collection


@pytest.fixture
def collection(tmp_path):
    return Collection(tmp_path)
