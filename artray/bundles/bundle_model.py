"""A bundle's model at work: what its input has prepared of works goes in, scores come out."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from artray.bundles.classifier import Bundle, load_bundle, load_model, load_novelty
from artray.bundles.novelty import Novelty
from artray.features.specs import needs_model, spec_key
from artray.models.batches import predict
from artray.storage import Location

Scores = npt.NDArray[np.float32]


class BundleModel:
    """One bundle's model with its way from works to scores.

    Attributes:
        bundle: What the bundle says of itself.
        specs: Of the features it needs, by `spec_key`.
        decode_sizes: How it wants pictures decoded.
        ready: What tells its input from other models', where CPUs bring it about alone; None where a feature is a
            model's output.
        batch: How many inputs go through the model at once.
    """

    def __init__(self, uri: Location, batch: int, *, half: bool = False):
        """Read a bundle's description; its model is loaded at its first use.

        Args:
            uri: The bundle.
            batch: How many inputs go through the model at once, if they are pictures of 224 by 224 or smaller.
            half: Whether a network that looks at pixels is computed in bfloat16; one that looks at features costs
                nothing.
        """
        self.bundle: Bundle = load_bundle(uri)
        given = self.bundle.input
        self.specs = {spec_key(spec): spec for spec in given.specs()}
        self.decode_sizes = given.decode_sizes()
        self.ready = None if any(map(needs_model, self.specs.values())) else given.model_dump_json()
        self._uri = uri
        self._half = half and given.kind != "features"
        self.batch = given.batch_size(batch)

    @cached_property
    def _model(self) -> Any:
        model = load_model(self._uri, self.bundle)
        if not self._half:
            return model
        from artray.models.half_precision import in_bfloat16

        return in_bfloat16(model)

    @cached_property
    def _novelty(self) -> Novelty | None:
        return load_novelty(self._uri, self.bundle)

    def warm(self) -> None:
        """Load the model, and let it run once."""
        one = np.zeros((1, *self._model.input_shape[1:]), self.bundle.input.dtype)
        predict(self._model, one, self.batch)

    def scores(self, inputs: npt.NDArray[Any]) -> Scores:
        """Scores of works, (n, classes), from what the bundle's input has prepared of them."""
        return self.bundle.input.by_work(predict(self._model, inputs, self.batch))

    def novelty(self, inputs: npt.NDArray[Any]) -> Scores | None:
        """How little works look like any class, (n,) 0..1, from the same; None where the bundle doesn't know."""
        return None if self._novelty is None else self._novelty(inputs)
