"""Steps compiled by XLA, where that is faster and can be done."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, TypeAlias

import tensorflow as tf

from artray.engine.arithmetic import Compile, may_compile
from artray.errors import InputError

Jit: TypeAlias = Callable[[Callable[..., Any]], Callable[..., Any]]
"""From a function of tensors to the same function, compiled or not."""

# What XLA says of an operation that it lacks, of a shape that it can't know, or of a machine without its tools.
_REFUSALS = (
    tf.errors.InvalidArgumentError,
    tf.errors.UnimplementedError,
    tf.errors.InternalError,
    tf.errors.UnknownError,
    tf.errors.NotFoundError,
)


class Compiled:
    """A function of tensors, as a graph; what it hands to `jit` is compiled by XLA, where that can be.

    Where XLA can't compile it, `auto` goes on without, once and for all: that shows before a variable has changed.

    Args:
        function: Takes tensors, and `jit`: from a function of tensors to the same one, compiled or not.
        how: on, off, or auto: on one GPU.
        replicas: How many there are of the function's network, in all processes.
        varying: How many of the tensors' first dimensions are of another size from call to call.
    """

    def __init__(self, function: Callable[..., Any], how: Compile, replicas: int = 1, varying: int = 1):
        self._plain = _Graph(partial(function, jit=as_it_is), varying)
        self._fast: _Graph | None = None
        if may_compile(how, replicas) and (how == "on" or tf.config.list_logical_devices("GPU")):
            self._fast = _Graph(partial(function, jit=_by_xla), varying)
        self._must, self._proved = how == "on", False

    def __call__(self, *tensors: Any, often: bool = True) -> Any:
        """The function's result.

        Args:
            tensors: Its arguments.
            often: Whether tensors of these shapes come so often that they are worth compiling for.

        Raises:
            InputError: XLA can't compile it, and must.
        """
        if self._fast is None or not often:
            return self._plain(*tensors)
        try:
            result = self._fast(*tensors)
        except _REFUSALS as error:
            if self._proved:
                raise
            if self._must:
                reason = " ".join(str(error).split())[:200]
                raise InputError(f"--compile on: XLA can't compile this model; use auto or off: {reason}") from error
            self._fast = None
            return self._plain(*tensors)
        self._proved = True
        return result


class _Graph:
    """A function of tensors as a graph, traced for any size of their first dimensions.

    TensorFlow would trace it for the sizes that come first, and anew for fewer steps at the first epoch's end.
    """

    def __init__(self, function: Callable[..., Any], varying: int):
        self._function: Any = graph(function, reduce_retracing=True)
        self._type_of, self._is_traced = partial(_type, varying), False

    def __call__(self, *tensors: Any) -> Any:
        if not self._is_traced:
            self._function.get_concrete_function(*tf.nest.map_structure(self._type_of, tensors))
            self._is_traced = True
        return self._function(*tensors)


def _type(varying: int, tensor: Any) -> Any:
    """The type of a tensor, or of one for each replica, whatever the size of its first dimensions."""
    none = (slice(0),) * varying
    empty = tf.nest.map_structure(lambda one: one[none[: one.shape.rank]], tensor, expand_composites=True)
    of_tensor, of_empty = (tf.type_spec_from_value(one) for one in (tensor, empty))
    return of_tensor.most_specific_common_supertype([of_empty])


def as_it_is(function: Callable[..., Any]) -> Callable[..., Any]:
    """The `Jit` that compiles nothing."""
    return function


def _by_xla(function: Callable[..., Any]) -> Callable[..., Any]:
    return graph(function, jit_compile=True)


def graph(function: Callable[..., Any], **options: Any) -> Callable[..., Any]:
    """A function of tensors as a graph, its code taken as it stands: AutoGraph would rewrite all of Keras' first.

    Args:
        function: Without `if`, `for` or `len` of a tensor.
        **options: Those of `tf.function`.
    """
    return tf.function(function, autograph=False, **options)  # type: ignore[no-any-return]


def one_by_one(number: Any, function: Callable[[Any], Any], shape: Sequence[int] = ()) -> Any:
    """What a function gives for 0 to `number` - 1, in a graph, each after the one before.

    Args:
        number: A tensor.
        function: From a number, a tensor, to a float32 tensor of this shape.
        shape: Of what is given for one.

    Returns:
        (number, *shape) float32.
    """
    results = tf.TensorArray(tf.float32, size=number, element_shape=shape)
    _, results = tf.while_loop(
        lambda index, _: index < number,
        lambda index, results: (index + 1, results.write(index, function(index))),
        (tf.zeros_like(number), results),
    )
    return results.stack()
