"""System B6: the embedding, one pass of a frozen ImageNet backbone, kept so that every head trains on it in seconds."""

from dataclasses import dataclass, fields
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from artray.errors import InputError
from artray.models import DEFAULT_BACKBONE, EMBEDDED
from artray.models.batches import predict
from artray.storage import list_column

if TYPE_CHECKING:
    import keras


def embedding_columns(column: str, statistics: bool) -> list[str]:
    """The names of an embedding's columns."""
    if not statistics:
        return [column]
    return [column, "style_statistics" if column == Embedding.column else f"{column}_statistics"]


@dataclass
class Embedding:
    """A backbone's pooled output, and on request its style statistics.

    The model is built at its first use, and left out when the object is pickled: it can be sent to a Ray actor.

    Args:
        backbone: A name that `artray.models.backbones.backbone` knows, or the path of a `.keras` file.
        size: The pictures' height and width in pixels.
        weights: "imagenet", None, or a path, as in `backbone`.
        statistics: Whether the means and standard deviations of every block's output come too (B6, second form; of
            EfficientNet-Lite, and of transformers that `prepare-backbone` has made).
        batch_size: How many pictures go through the model at once (see `artray.models.batches.predict`).
        column: What its column is called, where a table has several backbones'.
        precision: "float32" or "bfloat16", in which the network is computed; its output is float32.
    """

    name: ClassVar[str] = "embedding"

    backbone: str = DEFAULT_BACKBONE
    size: int = 224
    weights: str | None = "imagenet"
    statistics: bool = False
    batch_size: int = 32
    column: str = "embedding"
    precision: str = "float32"

    @property
    def fields(self) -> list[pa.Field]:
        """Columns `embedding`, and with statistics `style_statistics`: lists of float32, each column's of one length.

        Of another `column` they are called by it: `embedding_NAME` and `embedding_NAME_statistics`.

        Builds the model, and raises the InputError of a backbone that can't be had.
        """
        return [pa.field(name, pa.list_(pa.float32())) for name in self._model.output]

    def __call__(self, images: NDArray[np.uint8]) -> dict[str, pa.Array]:
        """Embeds pictures.

        Args:
            images: RGB pictures (n, size, size, 3), 0..255.

        Returns:
            The columns of `fields`, n rows each.

        Raises:
            InputError: As `artray.models.backbones.backbone`, at the first call.
        """
        columns = predict(self._model, images, self.batch_size)
        return {name: list_column(column) for name, column in columns.items()}

    @cached_property
    def _model(self) -> "keras.Model":
        # What the package brings is built once for all who ask for the same; a file may be another by then.
        build = _network if self.backbone in EMBEDDED and self.weights == "imagenet" else _network.__wrapped__
        names = tuple(embedding_columns(self.column, self.statistics))
        return build(self.backbone, self.size, self.weights, names, self.precision)

    def __getstate__(self) -> dict[str, Any]:
        return {field.name: getattr(self, field.name) for field in fields(self)}


@lru_cache(maxsize=4)
def _network(name: str, size: int, weights: str | None, columns: tuple[str, ...], precision: str) -> "keras.Model":
    """A model from pictures to an `Embedding`'s columns: its output, and the style statistics where they have one."""
    # Here and not above: with Keras comes TensorFlow, seconds that a driver should not wait for.
    import keras

    from artray.models.backbones import backbone
    from artray.models.efficientnet_lite import style_statistics
    from artray.models.half_precision import in_bfloat16
    from artray.models.vision_transformer import token_statistics

    model = backbone(name, size, weights)
    if len(columns) == 1:
        outputs = [model.outputs[0]]
    elif name in EMBEDDED:
        both = style_statistics(model).output
        outputs = [both["embedding"], both["statistics"]]
    else:
        of_tokens = token_statistics(model)
        if of_tokens is None:
            raise InputError(
                f"style statistics need the backbone {', '.join(EMBEDDED)}, or a transformer of prepare-backbone, not "
                f"{name}"
            )
        outputs = [model.outputs[0], of_tokens]
    network = keras.Model(model.inputs, dict(zip(columns, outputs, strict=True)))
    return in_bfloat16(network) if precision == "bfloat16" else network
