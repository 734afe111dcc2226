"""A run's models, and the mix of classes under which each speaks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from artray import console
from artray.bundles.classifier import Bundle, load_bundle, read_predictions
from artray.bundles.novelty import LIMIT
from artray.errors import InputError
from artray.labeling.contract import read_notes
from artray.labeling.decisions import Prior, abstention_under, estimate_prior
from artray.labeling.models import identity
from artray.labeling.published import Published
from artray.storage import Location, dataset_digest, digest, stack_lists

_BATCH = 16_384


@dataclass(frozen=True)
class LabelModel:
    """One of a run's models.

    Attributes:
        uri: The bundle's.
        bundle: What it says of itself.
        identity: Of all that its scores depend on.
        source: Of all that its labels depend on: the scores, and the mix of classes.
        prior: Which mix.
        mix: (classes,) the shares where it is another than the training part's.
        abstain: From which score on labels are certain under this mix.
    """

    uri: Location
    bundle: Bundle
    identity: str
    source: str
    prior: Prior = "training"
    mix: npt.NDArray[Any] | None = None
    abstain: dict[str, Any] | None = None

    def under(self, mix: npt.NDArray[Any]) -> LabelModel:
        """The same in a collection of this mix of classes."""
        abstain = abstention_under(read_predictions(self.uri), self.bundle, mix)
        return replace(self, mix=mix, abstain=abstain)

    def notes(self) -> dict[str, Any]:
        """What the run's metadata says of it."""
        bundle = self.bundle
        return {
            "uri": str(self.uri),
            "task": bundle.task,
            "target": bundle.target,
            "model_id": bundle.model_id,
            "model_sha": bundle.model_sha,
            "identity": self.identity,
            "abstain": self.abstain,
            "decision": bundle.decision,
            "novelty": None if bundle.novelty_sha is None else LIMIT,
            "prior": {"kind": self.prior, "shares": self._shares()},
            "doubt": bundle.doubt,
            "labels": bundle.labels,
            "thresholds": bundle.thresholds,
            "concepts": {item.name: item.uri for item in bundle.classes if item.uri},
            "equivalents": {item.name: list(item.equivalents) for item in bundle.classes if item.equivalents},
        }

    def _shares(self) -> dict[str, float] | None:
        """The mix of classes that was used, by name; None where nobody knows it."""
        mix = self.bundle.class_shares() if self.mix is None else self.mix
        if mix is None:
            return None
        return {item.name: round(share, 6) for item, share in zip(self.bundle.classes, mix.tolist(), strict=True)}


def load_models(uris: Sequence[Location], prior: Prior, manifest: Location) -> list[LabelModel]:
    """The models of some bundles, for a collection with some mix of classes.

    Args:
        uris: The bundles.
        prior: Which mix.
        manifest: The collection; an estimated mix is one of its own.

    Raises:
        InputError: One can't be used, two have one task, or one knows no mix of classes.
    """
    models: dict[str, LabelModel] = {}
    for uri in uris:
        bundle = load_bundle(uri)
        if bundle.task in models:
            raise InputError(f"--model: {models[bundle.task].uri} and {uri} both label the task {bundle.task!r}")
        known = identity(bundle)
        model = LabelModel(uri, bundle, known, known, abstain=bundle.metrics.get("abstain"))
        if prior != "training":
            if bundle.multilabel:
                raise InputError(f"--prior {prior}: {uri} gives a work several labels, which have no mix of classes")
            if bundle.class_shares() is None:
                raise InputError(f"--prior {prior}: {uri} doesn't say the mix of classes of its works: train it again")
            told = dataset_digest(manifest.dataset()) if prior == "estimated" else ""
            model = replace(model, prior=prior, source=digest(known.encode(), prior.encode(), told.encode()))
        if prior == "balanced":
            model = model.under(np.full(len(bundle.classes), 1 / len(bundle.classes)))
        models[bundle.task] = model
    return list(models.values())


def with_mix(
    model: LabelModel, number: int, out: Location, staged: Location | None, published: Published | None
) -> LabelModel:
    """A model with the collection's mix of classes, as its scores tell it, where it is to be estimated.

    Args:
        model: The model.
        number: Which of the run's.
        out: Where the labels are.
        staged: The run's scores; None where nothing was computed.
        published: The run before.
    """
    training = model.bundle.class_shares()
    if model.prior != "estimated" or training is None:
        return model
    task, names = model.bundle.task, [item.name for item in model.bundle.classes]
    if published and task in published.tasks and published.tasks[task].source == model.source:
        # Only some works are labelled again: all stay under the mix that was found for all.
        for file in (out / published.tasks[task].labels).dataset().get_fragments():
            for bundle in read_notes(file).get("bundles", []):
                if bundle["model_id"] == model.bundle.model_id and bundle.get("prior"):
                    return model.under(np.array([bundle["prior"]["shares"][name] for name in names]))
    column = f"scores_{number}"
    blocks: list[npt.NDArray[np.float32]] = [np.zeros((0, len(names)), np.float32)]
    if staged is not None:
        batches = staged.dataset().to_batches(columns=[column], batch_size=_BATCH)
        lists = (batch.column(0).drop_null() for batch in batches)
        blocks.extend(stack_lists(each, column, len(names)).astype(np.float32) for each in lists)
    estimate = estimate_prior(np.concatenate(blocks), training)
    if not estimate.is_sure:
        console.say(
            f"{task}: the scores of {estimate.n:,} works don't tell the mix of classes: that of the training part is "
            "used"
        )
        return model.under(training)
    told = ", ".join(
        f"{name} {share:.0%} ({before:.0%})"
        for name, share, before in zip(names, estimate.shares.tolist(), training.tolist(), strict=True)
    )
    console.say(f"{task}: estimated mix of classes (training part): {told}")
    return model.under(estimate.shares)
