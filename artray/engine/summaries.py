"""What TensorBoard shows of a training."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path

import tensorflow as tf

from artray.storage import Location


class Summaries:
    """Scalars for TensorBoard; TensorBoard itself is not needed.

    Args:
        uri: The folder or prefix to write to.
    """

    def __init__(self, uri: Location):
        self._uri = uri
        self._folder = tempfile.TemporaryDirectory()  # TensorFlow's writer knows files only
        self._writer = tf.summary.create_file_writer(self._folder.name)
        self._kind = tf.compat.v1.SummaryMetadata()
        self._kind.plugin_data.plugin_name = "scalars"

    def write(self, step: int, values: Mapping[str, float]) -> None:
        """The values of one step."""
        with self._writer.as_default():
            for name, value in values.items():
                tf.summary.write(name, tf.constant(value, tf.float32), step=step, metadata=self._kind)
        self._writer.flush()
        for file in Path(self._folder.name).iterdir():
            (self._uri / file.name).write_bytes(file.read_bytes())
