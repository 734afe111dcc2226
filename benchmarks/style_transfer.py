"""Steps a second of style transfer by optimisation: ours against the same loop in PyTorch, on the same device.

    python benchmarks/style_transfer.py [--size 256] [--pictures 4] [--steps 10] [--repeats 3]

Both change the same pictures through EfficientNet-Lite0 with the same weights, softened maps, losses, smoothed changes
and Adam; before timing it is checked that both begin with the same losses. They take turns, with as many threads as the
process has CPUs; PyTorch in both of its memory layouts. Rates are of wall time; CPU time stands beside them, since
machines are shared. PyTorch is compared where it is installed (`pip install torch`; without GPU its build for CPUs is
enough).
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from artray.console import quiet, silent_stderr
from artray.style_transfer.optimizing import _RATE, _STYLE, Looks, Painter, unflattened

Array = np.ndarray


def made_pictures(number: int, size: int, seed: int) -> Array:
    """Pictures with frequencies as in pictures of the world."""
    chance = np.random.default_rng(seed)
    frequency = np.hypot(np.fft.fftfreq(size)[:, None], np.fft.rfftfreq(size)[None])
    frequency[0, 0] = np.inf
    waves = np.fft.rfft2(chance.standard_normal((number, 3, size, size))) / frequency
    picture = np.fft.irfft2(waves, (size, size)).transpose(0, 2, 3, 1)
    return np.clip(127.5 + 55 * picture / picture.std(), 0, 255).astype(np.uint8)


class TorchLoop:
    """The same loop, in PyTorch, as one would write it."""

    def __init__(
        self, painter: Painter, pictures: Array, targets: list[Array], smoothness: float, *, channels_last: bool
    ):
        import torch

        self._format = torch.channels_last if channels_last else torch.contiguous_format

        self._torch = torch
        torch.set_num_threads(len(os.sched_getaffinity(0)))
        self._device = "cuda" if torch.cuda.is_available() else "cpu"
        self._layers = self._read(painter._network.model)
        self._heats = painter._network.temperatures
        self._pictures = self._tensor(pictures.astype(np.float32).transpose(0, 3, 1, 2))
        self._targets = [self._tensor(target) for target in targets]
        self._smoothness = smoothness
        row = np.array([1, 4, 6, 4, 1], np.float32)
        self._blur = self._tensor(np.tile((np.outer(row, row) / 256)[None, None], (3, 1, 1, 1)))
        with torch.no_grad():
            self._content = self._maps(self._pictures)[1]

    def _tensor(self, values: Array) -> Any:
        tensor = self._torch.tensor(np.ascontiguousarray(values), device=self._device)
        return tensor.contiguous(memory_format=self._format) if tensor.ndim == 4 else tensor

    def _read(self, model: Any) -> list[tuple[str, str, list[Any], int]]:
        """The Keras model's layers in their order: name, kind, weights and stride."""
        layers = []
        for layer in model.layers:
            kind = type(layer).__name__
            weights = [np.asarray(weight) for weight in layer.get_weights()]
            if kind == "Conv2D":
                weights[0] = weights[0].transpose(3, 2, 0, 1)
            elif kind == "DepthwiseConv2D":
                weights[0] = weights[0].transpose(2, 3, 0, 1)
            stride = layer.strides[0] if "Conv" in kind else 1
            layers.append((layer.name, kind, [self._tensor(weight) for weight in weights], stride))
        return layers

    def _convolved(self, x: Any, weights: list[Any], stride: int, groups: int) -> Any:
        functional = self._torch.nn.functional
        kernel = weights[0].shape[-1]
        pads = []
        for side in (x.shape[3], x.shape[2]):  # as TensorFlow pads: what is odd goes to the end
            total = max((-(-side // stride) - 1) * stride + kernel - side, 0)
            pads += [total // 2, total - total // 2]
        if pads[0] == pads[1] == pads[2] == pads[3]:
            return functional.conv2d(x, weights[0], weights[1], stride, pads[0], groups=groups)
        return functional.conv2d(functional.pad(x, pads), weights[0], weights[1], stride, groups=groups)

    def _maps(self, x: Any) -> tuple[list[Any], Any]:
        found: dict[str, Any] = {}
        shortcut = x
        for name, kind, weights, stride in self._layers:
            if kind == "Rescaling":
                x = x / 128 - 127 / 128
            elif kind == "Conv2D":
                x = self._convolved(x, weights, stride, 1)
            elif kind == "DepthwiseConv2D":
                x = self._convolved(x, weights, stride, x.shape[1])
            elif kind == "ReLU":
                x = self._torch.nn.functional.relu6(x)
            elif kind == "Add":
                x = x + shortcut
            if kind in ("Add", "Identity") or name == "stem_relu":
                found[name] = shortcut = x
        wanted = ["stem_relu", "block0", "block2", "block4", "block7", "block10", "block4"]
        maps = [self._softened(found[name], heat) for name, heat in zip(wanted, self._heats, strict=True)]
        return maps[:-1], maps[-1]

    def _softened(self, maps: Any, heat: float) -> Any:
        flat = maps.reshape(len(maps), -1) / heat
        return (self._torch.softmax(flat, -1) * flat.shape[1]).reshape(maps.shape)

    def _losses(self, x: Any) -> Any:
        maps, content = self._maps(x)
        style = 0.0
        for one, target in zip(maps, self._targets, strict=True):
            flat = one.reshape(len(one), one.shape[1], -1)
            gram = flat @ flat.transpose(1, 2) / flat.shape[2]
            style = style + ((gram - target) ** 2).mean((1, 2)) / target.var(unbiased=False)
        own = self._content
        kept = ((content - own) ** 2).mean((1, 2, 3)) / own.var((1, 2, 3), unbiased=False)
        across, down = x[:, :, :, 1:] - x[:, :, :, :-1], x[:, :, 1:] - x[:, :, :-1]
        smooth = ((across**2).mean((1, 2, 3)) + (down**2).mean((1, 2, 3))) / 255.0**2
        return self._torch.stack([_STYLE * style / len(maps), kept, self._smoothness * smooth], -1)

    def __call__(self, steps: int) -> Array:
        """Losses before the first step, (n, 3)."""
        torch = self._torch
        field = torch.zeros_like(self._pictures, memory_format=self._format).requires_grad_()
        adam = torch.optim.Adam([field], lr=_RATE)
        plan = torch.optim.lr_scheduler.CosineAnnealingLR(adam, steps)
        first = None
        for _ in range(steps):
            adam.zero_grad()
            blurred = torch.nn.functional.conv2d(field, self._blur, padding=2, groups=3)
            losses = self._losses(torch.clamp(self._pictures + blurred, 0, 255))
            first = losses.detach().cpu().numpy() if first is None else first
            losses.sum().backward()
            adam.step()
            plan.step()
        if self._device == "cuda":
            torch.cuda.synchronize()
        assert first is not None
        return first


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=256, help="side in pixels (default: 256)")
    parser.add_argument("--pictures", type=int, default=4, help="in a batch (default: 4)")
    parser.add_argument("--steps", type=int, default=10, help="of a turn (default: 10)")
    parser.add_argument("--repeats", type=int, default=3, help="turns of each (default: 3)")
    options = parser.parse_args()
    quiet(verbose=False)
    with silent_stderr():
        painter = Painter(Looks(), options.size, scales=1)
    pictures = made_pictures(options.pictures, options.size, 0)
    row = painter.grams(made_pictures(2, options.size, 1)).mean(axis=0)
    targets = unflattened(row, painter.channels)
    content = np.asarray(painter._network(pictures.astype(np.float32))[1])
    constants = [np.full(options.pictures, _STYLE, np.float32), content, *targets]

    def ours() -> Array:
        return painter._descent(pictures, constants, steps=options.steps, rate=_RATE)[1][0]

    contenders: dict[str, Callable[[], Array]] = {"artray": ours}
    try:
        for name, last in (("PyTorch", False), ("PyTorch, channels last", True)):
            loop = TorchLoop(painter, pictures, targets, Looks().smoothness, channels_last=last)
            contenders[name] = partial(loop, options.steps)
    except ImportError:
        Console().print("PyTorch is not installed: only artray is measured")
    first = {name: contend() for name, contend in contenders.items()}  # builds, and warms up
    for name, losses in first.items():
        if not np.allclose(losses, first["artray"], rtol=0.01, atol=1e-4):
            raise SystemExit(f"{name} begins with other losses: {losses[0]} instead of {first['artray'][0]}")
    wall: dict[str, list[float]] = {name: [] for name in contenders}
    cpu: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(options.repeats):
        for name, contend in contenders.items():
            began, used = time.perf_counter(), time.process_time()
            contend()
            wall[name].append((time.perf_counter() - began) / options.steps)
            cpu[name].append((time.process_time() - used) / options.steps)
    table = Table("", "picture steps/s", "artray is … times it", "CPU s a step", "of CPU time")
    for name in contenders:
        seconds, work = statistics.median(wall[name]), statistics.median(cpu[name])
        table.add_row(
            name,
            f"{options.pictures / seconds:.2f}",
            f"{seconds / statistics.median(wall['artray']):.2f}",
            f"{work:.3f}",
            f"{work / statistics.median(cpu['artray']):.2f}",
        )
    Console().print(table)


if __name__ == "__main__":
    main()
