"""What whole jobs are tried on."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from ray.train import ScalingConfig

from artray import cluster
from artray.engine import worker_group
from tests.integration.tables import write_features


@pytest.fixture(scope="module")
def features(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The folder of a small feature table with something to learn in it."""
    folder = str(tmp_path_factory.mktemp("features"))
    write_features(folder)
    return folder


@contextmanager
def trainings_in_process() -> Iterator[None]:
    """Trainings run in this process, by Ray Train's local mode: no worker has to start, and to import TensorFlow.

    For what does not depend on how many workers there are. Checkpoints are not kept.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(worker_group, "ScalingConfig", lambda **_: ScalingConfig(num_workers=0))
        # What it would leave behind: other tests of this process need scikit-learn, and TensorFlow's threads.
        patch.setattr(cluster, "quicken_keras", lambda: None)
        patch.setenv("TF_NUM_INTRAOP_THREADS", "2")
        yield


@pytest.fixture
def in_process() -> Iterator[None]:
    """`trainings_in_process`, for a whole test."""
    with trainings_in_process():
        yield
