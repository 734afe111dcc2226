"""artray's classifiers and features as scikit-learn's estimators, for its pipelines, searches and cross-validation.

It needs scikit-learn: `pip install 'artray[sklearn]'`. What is fitted here is what `train` fits to the same features; a
bundle, with its evaluation, threshold and provenance, is written by `train` alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, get_args

import numpy as np
import numpy.typing as npt

from artray.api.extraction import extract, unreadable
from artray.bundles.classifier import Decision
from artray.classifiers.calibration import softmax
from artray.classifiers.linear import Families, choose, families_of, solve
from artray.classifiers.out_of_fold import Folds, class_weights_of, drawn
from artray.errors import InputError
from artray.features.columns import matrix
from artray.features.specs import FEATURES
from artray.labeling.decisions import decide

try:
    from sklearn.base import BaseEstimator, ClassifierMixin, TransformerMixin
    from sklearn.utils.multiclass import check_classification_targets
    from sklearn.utils.validation import check_is_fitted, validate_data
except ModuleNotFoundError as error:
    raise ModuleNotFoundError("artray.estimators needs scikit-learn: pip install 'artray[sklearn]'") from error

_LEAST_VARIANCE = 1e-8  # of a feature that is scaled: as in `train`
_COLUMNS = {
    "embedding": "embedding",
    "style_statistics": "embedding",
    "brightness": "brightness",
    "texture": "texture",
    "palette_hsv": "palette",
    "palette_rgb": "palette",
    "palette_share": "palette",
    "color_map": "colormaps",
}


class _Linear(ClassifierMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """What all of them do: standardise, choose strengths by folds, solve, calibrate."""

    _name: str
    _weighted = False
    decision: Decision

    def fit(self, X: Any, y: Any, groups: Sequence[Any] | None = None) -> _Linear:
        """Learn from works.

        Args:
            X: (n, d) numbers.
            y: (n,) labels.
            groups: (n,) what the folds must not divide, such as the artist; default: each work stands for itself.

        Raises:
            ValueError: There are fewer than two classes, or numbers that are not finite, or a parameter is none.
        """
        if self.decision not in get_args(Decision):
            raise ValueError(f"decision: {' or '.join(get_args(Decision))}, not {self.decision!r}")
        X, y = validate_data(self, X, y, dtype=np.float64, ensure_min_samples=2)
        check_classification_targets(y)
        self.classes_, number = np.unique(y, return_inverse=True)
        if len(self.classes_) < 2:
            raise ValueError("there is only one class: nothing can be learned")
        targets = np.eye(len(self.classes_))[number]
        # Under a float32's resolution features are constants whose rounding must not be blown up.
        variance = X.var(axis=0)
        mean, deviation = X.mean(axis=0), np.sqrt(np.where(variance > _LEAST_VARIANCE, variance, 1.0))
        x = ((X - mean) / deviation).astype(np.float32)
        names = [str(group) for group in (range(len(x)) if groups is None else groups)]
        if len(names) != len(x):
            raise ValueError(f"groups: {len(names)} for {len(x)} works")
        families, settings = self._families(x.shape[1]), self._strengths()
        some = drawn(names)
        folds = Folds(x[some], targets[some], [names[row] for row in some.tolist()], weighted=self._is_weighted())
        chosen = choose(folds, families, settings)
        weights, bias = solve(
            lambda: [(x, targets)],
            families,
            chosen.strengths,
            chosen.scales,
            class_weights_of(targets, self._is_weighted()),
            width=x.shape[1],
        )
        temperature = chosen.together.temperature
        self.strengths_ = chosen.strengths
        self.shares_ = targets.mean(axis=0)
        self.coef_ = (weights / deviation[:, None] / temperature).T
        self.intercept_ = (bias - (mean / deviation) @ weights) / temperature
        return self

    def decision_function(self, X: Any) -> npt.NDArray[np.float64]:
        """Calibrated logits, (n, classes); of two classes the second's less the first's, (n,)."""
        logits = self._logits(X)
        return np.asarray(logits[:, 1] - logits[:, 0] if len(self.classes_) == 2 else logits)

    def predict_proba(self, X: Any) -> npt.NDArray[np.float64]:
        """Calibrated probabilities, (n, classes), under the mix of classes that was learned from."""
        return np.asarray(softmax(self._logits(X)), np.float64)

    def predict(self, X: Any) -> npt.NDArray[Any]:
        """The label of each work, (n,), by `decision`."""
        scores = self.predict_proba(X)
        return np.asarray(self.classes_[decide(scores, self.decision, shares=self.shares_).label])

    def _logits(self, X: Any) -> npt.NDArray[np.float64]:
        check_is_fitted(self)
        X = validate_data(self, X, dtype=np.float64, reset=False)
        return np.asarray(X @ self.coef_.T + self.intercept_)

    def _is_weighted(self) -> bool:
        told = getattr(self, "class_weights", None)
        if told not in ("balanced", None):
            raise ValueError(f"class_weights: balanced, or None, not {told!r}")
        return told == "balanced"

    def _families(self, width: int) -> Families:
        return families_of(self._name, {"": width})

    def _strengths(self) -> dict[str, float]:
        names = ("shrinkage", "middle_shrinkage", "penalty")
        given = {name: getattr(self, name, None) for name in names}
        strengths = {name: value for name, value in given.items() if value is not None}
        for name, value in strengths.items():
            if not 0 < value <= (np.inf if name == "penalty" else 1):
                raise ValueError(f"{name}: above 0{'' if name == 'penalty' else ', at most 1'}, not {value}")
        return strengths


class DiscriminantClassifier(_Linear):
    """Linear discriminant analysis with a shrunken covariance, calibrated: the config `lda`.

    Args:
        shrinkage: Above 0, at most 1; None: chosen by five folds of groups.
        decision: likely: the most likely label. balanced: the one whose probability is the largest multiple of its
            share of the works, as `train` has it by default.

    Attributes:
        classes_: (classes,) the labels, sorted.
        coef_: (classes, d) of the calibrated logits, in the features' own units.
        intercept_: (classes,).
        strengths_: What the folds chose.
    """

    _name = "lda"

    def __init__(self, shrinkage: float | None = None, decision: Decision = "likely"):
        self.shrinkage = shrinkage
        self.decision = decision


class LogisticClassifier(_Linear):
    """Logistic regression on standardised features, its penalty chosen by folds, calibrated: the model `logistic`.

    Args:
        penalty: Above 0; None: chosen by five folds of groups.
        class_weights: balanced: each class counts as much as any other; None: each work as any other. Probabilities
            are those under the mix of classes that was learned from, in both cases.
        decision: As of `DiscriminantClassifier`.

    Attributes:
        classes_: As of `DiscriminantClassifier`, and so are `coef_`, `intercept_` and `strengths_`.
    """

    _name = "logistic"

    def __init__(
        self, penalty: float | None = None, class_weights: str | None = "balanced", decision: Decision = "likely"
    ):
        self.penalty = penalty
        self.class_weights = class_weights
        self.decision = decision


class LinearMeanClassifier(_Linear):
    """The mean of discriminant analysis and logistic regression: the config `default`, which `train` takes by itself.

    Args:
        shrinkage: As of `DiscriminantClassifier`.
        middle_shrinkage: Of the analysis of the middle blocks' style statistics alone.
        penalty: As of `LogisticClassifier`.
        widths: How many numbers each group of features has, in order. A group called `style_statistics` has middle
            blocks, which then have an analysis of their own; `PictureFeatures.widths_` is such a mapping. None: there
            is one group.
        class_weights: As of `LogisticClassifier`.
        decision: As of `DiscriminantClassifier`.

    Attributes:
        classes_: As of `DiscriminantClassifier`, and so are `coef_`, `intercept_` and `strengths_`.
    """

    _name = "linear_mean"

    def __init__(
        self,
        shrinkage: float | None = None,
        middle_shrinkage: float | None = None,
        penalty: float | None = None,
        *,
        widths: Mapping[str, int] | None = None,
        class_weights: str | None = "balanced",
        decision: Decision = "likely",
    ):
        self.shrinkage = shrinkage
        self.middle_shrinkage = middle_shrinkage
        self.penalty = penalty
        self.widths = widths
        self.class_weights = class_weights
        self.decision = decision

    def _families(self, width: int) -> Families:
        if self.widths is not None and sum(self.widths.values()) != width:
            raise ValueError(f"widths: {sum(self.widths.values())} together, and there are {width} features")
        return families_of(self._name, self.widths or {"": width})


class PictureFeatures(TransformerMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """Numbers from pictures, as columns of `extract-features` side by side: the first step of a pipeline.

    It learns nothing. Pictures are what `artray.Classifier.predict` takes: a list of paths, an array of pictures, …;
    one that can't be read is an error.

    Args:
        columns: Which: embedding, style_statistics, brightness, texture, palette_hsv, palette_rgb, palette_share,
            color_map.
        backbone: Of the embedding and the style statistics.
        size: Side in pixels at which pictures are decoded; None: the backbone's own.
        weights: Of the backbone: imagenet, None or a file.

    Attributes:
        widths_: How many numbers each column has.
    """

    def __init__(
        self,
        columns: Sequence[str] = ("embedding",),
        backbone: str = "efficientnet-lite0",
        size: int | None = None,
        weights: str | None = "imagenet",
    ):
        self.columns = columns
        self.backbone = backbone
        self.size = size
        self.weights = weights

    def fit(self, X: Any, y: Any = None) -> PictureFeatures:
        """Nothing; it is there for pipelines."""
        return self

    def transform(self, X: Any) -> npt.NDArray[np.float32]:
        """Compute the columns of pictures, (n, d) float32.

        Raises:
            InputError: A picture can't be read, or there is no such column.
        """
        unknown = [name for name in self.columns if name not in _COLUMNS]
        if unknown or not self.columns:
            raise InputError(f"columns: {', '.join(unknown) or 'none'}; there are {', '.join(_COLUMNS)}")
        features = [name for name in FEATURES if name in {_COLUMNS[column] for column in self.columns}]
        settings: dict[str, Any] = {"backbone": self.backbone, "size": self.size, "weights": self.weights}
        table = extract(X, features, statistics="style_statistics" in self.columns, **settings).to_arrow()
        if told := unreadable(table):
            raise InputError(f"{told}; leave them out")
        matrices = {name: matrix(table[name], name) for name in self.columns}
        self.widths_ = {name: numbers.shape[1] for name, numbers in matrices.items()}
        return np.concatenate(list(matrices.values()), axis=1)

    def get_feature_names_out(self, input_features: Any = None) -> npt.NDArray[Any]:
        """The numbers' names, `embedding_0` and so on, after a first `transform`."""
        check_is_fitted(self, "widths_")
        names = [f"{name}_{number}" for name, width in self.widths_.items() for number in range(width)]
        return np.array(names, dtype=object)

    def __sklearn_is_fitted__(self) -> bool:
        return True

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.requires_fit = False
        tags.input_tags.two_d_array = False
        tags.input_tags.string = True
        tags.input_tags.three_d_array = True
        return tags
