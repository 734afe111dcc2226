from collections.abc import Iterator

import pytest


@pytest.fixture
def eager() -> Iterator[None]:
    """Networks compute operation by operation: for a batch or two, tracing them takes longer than all else."""
    import tensorflow as tf

    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)
