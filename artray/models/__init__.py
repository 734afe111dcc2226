"""Keras architectures and losses only, on keras.layers and keras.ops: no Ray, and no backend's own names."""

DEFAULT_BACKBONE = "efficientnet-lite0"  # here, so that it can be known without loading Keras
