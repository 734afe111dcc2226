"""A training step on a GPU: what the first one takes, and what the others do; artray's beside plain loops and PyTorch.

    python benchmarks/gpu_steps.py [--networks finetune,dcgan] [--only NAMES] [--seconds 90] [--at-once 3] [--out FILE]

Each contender is a process: a few are built and compiled at the same time, then they are timed one after the other, in
turns, while the others rest; then come the next few. One that is not ready in time is said and left out.

finetune  lite0_finetune in its last epochs, 224x224, batch 32: artray's trainer fed from memory, and a plain loop over
          one batch that lies on the device
dcgan     64x64, batch 64: artray's trainer, plain loops, PyTorch; in all but `together` the discriminator looks
          again for the generator's update (see gan.py)
autotune 0  XLA takes the first algorithm that will do, instead of measuring all of them
"""

import argparse
import importlib.util
import json
import os
import re
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

# Keras and PyTorch are imported where they are used: each contender is a process.

SIDE, BATCH, CLASSES = 224, 32, 10
AT_ONCE = 3  # XLA takes some cores for each
THAWED = '{1: ["block9_*", "block1?_*", "head_*"]}'  # as in the config's last epochs

Steps = Callable[[int], None]


@dataclass(frozen=True)
class Contender:
    """A way to compute a step.

    Attributes:
        name: How it is called.
        network: finetune or dcgan.
        loop: ours, plain, or torch.
        compile: Whether XLA (or PyTorch's compiler) compiles it.
        precision: float32 or bfloat16.
        autotune: XLA's level.
        channels_last: PyTorch's layout.
    """

    name: str
    network: str
    loop: str
    compile: bool = False
    precision: str = "float32"
    autotune: int | None = None
    channels_last: bool = False

    def steps(self) -> Steps:
        """Runs so many steps."""
        if self.network == "finetune":
            return ours_finetune(self) if self.loop == "ours" else plain_finetune(self)
        import gan

        if self.loop == "torch":
            half = self.precision == "bfloat16"
            import torch  # asked for its GPUs itself: TensorFlow beside it would load libraries of its own

            return gan.torch_loop(gan.TorchKind(self.channels_last, torch.cuda.is_available(), half, self.compile))[0]
        if self.loop == "plain":
            return gan.plain("together" if "together" in self.name else "in turn", self.compile)
        return gan.ours(compile="on" if self.compile else "off", precision=self.precision)


def contenders(networks: Sequence[str]) -> list[Contender]:
    found = [
        Contender("plain, compiled", "dcgan", "plain", True),
        Contender("ours, compiled", "dcgan", "ours", True),
        Contender("ours", "dcgan", "ours"),
        Contender("plain", "dcgan", "plain"),
        Contender("plain, together, compiled", "dcgan", "plain", True),
        Contender("ours, compiled, autotune 0", "dcgan", "ours", True, autotune=0),
    ]
    if importlib.util.find_spec("torch"):
        found += [
            Contender("PyTorch", "dcgan", "torch"),
            Contender("PyTorch, channels last, bfloat16", "dcgan", "torch", False, "bfloat16", channels_last=True),
            Contender("PyTorch, channels last, bfloat16, compiled", "dcgan", "torch", True, "bfloat16", None, True),
        ]
    found.append(Contender("ours, compiled, bfloat16", "dcgan", "ours", True, "bfloat16"))
    for precision in ("float32", "bfloat16"):
        found += [
            Contender(f"on the device, {precision}", "finetune", "plain", False, precision),
            Contender(f"ours, {precision}", "finetune", "ours", False, precision),
        ]
    for precision in ("float32", "bfloat16"):
        found += [
            Contender(f"on the device, {precision}, compiled", "finetune", "plain", True, precision),
            Contender(f"ours, {precision}, compiled", "finetune", "ours", True, precision),
            Contender(f"ours, {precision}, compiled, autotune 0", "finetune", "ours", True, precision, 0),
        ]
    return [one for one in found if one.network in networks]


# -- lite0_finetune ----------------------------------------------------------------------------------------------------


def thawed_config() -> Any:
    from artray.classifiers.config import read_config

    return read_config("lite0_finetune", {"unfreeze": THAWED})


def model_of(config: Any) -> Any:
    from artray.models.classifiers import classifier

    return classifier(config.model.name, (SIDE, SIDE, 3), CLASSES, config.model.settings())


def pictures(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Bytes, and targets by chance."""
    chance = np.random.default_rng(0)
    targets = np.eye(CLASSES, dtype=np.float32)[chance.integers(0, CLASSES, count)]
    return chance.integers(0, 256, (count, SIDE, SIDE, 3), np.uint8), targets


def ours_finetune(contender: Contender) -> Steps:
    """The trainer's step, with the config's views, from pictures in memory."""
    import keras

    from artray.classifiers.losses import CrossEntropy
    from artray.engine.augmentation import draw
    from artray.engine.schedules import Freezing
    from artray.engine.supervised import SupervisedTrainer
    from artray.engine.views import Views

    config = thawed_config()
    x, y = pictures(32 * BATCH)
    weights = np.ones(len(x), np.float32)
    trainer: Any = None

    def trainable(model: Any) -> list[Any]:
        freezing = Freezing(model, config.freeze, config.unfreeze)
        variables = freezing.ever_trainable()
        freezing.apply(1)
        return variables

    trainer = SupervisedTrainer(
        lambda: model_of(config),
        lambda: keras.optimizers.Adam(3e-4),
        CrossEntropy(False, config.label_smoothing, None),
        trainable=trainable,
        precision=contender.precision,  # type: ignore[arg-type]
        compile="on" if contender.compile else "off",
        views=Views(config.augment, os.cpu_count() or 1),
    )
    state = {"step": 0}

    def run(steps: int) -> None:
        first = state["step"]
        batches = [(np.arange(BATCH) + step % 32 * BATCH) for step in range(first, first + steps)]
        for _ in trainer.train(
            lambda rows: (x[rows], y[rows], weights[rows]),
            batches,
            [3e-4] * steps,
            lambda rows: draw(rows, config.augment, 0, first),
        ):
            pass
        state["step"] += steps

    return run


def plain_finetune(contender: Contender) -> Steps:
    """A loop over one batch that lies on the device, with nothing to feed or to change."""
    import keras
    import tensorflow as tf

    from artray.engine.schedules import Freezing

    keras.config.set_dtype_policy("mixed_bfloat16" if contender.precision == "bfloat16" else "float32")
    config = thawed_config()
    model = model_of(config)
    Freezing(model, config.freeze, config.unfreeze).apply(1)
    optimizer = keras.optimizers.Adam(3e-4)
    optimizer.build(model.trainable_variables)
    x, y = (tf.constant(values) for values in pictures(BATCH))

    @tf.function(jit_compile=contender.compile)
    def step() -> Any:
        with tf.GradientTape() as tape:
            logits = tf.cast(model(x, training=True), tf.float32)
            loss = tf.reduce_mean(tf.nn.softmax_cross_entropy_with_logits(y, logits))
        variables = model.trainable_variables
        optimizer.apply(tape.gradient(loss, variables), variables)
        return loss

    def run(steps: int) -> None:
        losses = [step() for _ in range(steps)]
        float(losses[-1])

    return run


# -- a contest ---------------------------------------------------------------------------------------------------------


@dataclass
class Runner:
    """A contender's process: lines of numbers in and out."""

    contender: Contender
    process: subprocess.Popen[str]
    ready: float | None = None
    times: list[float] = field(default_factory=list)

    @classmethod
    def start(cls, contender: Contender) -> "Runner":
        environment = os.environ | {"TF_FORCE_GPU_ALLOW_GROWTH": "true", "TF_CPP_MIN_LOG_LEVEL": "3"}
        if contender.autotune is not None:
            flags = f"{environment.get('XLA_FLAGS', '')} --xla_gpu_autotune_level={contender.autotune}"
            environment["XLA_FLAGS"] = flags.strip()
        if contender.loop == "torch":  # it finds its own libraries; TensorFlow's would come before them
            environment.pop("LD_LIBRARY_PATH", None)
        command = [sys.executable, __file__, "--child", json.dumps(contender.__dict__)]
        pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        return cls(contender, subprocess.Popen(command, env=environment, start_new_session=True, **pipes))

    def end(self) -> None:
        """With all that it has begun: compilers' processes would hold its pipes open."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def wait(self) -> None:
        """Until it is ready, or dead."""
        line = self._answer()
        self.ready = float(line) if line else None

    def run(self, steps: int) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{steps}\n")
        self.process.stdin.flush()
        line = self._answer()
        if line:
            self.times.append(float(line))
            # Each turn as it comes: who is stopped has told what there was.
            print(
                f"{self.contender.network}, {self.contender.name}: {self.times[-1]:.2f} ms", file=sys.stderr, flush=True
            )

    def _answer(self) -> str:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if line.startswith("# "):
                return line[2:]
        return ""


def child(contender: Contender) -> None:
    """Build, say how long the first steps took, then run so many as are asked for."""
    started = time.perf_counter()
    run = contender.steps()
    built = time.perf_counter()
    run(2)
    print(f"# {time.perf_counter() - built:.2f}", flush=True)
    print(f"{contender.name}: built in {built - started:.1f} s", file=sys.stderr)
    for line in sys.stdin:
        steps = int(line)
        began = time.perf_counter()
        run(steps)
        print(f"# {1e3 * (time.perf_counter() - began) / steps:.4f}", flush=True)


def contest(
    chosen: Sequence[Contender], seconds: float, steps: int, repeats: int, at_once: int = AT_ONCE
) -> Iterator[Runner]:
    """All of them: a few built at once, within so many seconds, and timed in turns; each when its turns are over."""
    for start in range(0, len(chosen), at_once):
        runners = [Runner.start(contender) for contender in chosen[start : start + at_once]]
        try:
            until = time.monotonic() + seconds
            with ThreadPoolExecutor(len(runners)) as pool:
                waiting = [pool.submit(runner.wait) for runner in runners]
                while time.monotonic() < until and not all(one.done() for one in waiting):
                    time.sleep(0.2)
                for runner, one in zip(runners, waiting, strict=True):
                    if not one.done():
                        runner.end()
            there = [runner for runner in runners if runner.ready is not None]
            for _ in range(1 + repeats):  # the first turn warms up: a last shape may be compiled
                for runner in there:
                    runner.run(steps)
            for runner in there:
                del runner.times[:1]
        finally:
            for runner in runners:
                runner.end()
        yield from runners


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", default="finetune,dcgan", help="default: %(default)s")
    parser.add_argument("--seconds", type=float, default=90.0, help="in which a few are built (default: 90)")
    parser.add_argument("--steps", type=int, default=64, help="of a turn (default: 64)")
    parser.add_argument("--repeats", type=int, default=5, help="turns (default: 5)")
    parser.add_argument("--at-once", type=int, default=AT_ONCE, help="contenders of a contest (default: 3)")
    parser.add_argument("--only", default="", help="those whose names hold this expression")
    parser.add_argument("--out", type=Path, help="file for the rows, as JSON lines")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        child(Contender(**json.loads(options.child)))
        return
    print(f"{'network':10}{'step':48}{'first, s':>10}{'then, ms':>10}{'from':>10}{'to':>10}")
    chosen = [one for one in contenders(options.networks.split(",")) if re.search(options.only, one.name)]
    for runner in contest(chosen, options.seconds, options.steps, options.repeats, options.at_once):
        one, times = runner.contender, runner.times
        first = f"{runner.ready:.1f}" if runner.ready is not None else "not ready"
        then = [f"{statistics.median(times):.2f}", f"{min(times):.2f}", f"{max(times):.2f}"] if times else ["", "", ""]
        print(f"{one.network:10}{one.name:48}{first:>10}" + "".join(f"{value:>10}" for value in then))
        if options.out:
            with options.out.open("a") as file:
                file.write(json.dumps({**one.__dict__, "first": runner.ready, "times": times}) + "\n")


if __name__ == "__main__":
    main()
