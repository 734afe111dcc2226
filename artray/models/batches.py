"""A model's output for any number of inputs."""

from __future__ import annotations

from threading import Lock
from typing import Any, TypeAlias
from weakref import WeakKeyDictionary

import numpy as np
import numpy.typing as npt

from artray.storage.chunks import BATCH, LARGEST

Inputs: TypeAlias = npt.NDArray[Any] | list[npt.NDArray[Any]]

_fitting: WeakKeyDictionary[Any, int] = WeakKeyDictionary()
"""Of models for which a batch was too large once: the size that fits a GPU's memory."""


_turn = Lock()
"""Of those who call models: two at once would take a GPU's memory twice."""

_PICTURE = 32 * 2**20
"""Bytes that a picture of 224 by 224 may take in a GPU's memory: VGG's largest activations, in and out."""


def batch_of(gpu_memory: int) -> int:
    """How many pictures of 224 by 224 go through a model at once.

    Args:
        gpu_memory: The GPU's, in bytes; half of it is counted on. 0: there is none, and a batch is `chunks.BATCH`.

    Returns:
        A power of two, no more than a chunk has rows.
    """
    fitting = gpu_memory // 2 // _PICTURE
    return min(max(BATCH, 1 << fitting.bit_length() - 1 if fitting else 0), LARGEST)


def largest_batch(batch: int, side: int) -> int:
    """How many pictures have about the pixels of `batch` pictures of 224 by 224: a model's memory grows with them.

    Args:
        batch: How many pictures of 224 by 224, or smaller ones, a model is given at once.
        side: Of the pictures at hand, in pixels.
    """
    return max(1, batch // max(1, side // 224) ** 2)


def predict(model: Any, inputs: Inputs, batch: int) -> Any:
    """A Keras model's output, in batches that are all filled up to one size.

    So there is one compiled function, and no output depends on how many others were asked for with it. Where a GPU's
    memory is too small for a batch, it is halved until it fits. Threads take turns.

    Args:
        model: The model.
        inputs: (n, *shape), or a list of such arrays for a model with several inputs.
        batch: How many go through the model at once.

    Returns:
        Float32, (n, *shape of the output); for a model with several outputs, in the model's own structure.
    """
    while True:
        batch = min(batch, _fitting.get(model, batch))
        try:
            return _in_batches(model, inputs, batch)
        except Exception as error:
            # TensorFlow's. By name: this module does without TensorFlow.
            if type(error).__name__ != "ResourceExhaustedError" or batch == 1:
                raise
            _fitting[model] = batch // 2


def _in_batches(model: Any, inputs: Inputs, batch: int) -> Any:
    from keras import tree

    several = isinstance(inputs, list)
    arrays = inputs if isinstance(inputs, list) else [inputs]
    number = len(arrays[0])

    def joined(output: Any, *of_batches: Any) -> npt.NDArray[np.float32]:
        whole = np.empty((number, *output.shape[1:]), np.float32)
        for index, of_batch in enumerate(of_batches):
            rows = whole[index * batch : (index + 1) * batch]
            rows[:] = np.asarray(of_batch)[: len(rows)]
        return whole

    # Keras would have XLA compile the model on a GPU: many seconds, which a pass over few pictures never gets back.
    model.jit_compile = False
    outputs = []
    for start in range(0, number, batch):
        batches = [_filled(array[start : start + batch], batch) for array in arrays]
        with _turn:
            outputs.append(model.predict_on_batch(batches if several else batches[0]))
    return tree.map_structure(joined, outputs[0] if outputs else model.output, *outputs)


def _filled(rows: npt.NDArray[Any], batch: int) -> npt.NDArray[Any]:
    if len(rows) == batch:
        return rows
    return np.concatenate([rows, np.zeros((batch - len(rows), *rows.shape[1:]), rows.dtype)])
