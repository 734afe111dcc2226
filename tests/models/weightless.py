from collections.abc import Callable

import keras
from keras.src.backend.common import global_state


def weightless(build: Callable[..., keras.Model], *arguments: object) -> keras.Model:
    """A network of which only layers and shapes are looked at: its weights are never drawn, most of the work."""
    with keras.StatelessScope(initialize_variables=False):
        model = build(*arguments)
    # Keras keeps the variables, and would draw them when it next leaves such a scope, as a Lambda layer has one.
    global_state.set_global_attribute("uninitialized_variables", [])
    return model
