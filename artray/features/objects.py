"""System B5: the objects that a detector of real-world things sees in a picture, and their encoding for a model.

The detector runs at a very low threshold: "low certainties, a wide distribution of weird objects" tells a cubist
picture from a realist one, and where the objects are is composition. The study (001) ended on the question how to
encode that; `ENCODING` is our answer.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, ClassVar, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from artray.errors import InputError
from artray.storage import Location, list_column
from artray.vocabulary import coco

LABELS = tuple(coco.NAMES.values())
SCORE_EDGES = (0.0, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5)
"""Where the bins of the score histogram begin; the last ends at 1."""
GRID = 4

ENCODING: tuple[str, ...] = (
    *(f"max_score/{label}" for label in LABELS),
    *(f"count/{label}" for label in LABELS),
    *(f"scores_from/{edge:g}" for edge in SCORE_EDGES),
    "detections",
    "score_sum",
    "score_entropy",
    "class_entropy",
    *(f"grid/{row},{column}" for row in range(GRID) for column in range(GRID)),
    "centroid_x",
    "centroid_y",
    "spread_x",
    "spread_y",
    "balance_x",
    "balance_y",
)
"""What the entries of `objects_encoding` are, in order.

    max_score/LABEL    highest score of the class, 0..1; 0 where it was not seen
    count/LABEL        detections of the class
    scores_from/EDGE   share of the detections with a score from EDGE to the next edge; together 1
    detections         how many there are
    score_sum          sum of their scores, the score mass
    score_entropy      entropy in nats of the score mass over the detections: high where none stands out
    class_entropy      entropy in nats of the score mass over the classes: high for a wide distribution of things
    grid/ROW,COLUMN    share of the score mass in each cell of a 4x4 grid from the top left; together 1. A detection's
                       score is spread evenly over its box.
    centroid_x, _y     mean of the boxes' centres weighted by score: -1 left or top edge, 0 middle, 1 right or bottom
    spread_x, _y       standard deviation of the same, 0..1
    balance_x, _y      share of the score mass in the right half less that in the left, bottom less top; -1..1

All are 0 where nothing was detected.
"""

# Thinner boxes count as this wide, so that each has an area to spread its score over. A power of two: exact.
_THINNEST = 2.0**-10
_INDEX = {label: index for index, label in enumerate(LABELS)}


class Detection(NamedTuple):
    """One object: a COCO name, a score and a box in 0..1 of the picture's height and width.

    An item of the column `objects` is one by keyword: `Detection(**item)`.
    """

    label: str
    score: float
    ymin: float
    xmin: float
    ymax: float
    xmax: float


@dataclass
class Objects:
    """What a detector sees, item by item and as numbers of fixed length.

    The detector is a TensorFlow SavedModel with the signature of the TF Object Detection API: uint8 [1, height, width,
    3] in; `detection_boxes` (ymin, xmin, ymax, xmax in 0..1), `detection_scores`, `detection_classes` (COCO's numbers)
    and `num_detections` out. It is loaded at its first use, and left out when the object is pickled. A SavedModel is a
    program: use one that you trust.

    Pictures come stretched to a square, as for all features. Such detectors resize by themselves, many of them by the
    same stretching, and boxes relative to the square are right for the picture as well. With one that keeps the
    aspect, long narrow pictures suffer; `detect` takes a picture at its own aspect.

    Columns:
        `objects`: list of struct, surest first: `label` (COCO name), `score` and `ymin`, `xmin`, `ymax`, `xmax`.
        `objects_encoding`: float32, the entries named in `ENCODING`.

    Args:
        detector: The SavedModel's folder or s3:// prefix.
        size: Side in pixels at which pictures are decoded; the detector's own input size or more.
        threshold: The least score that counts.
        limit: The most detections that count in a picture.

    Raises:
        InputError: There is no SavedModel.
    """

    name: ClassVar[str] = "objects"
    fields: ClassVar[list[pa.Field]] = [
        pa.field(
            "objects",
            pa.list_(pa.struct([("label", pa.string()), *((name, pa.float32()) for name in Detection._fields[1:])])),
        ),
        pa.field("objects_encoding", pa.list_(pa.float32())),
    ]

    detector: str
    size: int = 512
    threshold: float = 0.0001
    limit: int = 100

    def __post_init__(self) -> None:
        if not (Location.parse(self.detector) / "saved_model.pb").exists():
            raise InputError(f"{self.detector}: not a detector: there is no saved_model.pb")

    def __call__(self, images: NDArray[np.uint8]) -> dict[str, pa.Array]:
        """Look for objects in pictures, (n, size, size, 3), one after the other as the signature wants.

        Raises:
            InputError: The SavedModel has another signature, or classes that are not COCO's.
        """
        detected = [self.detect(image) for image in images]
        encodings = np.array([encode_objects(detections) for detections in detected], np.float32)
        return {
            "objects": pa.array(
                [[item._asdict() for item in detections] for detections in detected], self.fields[0].type
            ),
            "objects_encoding": list_column(encodings.reshape(-1, len(ENCODING))),
        }

    def detect(self, image: NDArray[np.uint8]) -> list[Detection]:
        """The objects in one picture, (h, w, 3), surest first.

        Raises:
            InputError: As `__call__`.
        """
        outputs = {name: value.numpy()[0] for name, value in self._detect(image[None]).items()}
        n = int(outputs["num_detections"])
        numbers = outputs["detection_classes"][:n].astype(int)
        scores, boxes = outputs["detection_scores"][:n], outputs["detection_boxes"][:n]
        # A box with its ends swapped, or NaN, is none.
        counts = (scores >= self.threshold) & (boxes[:, :2] <= boxes[:, 2:]).all(axis=1)
        strange = set(numbers[counts].tolist()) - set(range(1, coco.LARGEST_ID + 1))
        if strange:
            raise InputError(
                f"{self.detector}: not a detector of COCO's classes 1 to 90: it found class {min(strange)}"
            )
        rows = zip(numbers[counts], scores[counts].tolist(), boxes[counts].tolist(), strict=True)
        detections = [Detection(coco.NAMES[number], score, *box) for number, score, box in rows if number in coco.NAMES]
        # All fields are compared, so that the order of equal scores is the same in every run.
        return sorted(detections, key=lambda item: (-item.score, *item))[: self.limit]

    @cached_property
    def _detect(self) -> Any:
        # Here and not above: TensorFlow takes seconds to import that a driver should not wait for.
        import tensorflow as tf

        with TemporaryDirectory() as copy:
            detector = Location.parse(self.detector)
            folder = Path(detector.uri)
            if detector.is_s3:
                folder = Path(copy)
                detector.download(folder)
            try:
                model = tf.saved_model.load(str(folder))
            except Exception as error:
                reason = " ".join(str(error).split())[:200]
                raise InputError(f"{self.detector}: the SavedModel can't be loaded: {reason}") from error
        function = model.signatures.get("serving_default")
        problem = (
            "there is no signature serving_default" if function is None else _signature_problem(function, self.size)
        )
        if problem:
            raise InputError(f"{self.detector}: not a detector as the TF Object Detection API exports it: {problem}")
        (input_name,) = function.structured_input_signature[1]

        def detect(images: NDArray[np.uint8]) -> Any:
            _ = model  # holds the variables, to which the function has weak references only
            outputs = function(**{input_name: tf.constant(images)})
            return {name: outputs[name] for name in _OUTPUTS}

        return detect

    def __getstate__(self) -> dict[str, Any]:
        return {field.name: getattr(self, field.name) for field in fields(self)}


_OUTPUTS = ("detection_boxes", "detection_scores", "detection_classes", "num_detections")


def _signature_problem(function: Any, size: int) -> str | None:
    inputs = list(function.structured_input_signature[1].values())
    if len(inputs) != 1:
        return f"it takes {len(inputs)} inputs"
    (spec,) = inputs
    if spec.dtype != "uint8" or not spec.shape.is_compatible_with((1, size, size, 3)):
        return f"it takes {spec.dtype.name} {spec.shape}, not uint8 (1, {size}, {size}, 3)"
    missing = [name for name in _OUTPUTS if name not in function.structured_outputs]
    return f"it has no output {', '.join(missing)}" if missing else None


def encode_objects(detections: Sequence[Detection]) -> NDArray[np.float32]:
    """The entries named in `ENCODING`, for one picture's detections in any order.

    Sums are rounded once (`math.fsum`): neither the order of detections nor mirroring them changes a bit.
    """
    score_sum = math.fsum(item.score for item in detections)
    if score_sum == 0:
        return np.zeros(len(ENCODING), np.float32)
    classes = np.array([_INDEX[item.label] for item in detections])
    scores, ymin, xmin, ymax, xmax = np.array([item[1:] for item in detections], np.float64).T
    max_scores = np.zeros(len(LABELS))
    np.maximum.at(max_scores, classes, scores)
    bins = np.digitize(scores, SCORE_EDGES) - 1
    mass = scores / score_sum
    class_mass = [math.fsum(mass[classes == index]) for index in np.unique(classes)]
    y, x = _extent(ymin, ymax), _extent(xmin, xmax)
    cells = mass[:, None, None] * _cell_shares(*y)[:, :, None] * _cell_shares(*x)[:, None, :]
    grid = np.array([math.fsum(cell) for cell in cells.reshape(len(cells), -1).T]).reshape(GRID, GRID)
    centroid_y, spread_y = _moments(mass, *y)
    centroid_x, spread_x = _moments(mass, *x)
    return np.concatenate(
        [
            max_scores,
            np.bincount(classes, minlength=len(LABELS)),
            np.bincount(bins, minlength=len(SCORE_EDGES)) / len(scores),
            [len(scores), score_sum, _entropy(mass), _entropy(class_mass)],
            grid.ravel(),
            [centroid_x, centroid_y, spread_x, spread_y, _balance(grid.T), _balance(grid)],
        ]
    ).astype(np.float32)


Floats = NDArray[np.float64]


def _extent(low: Floats, high: Floats) -> tuple[Floats, Floats]:
    """Ends of the boxes along one axis: inside the picture, and not too thin."""
    low, high = np.clip(low, 0, 1), np.clip(high, 0, 1)
    middle, half = (low + high) / 2, np.maximum(high - low, _THINNEST) / 2
    return np.maximum(middle - half, 0), np.minimum(middle + half, 1)


def _cell_shares(low: Floats, high: Floats) -> Floats:
    """How much of each box lies in each of the grid's rows or columns, (n, GRID)."""
    edges = np.linspace(0, 1, GRID + 1)
    overlap = np.minimum(high[:, None], edges[1:]) - np.maximum(low[:, None], edges[:-1])
    shares: Floats = np.maximum(overlap, 0) / (high - low)[:, None]
    return shares


def _moments(mass: Floats, low: Floats, high: Floats) -> tuple[float, float]:
    """Mean and standard deviation of the boxes' centres along one axis, -1..1."""
    centres = low + high - 1
    mean = math.fsum(mass * centres)
    return mean, math.sqrt(math.fsum(mass * (centres - mean) ** 2))


def _entropy(shares: Iterable[float]) -> float:
    return -math.fsum(share * math.log(share) for share in shares if share > 0)


def _balance(grid: Floats) -> float:
    half = GRID // 2
    return math.fsum(grid[half:].flat) - math.fsum(grid[:half].flat)
