"""A model's output for any number of inputs."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt


def predict(model: Any, inputs: npt.NDArray[Any], batch: int) -> Any:
    """A Keras model's output, in batches that are all filled up to one size.

    So there is one compiled function, and no output depends on how many others were asked for with it.

    Args:
        model: With one input.
        inputs: (n, *shape).
        batch: How many go through the model at once.

    Returns:
        Float32, (n, *shape of the output); for a model with several outputs, in the model's own structure.
    """
    from keras import tree

    def joined(output: Any, *parts: Any) -> npt.NDArray[np.float32]:
        whole = np.empty((len(inputs), *output.shape[1:]), np.float32)
        for number, part in enumerate(parts):
            own = whole[number * batch : (number + 1) * batch]
            own[:] = np.asarray(part)[: len(own)]
        return whole

    outputs = []
    for start in range(0, len(inputs), batch):
        part = inputs[start : start + batch]
        if len(part) < batch:
            part = np.concatenate([part, np.zeros((batch - len(part), *part.shape[1:]), part.dtype)])
        outputs.append(model.predict_on_batch(part))
    return tree.map_structure(joined, outputs[0] if outputs else model.output, *outputs)
