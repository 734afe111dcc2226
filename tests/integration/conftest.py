"""What whole jobs are tried on."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pyarrow as pa
import pytest
from ray import train
from ray.train import ScalingConfig

from artray import cluster
from artray.engine import worker_group
from artray.engine.progress import InProcess, Progress
from artray.storage import passes
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
        patch.setattr(train, "get_checkpoint", lambda: None)  # local mode gives one whose files are gone
        patch.setattr(worker_group, "begin_progress", lambda: InProcess(Progress()))
        _keep_as_it_is(patch)
        yield


@contextmanager
def passes_in_process(*on_ray: str) -> Iterator[None]:
    """Passes run in this process, chunk by chunk: no actor has to start, and to import TensorFlow.

    All else of a pass is as ever: its plan, its parts, what it resumes.

    Args:
        *on_ray: The titles of passes that run on Ray all the same.
    """
    by_actors = passes._run

    def run(
        chunks: list[dict[str, Any]], errand: Any, worker: Any, arguments: Mapping[str, Any], *, gpus: bool
    ) -> Iterator[dict[str, Any]]:
        if errand.title in on_ray:
            yield from by_actors(chunks, errand, worker, arguments, gpus=gpus)
            return
        actor = passes._ChunkActor(errand, worker, arguments)
        for chunk in chunks:
            yield from actor(pa.Table.from_pylist([chunk])).to_pylist()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(passes, "_run", run)
        _keep_as_it_is(patch)
        yield


def _keep_as_it_is(patch: pytest.MonkeyPatch) -> None:
    """What a worker's process would set for itself: other tests of this one need scikit-learn, and the threads."""
    patch.setattr(cluster, "quicken_keras", lambda: None)
    for name in ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"):
        patch.setenv(name, "2")


@pytest.fixture
def in_process() -> Iterator[None]:
    """`trainings_in_process`, for a whole test."""
    with trainings_in_process():
        yield
