"""A group of workers at one training after the other: how many, started, watched, begun again where they die.

The classifiers' and the GANs' trainings are run by it; what a worker does is theirs.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Protocol

import ray
from pydantic import AfterValidator, Field
from ray import train
from ray.exceptions import ObjectStoreFullError, OutOfDiskError
from ray.train import CheckpointConfig, FailureConfig, RunConfig, ScalingConfig, TrainingFailedError
from ray.train.collective import broadcast_from_rank_zero

from artray import cluster, console
from artray.engine.checkpoints import Checkpoints
from artray.engine.progress import begin_progress, watch
from artray.engine.tensorflow_cluster import TensorflowTrainer
from artray.engine.worker_resources import check_gpus, use_own_cores, worker_resources
from artray.errors import ArtrayError, InputError
from artray.storage import Location, remove_scratch
from artray.storage.nodes import check_nodes

TRAINING = "_training"
"""Where below a bundle's place the checkpoints of a run lie until it is done."""

CHECKPOINTS = rf"{TRAINING}/[0-9a-f]{{24}}/.+"
"""What lies there, as `storage.remove_written` takes it: a run is called by a digest, and Ray keeps all of it below."""

_FAILURES_WITHOUT_PROGRESS = 3
_SECONDS_BETWEEN_FAILURES = 5.0


def worker_range(value: int | str) -> tuple[int, int]:
    """The fewest and the most workers: of `3`, or of `1-4`."""
    low, dash, high = str(value).partition("-")
    if not low.isdecimal() or (dash and not high.isdecimal()) or not 1 <= int(low) <= int(high or low):
        raise ValueError("must be a number from 1 on, or a range such as 1-4")
    return int(low), int(high or low)


def _is_a_number_or_range(value: int | str) -> int | str:
    worker_range(value)
    return value


Workers = Annotated[
    int | str,
    AfterValidator(_is_a_number_or_range),
    Field(
        description="processes that share each batch; 1-4: as many as there is room for",
        examples=["N|N-M"],
    ),
]
"""The option `--workers`."""


class Training(Protocol):
    """One thing for a group to do, sent to every worker: it must hold all that it needs."""

    @property
    def name(self) -> str:
        """The same name finds the checkpoints of an interrupted run."""

    @property
    def title(self) -> str:
        """What tells it from the group's others, beside the progress bar."""

    @property
    def length(self) -> int:
        """How many examples are gone through at most."""

    def is_done(self) -> bool:
        """Whether what it makes is there; asked of one worker."""

    def work(self, rank: int, checkpoints: Checkpoints, progress: Any) -> None:
        """One worker's whole part in it; `progress` is the actor that the driver watches."""


@dataclass(frozen=True, kw_only=True)
class WorkerGroup:
    """How trainings are run: one after the other, in workers that are started once.

    Attributes:
        workers: As the option says.
        gpus: Of each worker.
        out: Below this place the checkpoints lie until all is done.
        name: The run's; the same name finds the checkpoints of an interrupted run.
        title: What the progress bar says.
        note: What stands beside the bar, of the metrics of an epoch.
    """

    workers: int | str
    gpus: int
    out: Location
    name: str
    title: str
    note: Callable[[Mapping[str, Any]], str]

    def run(self, trainings: Sequence[Training]) -> None:
        """Run the workers until all is done; begun again where they die, while they get further each time.

        Begun again, they leave out what is done, and go on with the next at its last checkpoint.

        Raises:
            ArtrayError: A training failed, those after it were not begun; or there is no room for what they are told.
        """
        if not trainings:
            return
        try:
            # By reference, so that a worker reads each when its turn comes.
            references = [ray.put(training) for training in trainings]
        except (ObjectStoreFullError, OutOfDiskError) as full:
            raise ArtrayError(
                "Ray's object store is full, and so is the disk beside it: give it more room "
                "(ray start --object-store-memory), or leave more there (--in-memory); the same command goes on"
            ) from full
        progress = begin_progress()
        fewest, most = worker_range(self.workers)
        folder = self.out / TRAINING
        fs, path = folder.arrow_filesystem()
        config = {"trainings": references, "progress": progress, "gpus": self.gpus, "checkpoints": str(folder)}

        def trainer() -> TensorflowTrainer:
            return TensorflowTrainer(
                run_trainings,
                train_loop_config=config,
                scaling_config=ScalingConfig(
                    num_workers=most if fewest == most else (fewest, most),
                    use_gpu=self.gpus > 0,
                    resources_per_worker=worker_resources(fewest, most, self.gpus),
                    # GPUs of one machine are near to each other; CPUs of one would be shared.
                    placement_strategy="PACK" if self.gpus else "SPREAD",
                ),
                run_config=RunConfig(
                    name=self.name,
                    storage_path=path,
                    storage_filesystem=fs,
                    failure_config=FailureConfig(max_failures=_FAILURES_WITHOUT_PROGRESS),
                    checkpoint_config=CheckpointConfig(num_to_keep=2),
                ),
            )

        stop = threading.Event()
        shown = [(training.title, training.length) for training in trainings]
        total = sum(length for _, length in shown)
        with console.bar(self.title, total, note=f"starting {self.workers} worker(s)") as bar:
            watcher = threading.Thread(target=watch, args=(progress, bar, shown, self.note, stop), daemon=True)
            watcher.start()
            try:
                with cluster.unwrapped_errors():
                    _run_while_it_gets_further(trainer, progress)
            finally:
                stop.set()
                watcher.join()
        error = ray.get(progress.error.remote())
        if error is not None:
            raise error
        if not all(training.is_done() for training in trainings):
            raise ArtrayError("training ended without a bundle (-v shows the workers' logs)")


def remove_checkpoints(out: Location) -> None:
    """Remove the checkpoints of the runs of a bundle that is done; what others have put beside them stays."""
    remove_scratch(out / TRAINING, [CHECKPOINTS.removeprefix(f"{TRAINING}/")])


def join_cluster(workers: int | str, gpus: int, data: Location, out: Location) -> None:
    """Join the cluster, and see that it can do this training.

    Raises:
        InputError: A machine can't, or there are too few GPUs.
    """
    cluster.connect()
    check_nodes([data], [out])
    wanted = worker_range(workers)[0] * gpus
    available = int(ray.cluster_resources().get("GPU", 0))
    # GPUs that a local Ray does not have would be waited for for ever; a cluster may be about to add some.
    if wanted > available and not cluster.may_grow():
        raise InputError(f"--gpus-per-worker {gpus}: {wanted} GPUs are needed, there are {available}")


def _run_while_it_gets_further(trainer: Callable[[], TensorflowTrainer], progress: Any) -> None:
    """Ray gives up after a number of failures, however far apart they are; a long run on many machines has many."""
    reached = (0, 0)
    while True:
        try:
            trainer().fit()
        except TrainingFailedError:
            position = ray.get(progress.position.remote())
            if position <= reached:
                raise
            reached = position
        else:
            return


def run_trainings(config: Mapping[str, Any]) -> None:
    """One worker's whole life, as Ray Train calls it: trainings, one after the other.

    TensorFlow is loaded once for all of them, and Keras forgets one before the next: what comes out is what each would
    give in a process of its own.

    What is wrong with the data, the config or the loss is so in every worker, and would be again: it is told to the
    driver, and not to Ray, which would start the workers anew. What only some of them met is told to both: the
    workers that Ray starts then end at once.

    Args:
        config: `trainings`: each a `Training`, or a reference to one; `progress`: the actor that the driver watches;
            `gpus`: how many the worker has asked for; `checkpoints`: where they lie, if they are kept.
    """
    cluster.quicken_keras()
    context, progress = train.get_context(), config["progress"]
    use_own_cores()
    if ray.get(progress.failures.remote()):  # in one worker, and Ray has started all of them anew
        return
    try:
        check_gpus(config["gpus"])
        for number, training in enumerate(config["trainings"]):
            _run_training(number, training, context.get_world_rank(), progress, config.get("checkpoints"))
    except ArtrayError as error:
        ray.get(progress.fail.remote(error))
        _wait_for_failures(progress, context.get_world_size(), error)


def _run_training(number: int, given: Any, rank: int, progress: Any, checkpoints: str | None) -> None:
    training: Training = ray.get(given) if isinstance(given, ray.ObjectRef) else given
    # All wait here for the first, which writes what the one before has made.
    if broadcast_from_rank_zero(rank == 0 and training.is_done()):
        return
    if rank == 0:
        progress.begin.remote(number)
    if "keras" in sys.modules:
        sys.modules["keras"].utils.clear_session()
    training.work(rank, Checkpoints(training.name, checkpoints or "checkpoints"), progress)


def _wait_for_failures(progress: Any, workers: int, error: ArtrayError) -> None:
    """Wait a little until all workers have failed; what only some of them met is raised.

    The others would wait for this one for ever. So Ray ends them.
    """
    deadline = time.monotonic() + _SECONDS_BETWEEN_FAILURES
    while ray.get(progress.failures.remote()) < workers:
        if time.monotonic() > deadline:
            raise error
        time.sleep(0.1)
