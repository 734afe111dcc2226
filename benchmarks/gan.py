"""What a step of DCGAN costs, 64x64, batch 64, one worker: ours against other loops around the same networks.

    python benchmarks/gan.py [--parts step,feeding,memory] [--repeats 7] [--steps 4]

step     Milliseconds of a step: one update of the discriminator, one of the generator (non-saturating loss, Adam), on
         batches in memory. The runs alternate, the medians count.
           ours                the trainer's step
           ours, jit_compile   compiled by XLA, as --compile on has it; auto does so on a GPU alone
           tf.function, twice     the plain loop of Keras' own DCGAN example: the generator runs once for each update
           tf.function, in turn   both updates from one run of the generator, its own against the discriminator as it
                                  is then: the arithmetic of ours, and of PyTorch's example
           tf.function, together  the plain loop of TensorFlow's DCGAN tutorial: its own against the discriminator as it
                                  was before, which looks at the generated pictures once
           … jit_compile          these, compiled by XLA
           PyTorch             the loop of its DCGAN example, in a process of its own that rests meanwhile, in both
                               memory layouts, on a GPU also in bfloat16 and compiled; where `torch` is installed
feeding  A short training with train_gan on pictures that are drawn for it: for which share of its time the step waits
         for pictures.
memory   The memory at most that scores take of the driver, of some numbers of works, their embeddings drawn by chance:
         each in a process of its own, beside one that has loaded the same and compares nothing.
"""

# ruff: noqa: E402 - TensorFlow's and Ray's chatter is turned off before they are imported
import argparse
import gc
import importlib.util
import multiprocessing
import resource
import statistics
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from inspect import signature
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from artray import console
from artray.console import quiet
from artray.storage import Location, list_column

quiet(verbose=False)

import itertools

import numpy as np
import pyarrow as pa
import pyarrow.dataset as pads
from PIL import Image
from rich.console import Console
from rich.table import Table

SIZE, BATCH, LATENT_SIZE, WIDTH = 64, 64, 100, 64
RATE, BETA = 2e-4, 0.5
CONFIG = "gan_dcgan"
EMBEDDING = 1280

Steps = Callable[[int], None]


def pictures(count: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, SIZE, SIZE, 3), np.uint8)


def ours(**options: Any) -> Steps:
    """The trainer's step; `options` are the trainer's."""
    import keras

    from artray.engine.adversarial import AdversarialTrainer
    from artray.gans.latents import draw_latents
    from artray.models.gans import discriminator, generator

    x = pictures(10 * BATCH)
    trainer = AdversarialTrainer(
        lambda: generator("dcgan", SIZE, LATENT_SIZE),
        lambda: discriminator("dcgan", SIZE),
        [lambda: keras.optimizers.Adam(RATE, beta_1=BETA)] * 2,
        lambda step, number: draw_latents(number, LATENT_SIZE, "normal", (0, step)),
        **options,
    )
    check(trainer.generator.count_params(), trainer.discriminator.count_params())
    state = {"step": 0}

    def run(steps: int) -> None:
        batches = [np.arange(BATCH) + (state["step"] + step) % 10 * BATCH for step in range(steps)]
        labels = np.zeros((len(x), 0), np.float32)
        for _ in trainer.train(lambda rows: (x[rows], labels[rows]), batches, state["step"], [(RATE, RATE)] * steps):
            pass
        state["step"] += steps

    return run


def plain(how: str, jit_compile: bool) -> Steps:
    """A loop as the tutorials have it.

    Args:
        how: `together`, both updates of one look at the generated pictures, as in TensorFlow's tutorial; `in turn`, the
            generator's of a second look, by the discriminator as it is then, as in PyTorch's example and artray;
            `twice`, this with pictures of its own.
        jit_compile: Whether XLA compiles it.
    """
    import keras
    import tensorflow as tf

    from artray.models.gans import discriminator, generator

    x = pictures(10 * BATCH)
    networks = generator("dcgan", SIZE, LATENT_SIZE), discriminator("dcgan", SIZE)
    optimizers = [keras.optimizers.Adam(RATE, beta_1=BETA) for _ in networks]
    for optimizer, network in zip(optimizers, networks, strict=True):
        optimizer.build(network.trainable_variables)
    entropy = keras.losses.BinaryCrossentropy(from_logits=True)

    def losses(real: Any, fake: Any) -> Any:
        return entropy(tf.ones_like(real), real) + entropy(tf.zeros_like(fake), fake)

    def update(network: int, tape: tf.GradientTape, loss: Any) -> None:
        variables = networks[network].trainable_variables
        optimizers[network].apply(tape.gradient(loss, variables), variables)

    @tf.function(jit_compile=jit_compile)
    def step_together(real: Any) -> Any:
        real = tf.cast(real, tf.float32)
        with tf.GradientTape() as make, tf.GradientTape() as judge:
            fake = networks[0](tf.random.normal((BATCH, LATENT_SIZE)), training=True)
            real_score, fake_score = networks[1](real, training=True), networks[1](fake, training=True)
            judged = losses(real_score, fake_score)
            made = entropy(tf.ones_like(fake_score), fake_score)
        update(0, make, made)
        update(1, judge, judged)
        return judged, made

    @tf.function(jit_compile=jit_compile)
    def step_in_turn(real: Any) -> Any:
        real = tf.cast(real, tf.float32)
        with tf.GradientTape() as make:
            fake = networks[0](tf.random.normal((BATCH, LATENT_SIZE)), training=True)
        with tf.GradientTape() as judge:
            judged = losses(networks[1](real, training=True), networks[1](fake, training=True))
        update(1, judge, judged)
        with make:
            score = networks[1](fake, training=True)
            made = entropy(tf.ones_like(score), score)
        update(0, make, made)
        return judged, made

    @tf.function(jit_compile=jit_compile)
    def step_twice(real: Any) -> Any:
        real = tf.cast(real, tf.float32)
        fake = networks[0](tf.random.normal((BATCH, LATENT_SIZE)), training=True)
        with tf.GradientTape() as tape:
            judged = losses(networks[1](real, training=True), networks[1](fake, training=True))
        update(1, tape, judged)
        with tf.GradientTape() as tape:
            score = networks[1](networks[0](tf.random.normal((BATCH, LATENT_SIZE)), training=True), training=True)
            made = entropy(tf.ones_like(score), score)
        update(0, tape, made)
        return judged, made

    step = {"together": step_together, "in turn": step_in_turn, "twice": step_twice}[how]

    def run(steps: int) -> None:
        for number in range(steps):
            judged, _ = step(tf.constant(x[number % 10 * BATCH :][:BATCH]))
        float(judged)

    return run


@dataclass(frozen=True)
class TorchKind:
    """How PyTorch computes."""

    channels_last: bool = False
    gpu: bool = False
    half: bool = False
    compiled: bool = False


def torch_kinds(gpu: bool) -> dict[str, TorchKind]:
    kinds = {"PyTorch": TorchKind(gpu=gpu), "PyTorch, channels last": TorchKind(True, gpu)}
    if gpu:
        kinds["PyTorch, channels last, bfloat16"] = TorchKind(True, gpu, True)
        kinds["PyTorch, channels last, bfloat16, compiled"] = TorchKind(True, gpu, True, True)
    return kinds


def torch_loop(kind: TorchKind) -> tuple[Callable[[int], None], list[int]]:
    """The loop of PyTorch's DCGAN example, and the two networks' parameters; runs in a process of its own."""
    import torch
    from torch import nn

    def normalized(maps: int, activation: nn.Module) -> list[nn.Module]:
        return [nn.BatchNorm2d(maps, eps=1e-5, momentum=0.1), activation]

    maps = [8 * WIDTH, 4 * WIDTH, 2 * WIDTH, WIDTH]
    layers: list[nn.Module] = [
        nn.Linear(LATENT_SIZE, 16 * maps[0], bias=False),
        nn.Unflatten(1, (maps[0], 4, 4)),
        *normalized(maps[0], nn.ReLU(inplace=True)),
    ]
    for before, after in itertools.pairwise(maps):
        layers += [nn.ConvTranspose2d(before, after, 4, 2, 1, bias=False), *normalized(after, nn.ReLU(inplace=True))]
    generator = nn.Sequential(*layers, nn.ConvTranspose2d(maps[-1], 3, 4, 2, 1), nn.Tanh())
    layers = [nn.Conv2d(3, WIDTH, 4, 2, 1), nn.LeakyReLU(0.2, inplace=True)]
    for before, after in zip(maps[::-1], maps[-2::-1], strict=False):
        leaky = nn.LeakyReLU(0.2, inplace=True)
        layers += [nn.Conv2d(before, after, 4, 2, 1, bias=False), *normalized(after, leaky)]
    discriminator = nn.Sequential(*layers, nn.Flatten(), nn.Linear(16 * maps[0], 1))
    device = torch.device("cuda" if kind.gpu else "cpu")
    layout = torch.channels_last if kind.channels_last else torch.contiguous_format
    networks = [network.to(device, memory_format=layout) for network in (generator, discriminator)]
    make, judge = (torch.optim.Adam(network.parameters(), lr=RATE, betas=(BETA, 0.999)) for network in networks)
    parameters = [sum(one.numel() for one in network.parameters()) for network in networks]
    if kind.compiled:
        networks = [torch.compile(network) for network in networks]
    generator, discriminator = networks
    entropy = nn.BCEWithLogitsLoss()
    ones, zeros = torch.ones(BATCH, 1, device=device), torch.zeros(BATCH, 1, device=device)
    x = torch.from_numpy(pictures(10 * BATCH)).permute(0, 3, 1, 2).contiguous(memory_format=layout)
    if kind.gpu:
        x = x.pin_memory()
        torch.backends.cudnn.benchmark = True

    def half() -> Any:
        return torch.autocast(device.type, torch.bfloat16, enabled=kind.half)

    def run(steps: int) -> None:
        for number in range(steps):
            real = x[number % 10 * BATCH :][:BATCH].to(device, non_blocking=True).to(torch.float32).div(127.5).sub(1)
            judge.zero_grad()
            with half():
                judged = entropy(discriminator(real), ones)
            judged.backward()
            with half():
                fake = generator(torch.randn(BATCH, LATENT_SIZE, device=device))
                made_up = entropy(discriminator(fake.detach()), zeros)
            made_up.backward()
            judge.step()
            make.zero_grad()
            with half():
                made = entropy(discriminator(fake), ones)
            made.backward()
            make.step()
        judged.item()

    return run, parameters


def serve(kind: TorchKind, pipe: Connection) -> None:
    run, parameters = torch_loop(kind)
    pipe.send(parameters)
    with suppress(EOFError):  # when the benchmark ends
        while steps := pipe.recv():
            run(steps)
            pipe.send(None)


def in_process(kind: TorchKind, learned: list[int]) -> Steps:
    here, there = multiprocessing.Pipe()
    multiprocessing.get_context("spawn").Process(target=serve, args=(kind, there), daemon=True).start()
    there.close()  # so that a process that dies is seen
    parameters = here.recv()
    if parameters != learned:
        raise SystemExit(f"not the same networks: {parameters} parameters, ours have {learned}")

    def run(steps: int) -> None:
        here.send(steps)
        here.recv()

    return run


def learned_parameters() -> list[int]:
    from artray.models.gans import discriminator, generator

    networks = generator("dcgan", SIZE, LATENT_SIZE), discriminator("dcgan", SIZE)
    return [sum(int(np.prod(one.shape)) for one in network.trainable_variables) for network in networks]


def check(*counts: int) -> None:
    if min(counts) < 1e6:
        raise SystemExit(f"these networks are too small to be DCGAN's: {counts} parameters")


def step_times(repeats: int, steps: int, *, xla: bool = True) -> dict[str, list[float]]:
    """Milliseconds of a step by run, in each repeat; with XLA if wanted. A run that fails is said and left out."""
    import tensorflow as tf

    from artray.engine.adversarial import AdversarialTrainer

    gpu = bool(tf.config.list_physical_devices("GPU"))
    begin: dict[str, Callable[[], Steps]] = {
        "ours": ours,
        "tf.function, twice": lambda: plain("twice", False),
        "tf.function, in turn": lambda: plain("in turn", False),
        "tf.function, together": lambda: plain("together", False),
    }
    if xla:
        if not gpu and "compile" in signature(AdversarialTrainer).parameters:
            begin["ours, jit_compile"] = lambda: ours(compile="on")
        begin["tf.function, twice, jit_compile"] = lambda: plain("twice", True)
        begin["tf.function, in turn, jit_compile"] = lambda: plain("in turn", True)
        begin["tf.function, together, jit_compile"] = lambda: plain("together", True)
    if gpu and "precision" in signature(AdversarialTrainer).parameters:
        begin["ours, bfloat16"] = lambda: ours(precision="bfloat16")
    if importlib.util.find_spec("torch"):
        learned = learned_parameters()
        for name, kind in torch_kinds(gpu).items():
            begin[name] = lambda kind=kind: in_process(kind, learned)
    else:
        console.say("PyTorch is not installed, and left out")
    runs: dict[str, Steps] = {}
    for name, build in begin.items():
        try:
            run = build()
            run(2)
        except Exception as error:
            if name == "ours":
                raise
            console.say(f"{name}: {type(error).__name__}: {' '.join(str(error).split())[:200]}")
            continue
        runs[name] = run
    times: dict[str, list[float]] = {name: [] for name in runs}
    gc.disable()
    for _ in range(repeats):
        for name, run in runs.items():
            started = time.perf_counter()
            run(steps)
            times[name].append(1e3 * (time.perf_counter() - started) / steps)
    gc.enable()
    return times


def step(repeats: int, steps: int) -> Table:
    times = step_times(repeats, steps)
    medians = {name: statistics.median(values) for name, values in times.items()}
    table = Table("", "ms a step, median", "from", "to", "ours is … times as fast")
    for name, median in medians.items():
        ratio = "" if name == "ours" else f"{median / medians['ours']:.2f}"
        table.add_row(name, f"{median:.1f}", f"{min(times[name]):.1f}", f"{max(times[name]):.1f}", ratio)
    return table


def fed(works: int, epochs: int, gpus: int = 0) -> list[dict[str, Any]]:
    """The epochs of a short training with train_gan on pictures that are drawn for it."""
    from artray.bundles.description import read_history
    from artray.gans.station import GanOptions, train_gan
    from artray.ingest.station import IngestOptions, ingest

    with tempfile.TemporaryDirectory() as folder:
        images = Path(folder, "images")
        images.mkdir()
        for number, picture in enumerate(pictures(works)):
            large = Image.fromarray(picture[:16, :16]).resize((480, 360), Image.Resampling.BICUBIC)
            large.save(images / f"{number:05d}.jpg")
        ingest(
            IngestOptions(
                images=str(images),
                out=f"{folder}/manifest",
                near_duplicates=False,
                split={"train": 1, "validation": 0, "test": 0},
            )
        )
        train_gan(
            GanOptions(
                config=CONFIG,
                data=f"{folder}/manifest",
                out=f"{folder}/gan",
                gpus_per_worker=gpus,
                set={"epochs": str(epochs)},
            )
        )
        history = [dict(epoch) for epoch in read_history(Location.parse(f"{folder}/gan"))]
    return [epoch | {"rate": works // BATCH * BATCH / epoch["seconds"]} for epoch in history]


def feeding(works: int, epochs: int) -> Table:
    table = Table("epoch", "pictures a second", "waiting for pictures, % of the time")
    for epoch in fed(works, epochs):
        table.add_row(str(epoch["epoch"]), f"{epoch['rate']:.0f}", f"{100 * epoch['data_wait']:.2f}")
    return table


def draw_embeddings(place: Path, works: int) -> None:
    """Embeddings by chance, in parts as a pass over works writes them."""
    chance = np.random.default_rng(0)
    for start in range(0, works, 256):
        count = min(256, works - start)
        table = pa.table(
            {
                "object_id": [f"work-{start + row:07d}" for row in range(count)],
                "image_uri": [f"/scans/{start + row:07d}.jpg" for row in range(count)],
                "embedding": list_column(chance.normal(size=(count, EMBEDDING)).astype(np.float32)),
            }
        )
        (Location.parse(place) / f"part-{start // 256:06d}.parquet").write_table(table)


def compare_drawn(place: str, works: int, results: "multiprocessing.SimpleQueue[float]") -> None:
    """Compare a thousand samples with works, and say this process' memory at most, in MB; of no works none is read."""
    from artray.gans.scores import compare

    chance = np.random.default_rng(1)
    few = {
        kind: pa.table({"embedding": list_column(chance.normal(size=(count, EMBEDDING)).astype(np.float32))})
        for kind, count in (("mean", 1), ("noise", 1000), ("samples", 1000))
    }
    if works:
        real = {kind: pads.dataset(few[kind]) for kind in ("mean", "noise")}
        compare({**real, "work": Location.parse(place).dataset()}, few["samples"])
    results.put(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


def memory(numbers: list[int]) -> Table:
    table = Table("works", "embeddings, MB", "memory at most, MB", "more than with none, MB")
    context = multiprocessing.get_context("spawn")
    nothing = 0.0
    for works in [0, *numbers]:
        with tempfile.TemporaryDirectory() as folder:
            draw_embeddings(Path(folder), works)
            results: multiprocessing.SimpleQueue[float] = context.SimpleQueue()
            process = context.Process(target=compare_drawn, args=(folder, works, results))
            process.start()
            process.join()
            peak = results.get()
        nothing = nothing or peak
        table.add_row(f"{works:,}", f"{works * EMBEDDING * 4 / 1e6:,.0f}", f"{peak:,.0f}", f"{peak - nothing:,.0f}")
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", default="step,feeding")
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--steps", type=int, default=4, help="of one repeat")
    parser.add_argument("--works", type=int, default=640, help="pictures for feeding")
    parser.add_argument("--epochs", type=int, default=3, help="of feeding")
    parser.add_argument("--scored", default="5000,20000", help="numbers of works for memory")
    options = parser.parse_args()
    for part in options.parts.split(","):
        parts = {
            "step": lambda: step(options.repeats, options.steps),
            "feeding": lambda: feeding(options.works, options.epochs),
            "memory": lambda: memory([int(works) for works in options.scored.split(",")]),
        }
        Console(width=120).print(parts[part]())


if __name__ == "__main__":
    main()
