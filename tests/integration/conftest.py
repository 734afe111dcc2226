"""What whole jobs are tried on."""

import pytest

from tests.integration.tables import write_features


@pytest.fixture(scope="module")
def features(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The folder of a small feature table with something to learn in it."""
    folder = str(tmp_path_factory.mktemp("features"))
    write_features(folder)
    return folder
