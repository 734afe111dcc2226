"""What a step of the projected GAN costs, 64x64, batch 64: ours against PyTorch's of the same networks.

    python benchmarks/gan_projected.py [--repeats 5] [--steps 2] [--threads 2] [--set KEY=VALUE]

A step is one update of the discriminator and one of the generator (hinge, Adam), on batches in memory, of the networks
of `gan_projected` as it is configured, without changes of the pictures and moving average, which the loops beside it
don't have. In PyTorch the network that looks at pictures has random weights: the speed is the same. The runs alternate,
and the medians count: of seconds, and of CPU seconds, which other work on the machine disturbs less.

    ours                    the trainer's step
    PyTorch, as published   the paper's loop: each update has generated pictures of its own, and looks at them
    PyTorch, seen once      with our shortcut: one batch is generated, and looked at once, for both updates
    … channels last         in the other memory layout

PyTorch runs in a process of its own that rests meanwhile. On a GPU both compute there.

Needs `torch` (without GPU its build for CPUs is enough).
"""

# ruff: noqa: E402 - TensorFlow's chatter is turned off before it is imported
import argparse
import itertools
import multiprocessing
import os
import statistics
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

from artray.console import quiet

quiet(verbose=False)

import numpy as np
from rich.console import Console
from rich.table import Table

SIZE, BATCH = 64, 64
STAGES = ((1, 3, 1, 1, 16), (2, 3, 2, 6, 24), (2, 5, 2, 6, 40), (3, 3, 2, 6, 80), (3, 5, 1, 6, 112), (4, 5, 2, 6, 192))
LITE0 = (*STAGES, (1, 3, 1, 6, 320))  # blocks, kernel, stride, expansion, maps
TAPS = (2, 4, 10, 15)

Steps = Callable[[int], float]
"""Runs so many steps, and tells its CPU seconds."""


@dataclass(frozen=True)
class Networks:
    """What the config says of them."""

    width: int
    maps: int
    seen: int
    latent_size: int
    rate: float
    betas: tuple[float, float]


@dataclass(frozen=True)
class TorchKind:
    """How PyTorch computes."""

    once: bool
    channels_last: bool
    gpu: bool
    threads: int


def pictures(count: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, SIZE, SIZE, 3), np.uint8)


def ours(networks: Networks) -> tuple[Steps, list[int]]:
    import keras

    from artray.engine.adversarial import AdversarialTrainer
    from artray.gans.latents import draw_latents
    from artray.models.gans import discriminator, generator

    settings = {"width": networks.width, "maps": networks.maps, "seen": networks.seen}
    x = pictures(4 * BATCH)
    adam = {"learning_rate": networks.rate, "beta_1": networks.betas[0], "beta_2": networks.betas[1]}
    trainer = AdversarialTrainer(
        lambda: generator("projected", SIZE, networks.latent_size, settings=settings),
        lambda: discriminator("projected", SIZE, settings=settings, loss="hinge"),
        [lambda: keras.optimizers.Adam(**adam)] * 2,
        lambda step, number: draw_latents(number, networks.latent_size, "normal", (0, step)),
        loss="hinge",
    )
    learned = [
        sum(int(np.prod(one.shape)) for one in network.trainable_variables)
        for network in (trainer.generator, trainer.discriminator)
    ]
    state = {"step": 0}

    def run(steps: int) -> float:
        began = time.process_time()
        batches = [np.arange(BATCH) + (state["step"] + step) % 4 * BATCH for step in range(steps)]
        labels, rates = np.zeros((len(x), 0), np.float32), [(networks.rate, networks.rate)] * steps
        for _ in trainer.train(lambda rows: (x[rows], labels[rows]), batches, state["step"], rates):
            pass
        state["step"] += steps
        return time.process_time() - began

    return run, learned


def torch_generator(networks: Networks) -> Any:
    import torch
    from torch import nn

    maps = {4: 16, 8: 8, 16: 4, 32: 2, 64: 2}

    class Generator(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            width = {side: times * networks.width for side, times in maps.items()}
            self.dense = nn.Linear(networks.latent_size, 16 * 2 * width[4], bias=False)
            self.start = nn.BatchNorm2d(2 * width[4])
            self.doubles = nn.ModuleList(
                nn.Sequential(
                    nn.Upsample(scale_factor=2),
                    nn.Conv2d(width[side], 4 * width[2 * side] // 2, 3, 1, 1, bias=False),
                    nn.BatchNorm2d(2 * width[2 * side]),
                    nn.GLU(1),
                )
                for side in (4, 8, 16, 32)
            )
            self.excite = nn.Sequential(
                nn.Conv2d(width[4], width[64], 4, bias=False),
                nn.SiLU(),
                nn.Conv2d(width[64], width[64], 1, bias=False),
                nn.Sigmoid(),
            )
            self.picture = nn.Conv2d(width[64], 3, 3, 1, 1)

        def forward(self, latents: Any) -> Any:
            x = nn.functional.normalize(latents) * networks.latent_size**0.5
            small = x = nn.functional.glu(self.start(self.dense(x).unflatten(1, (-1, 4, 4))), 1)
            for double in self.doubles:
                x = double(x)
            return torch.tanh(self.picture(x * self.excite(small))) * 127.5 + 127.5

    return Generator()


def torch_projector(networks: Networks) -> Any:
    from torch import nn

    class Block(nn.Module):
        def __init__(self, before: int, after: int, kernel: int, stride: int, expansion: int) -> None:
            super().__init__()
            wide, layers = before * expansion, []
            if expansion > 1:
                layers += [nn.Conv2d(before, wide, 1), nn.ReLU6(inplace=True)]
            layers += [nn.Conv2d(wide, wide, kernel, stride, kernel // 2, groups=wide), nn.ReLU6(inplace=True)]
            self.layers = nn.Sequential(*layers, nn.Conv2d(wide, after, 1))

        def forward(self, x: Any) -> Any:
            found = self.layers(x)
            return found + x if self.kept and found.shape == x.shape else found

        kept = True

    class Projector(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.stem = nn.Sequential(nn.Conv2d(3, 32, 3, 2, 1), nn.ReLU6(inplace=True))
            blocks, before, seen = [], 32, []
            for count, kernel, stride, expansion, after in LITE0:
                for number in range(count):
                    blocks.append(Block(before, after, kernel, stride if number == 0 else 1, expansion))
                    blocks[-1].kept = number > 0
                    before = after
                    seen += [after] if len(blocks) - 1 in TAPS else []
            self.blocks = nn.ModuleList(blocks)
            maps = networks.maps
            self.across = nn.ModuleList(
                nn.Conv2d(channels, maps << place, 1, bias=False) for place, channels in enumerate(seen)
            )
            self.scales = nn.ModuleList(
                nn.Conv2d(maps << place, max(maps << place >> 1, maps), 1, bias=False) for place in range(4)
            )
            self.requires_grad_(False)

        def forward(self, x: Any) -> list[Any]:
            enlarged = {"size": (networks.seen, networks.seen), "mode": "bilinear", "align_corners": False}
            x = self.stem((x if networks.seen <= SIZE else nn.functional.interpolate(x, **enlarged)) / 128 - 127 / 128)
            found: list[Any] = []
            for number, block in enumerate(self.blocks):
                x = block(x)
                if number in TAPS:
                    found.append(self.across[len(found)](x))
            outputs: list[Any] = []
            for place in reversed(range(4)):
                x = self.scales[place](found[place] + outputs[0] if outputs else found[place])
                outputs.insert(0, nn.functional.interpolate(x, scale_factor=2, mode="bilinear", align_corners=True))
            return outputs

    return Projector()


def torch_heads(networks: Networks) -> Any:
    import torch
    from torch import nn
    from torch.nn.utils.parametrizations import spectral_norm

    def head(side: int, before: int, halvings: int) -> Any:
        layers: list[nn.Module] = []
        for number in range(halvings):
            if side <= 4:
                break
            after = max(8 * networks.maps >> (halvings - 1 - number), before if number else 1)
            conv = spectral_norm(nn.Conv2d(before, after, 4, 2, 1, bias=False))
            layers += [conv, nn.BatchNorm2d(after), nn.LeakyReLU(0.2, inplace=True)]
            before, side = after, -(-side // 2)
        return nn.Sequential(*layers, spectral_norm(nn.Conv2d(before, 1, min(4, side), bias=False)), nn.Flatten())

    class Heads(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            first = max(SIZE, networks.seen) // 2
            self.heads = nn.ModuleList(
                head(first >> place, max(networks.maps << place >> 1, networks.maps), 4 - place) for place in range(4)
            )

        def forward(self, found: list[Any]) -> Any:
            return torch.cat([one(x) for one, x in zip(self.heads, found, strict=True)], 1)

    return Heads()


def torch_loop(networks: Networks, kind: TorchKind) -> tuple[Steps, list[int]]:
    import torch
    from torch.nn.functional import relu

    torch.set_num_threads(kind.threads)
    device = torch.device("cuda" if kind.gpu else "cpu")
    layout = torch.channels_last if kind.channels_last else torch.contiguous_format
    built = (torch_generator(networks), torch_heads(networks), torch_projector(networks))
    generator, heads, projector = (network.to(device, memory_format=layout) for network in built)
    learned = [sum(one.numel() for one in network.parameters()) for network in (generator, heads)]
    make, judge = (
        torch.optim.Adam(network.parameters(), lr=networks.rate, betas=networks.betas) for network in (generator, heads)
    )
    x = torch.from_numpy(pictures(4 * BATCH)).permute(0, 3, 1, 2).contiguous(memory_format=layout)

    def generated() -> Any:
        return generator(torch.randn(BATCH, networks.latent_size, device=device))

    def learn(optimizer: Any, loss: Any) -> None:
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    def run(steps: int) -> float:
        began = time.process_time()
        for number in range(steps):
            real = x[number % 4 * BATCH :][:BATCH].to(device).to(torch.float32)
            with torch.no_grad():
                seen = projector(real)
            if kind.once:
                made = projector(generated())
                shown = [one.detach() for one in made]
            else:
                with torch.no_grad():
                    shown = projector(generated())
            heads.requires_grad_(True)
            learn(judge, relu(1 - heads(seen)).mean() + relu(1 + heads(shown)).mean())
            heads.requires_grad_(False)
            learn(make, -heads(made if kind.once else projector(generated())).mean())
        if kind.gpu:
            torch.cuda.synchronize()
        return time.process_time() - began

    return run, learned


def serve(networks: Networks, kind: TorchKind, pipe: Connection) -> None:
    run, learned = torch_loop(networks, kind)
    pipe.send(learned)
    with suppress(EOFError):  # when the benchmark ends
        while steps := pipe.recv():
            pipe.send(run(steps))


def in_process(networks: Networks, kind: TorchKind, learned: list[int]) -> Steps:
    here, there = multiprocessing.Pipe()
    multiprocessing.get_context("spawn").Process(target=serve, args=(networks, kind, there), daemon=True).start()
    there.close()  # so that a process that dies is seen
    if (parameters := here.recv()) != learned:
        raise SystemExit(f"not the same networks: {parameters} parameters learn, of ours {learned}")

    def run(steps: int) -> float:
        here.send(steps)
        return float(here.recv())

    return run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--steps", type=int, default=2, help="of one repeat")
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="of each loop")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="of gan_projected")
    options = parser.parse_args()
    import tensorflow as tf

    from artray.gans.config import read_config

    tf.config.threading.set_intra_op_parallelism_threads(options.threads)
    gpu = bool(tf.config.list_physical_devices("GPU"))
    config = read_config("gan_projected", dict(change.split("=", 1) for change in options.set))
    adam = config.generator.model_dump()
    networks = Networks(
        **config.model.settings(),
        latent_size=config.latent_size,
        rate=config.generator.learning_rate,
        betas=(adam["beta_1"], adam["beta_2"]),
    )
    runs: dict[str, Steps] = {}
    runs["ours"], learned = ours(networks)
    for once, last in itertools.product((False, True), (False, True)):
        name = f"PyTorch, {'seen once' if once else 'as published'}{', channels last' if last else ''}"
        runs[name] = in_process(networks, TorchKind(once, last, gpu, options.threads), learned)
    for run in runs.values():
        run(options.steps)
    wall: dict[str, list[float]] = {name: [] for name in runs}
    cpu: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(options.repeats):
        for name, run in runs.items():
            began = time.perf_counter()
            cpu[name].append(run(options.steps) / options.steps)
            wall[name].append((time.perf_counter() - began) / options.steps)
    table = Table("", "s a step, median", "from", "to", "CPU s a step", "ours is … times as fast", "… by CPU seconds")
    mine = [statistics.median(values["ours"]) for values in (wall, cpu)]
    for name in runs:
        medians = [statistics.median(values[name]) for values in (wall, cpu)]
        ratios = [f"{median / own:.2f}" for median, own in zip(medians, mine, strict=True)]
        ends = [f"{end(wall[name]):.2f}" for end in (min, max)]
        table.add_row(name, f"{medians[0]:.2f}", *ends, f"{medians[1]:.2f}", *(ratios if name != "ours" else ["", ""]))
    Console(width=140).print(table)


if __name__ == "__main__":
    main()
