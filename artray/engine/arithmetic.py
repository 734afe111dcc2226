"""How a network is computed: in which precision, and whether compiled. Weights are float32 always."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Literal

from pydantic import BeforeValidator

from artray.models.half_precision import FAST_FROM

_OLDER = "mixed_"  # as older configs, and Keras, begin the names of the half precisions


def _in_the_words_of_today(value: object) -> object:
    return value.removeprefix(_OLDER) if isinstance(value, str) else value


def _as_it_is_written(value: object) -> object:
    return {True: "on", False: "off"}[value] if isinstance(value, bool) else value  # for YAML on and off are yes and no


Precision = Annotated[Literal["auto", "float32", "bfloat16", "float16"], BeforeValidator(_in_the_words_of_today)]
"""What a config's `precision` and `--precision` can be."""

Compile = Annotated[Literal["auto", "on", "off"], BeforeValidator(_as_it_is_written)]
"""What a config's `compile` and `--compile` can be."""


def policy(precision: Precision, compile: Compile = "auto", replicas: int = 1) -> str:
    """Keras' name of a precision.

    `auto` is bfloat16 where XLA compiles the steps for GPUs that all compute it fast, and float32 elsewhere: on CPUs
    too, also those that know bfloat16. On an H200 a step of EfficientNet-Lite0 takes bfloat16 less time than float32
    if it is compiled, and more if it is not: each operation's casts are operations too.
    """
    if precision == "auto":
        precision = "bfloat16" if may_compile(compile, replicas) and _is_bfloat16_fast() else "float32"
    return precision if precision == "float32" else _OLDER + precision.removeprefix(_OLDER)


def may_compile(compile: Compile, replicas: int) -> bool:
    """Whether XLA is asked to compile on a GPU; `auto`: with one replica, as with several it was tried on CPUs only."""
    return compile == "on" or (compile == "auto" and replicas == 1)


_COMPILED_FROM = 4_000
"""Steps. On an H200 XLA took 20 to 27 s for DCGAN and 50 s for EfficientNet-Lite0, whose steps then took 8 ms less
at least."""


def worth_compiling(compile: Compile, steps: int) -> Compile:
    """`auto` as what is done sooner: left to the machine for a training of many steps, `off` for a shorter one.

    Args:
        compile: What the config says; `on` and `off` stay as they are.
        steps: Of the whole training, so that one that is taken up again computes as it began.
    """
    return "off" if compile == "auto" and steps < _COMPILED_FROM else compile


def told(precision: Precision | None, compile: Compile | None) -> dict[str, str]:
    """What the options `--precision` and `--compile` change in a config."""
    # As texts: YAML takes a bare `on` and `off` for yes and no.
    given = {"precision": precision, "compile": compile}
    return {key: json.dumps(value) for key, value in given.items() if value is not None}


@contextmanager
def computed_in(policy: str) -> Iterator[None]:
    """Networks that are built in the block are computed so; `policy` is Keras' name, as from the function."""
    import keras

    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def _is_bfloat16_fast() -> bool:
    import tensorflow as tf  # here: configs are read where nothing is computed

    capabilities = [
        tf.config.experimental.get_device_details(gpu).get("compute_capability") or (0, 0)
        for gpu in tf.config.list_physical_devices("GPU")
    ]
    return bool(capabilities) and min(capabilities) >= FAST_FROM
