"""Keras architectures and losses only, on keras.layers and keras.ops: no Ray, and no backend's own names."""

# Here, so that it can be known without loading Keras.
DEFAULT_BACKBONE = "efficientnet-lite0"
EMBEDDED = {DEFAULT_BACKBONE: 224, "efficientnet-lite1": 240, "efficientnet-lite2": 260}
"""The backbones whose weights come as Python packages, and the side in pixels that these were trained with."""

BY_FOLDS = "folds"
"""As the weight decay of a linear head: one that folds of the training part choose, before the head is trained."""
