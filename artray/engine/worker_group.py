"""A group of workers at one training: how many, started, watched, begun again where they die.

The classifiers' and the GANs' trainings are run by it; what a worker does is theirs.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Any

import ray
from pydantic import AfterValidator, Field
from ray import train
from ray.train import CheckpointConfig, FailureConfig, RunConfig, ScalingConfig, TrainingFailedError

from artray import cluster, console
from artray.engine.checkpoints import Checkpoints
from artray.engine.progress import begin_progress, watch
from artray.engine.tensorflow_cluster import TensorflowTrainer
from artray.errors import ArtrayError, InputError
from artray.storage import Location, remove_scratch
from artray.storage.nodes import check_nodes

TRAINING = "_training"
"""Where below a bundle's place the checkpoints of a run lie until it is done."""

CHECKPOINTS = rf"{TRAINING}/[0-9a-f]{{24}}/.+"
"""What lies there, as `storage.remove_written` takes it: a run is called by a digest, and Ray keeps all of it below."""

_FAILURES_WITHOUT_PROGRESS = 3


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


@dataclass(frozen=True, kw_only=True)
class WorkerGroup:
    """How a training is run.

    Attributes:
        workers: As the option says.
        gpus: Of each worker.
        out: Where the bundle goes.
        bundle: The file that says that it is there.
        name: The run's; the same name finds the checkpoints of an interrupted run.
        title: What the progress bar says.
        examples: How many examples are gone through in all.
        note: What stands beside the bar, of the metrics of an epoch.
    """

    workers: int | str
    gpus: int
    out: Location
    bundle: str
    name: str
    title: str
    examples: int
    note: Callable[[Mapping[str, Any]], str]

    def run(self, work: Callable[[dict[str, Any]], None], training: Any) -> None:
        """Run the workers until the bundle is written; begun again where they die, while they get further each time.

        Args:
            work: What each worker does, with `training` in a dictionary; see `in_worker`.
            training: A dataclass with an attribute `progress`, which is set here.

        Raises:
            ArtrayError: Training failed.
        """
        progress = begin_progress()
        training = replace(training, progress=progress)
        fewest, most = worker_range(self.workers)
        fs, path = (self.out / TRAINING).arrow_filesystem()
        resources: dict[str, float] = {"CPU": min(1.0, cluster.cpus() / most)}
        if self.gpus:
            resources["GPU"] = self.gpus

        def trainer() -> TensorflowTrainer:
            return TensorflowTrainer(
                work,
                train_loop_config={"training": training},
                scaling_config=ScalingConfig(
                    num_workers=most if fewest == most else (fewest, most),
                    use_gpu=self.gpus > 0,
                    resources_per_worker=resources,
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
        with console.bar(self.title, self.examples, note=f"starting {self.workers} worker(s)") as bar:
            watcher = threading.Thread(target=watch, args=(progress, bar, self.note, stop), daemon=True)
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
        if not (self.out / self.bundle).exists():
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
    if wanted > available and not os.environ.get("RAY_ADDRESS"):
        raise InputError(f"--gpus-per-worker {gpus}: {wanted} GPUs are needed, there are {available}")


def _run_while_it_gets_further(trainer: Callable[[], TensorflowTrainer], progress: Any) -> None:
    """Ray gives up after a number of failures, however far apart they are; a long run on many machines has many."""
    reached = -1
    while True:
        try:
            trainer().fit()
        except TrainingFailedError:
            epochs, _ = ray.get(progress.news.remote(reached))
            if not epochs:
                raise
            reached = epochs[-1]["epoch"]
        else:
            return


def in_worker(run: Callable[[int, Checkpoints], None], progress: Any) -> None:
    """One worker's whole run, with its share of the CPUs.

    What is wrong with the data, the config or the loss is so in every worker, and would be again: it is told to the
    driver, and not to Ray, which would start the workers anew.

    Args:
        run: The run, of the worker's rank and the checkpoints.
        progress: The actor that the driver watches.
    """
    cluster.quicken_keras()
    context = train.get_context()
    threads = max(1, (os.cpu_count() or 1) // context.get_local_world_size())
    os.environ.setdefault("TF_NUM_INTRAOP_THREADS", str(threads))
    try:
        run(context.get_world_rank(), Checkpoints())
    except ArtrayError as error:
        if context.get_world_rank() == 0:
            ray.get(progress.fail.remote(error))
