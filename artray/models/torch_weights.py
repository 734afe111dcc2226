"""Reads the tensors of a legacy PyTorch checkpoint with NumPy alone.

A `.pth` file is a pickle, and a pickle can run any code when it is opened. This reader knows four names, none
of which can do anything but hold numbers, and refuses every other.
"""

import math
import pickle
import pickletools
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
from numpy.typing import NDArray

from artray.errors import InputError

# The first pickle of a legacy checkpoint, and the second: `torch.serialization.MAGIC_NUMBER`, `PROTOCOL_VERSION`.
_MAGIC_NUMBER = 0x1950A86A20F9469CFC6C
_PROTOCOL_VERSION = 1001

_MOST_REMEMBERED = 1 << 20  # things in a pickle; of a network with a thousand tensors there are some ten thousand

_STORAGE_DTYPES = {"FloatStorage": "<f4", "LongStorage": "<i8"}


class _Storage(NamedTuple):
    key: str
    dtype: np.dtype[Any]
    length: int


class _Tensor(NamedTuple):
    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


class _RestrictedUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> object:
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if module == "torch" and name in _STORAGE_DTYPES:
            return _STORAGE_DTYPES[name]
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            # A new function each time: a pickle can set attributes on what it is given.
            return lambda storage, offset, shape, strides, *_: _Tensor(storage, offset, shape, strides)
        raise pickle.UnpicklingError(f"{module}.{name} is not allowed")

    def persistent_load(self, pid: tuple[str, str, str, str, int, object]) -> _Storage:
        kind, dtype, key, _device, length, view = pid
        if kind != "storage" or view is not None or dtype not in _STORAGE_DTYPES.values():
            raise pickle.UnpicklingError(f"unknown storage {kind!r}")
        return _Storage(key, np.dtype(dtype), length)


def read_torch_weights(path: Path) -> dict[str, NDArray[Any]]:
    """Reads a state dict saved by `torch.save(..., _use_new_zipfile_serialization=False)`.

    Args:
        path: The legacy `.pth` file (PyTorch before 1.6), with float32 and int64 tensors only.

    Returns:
        The tensors by name, in the file's order, as read-only arrays in PyTorch's axis order
        (convolution kernels: out, in, height, width).

    Raises:
        InputError: The file can't be read, is no such checkpoint, is cut short, or names anything but tensors.
    """
    try:
        with path.open("rb") as file:
            return _read(file)
    except OSError as error:
        raise InputError(f"{path}: can't be read ({error.strerror})") from error
    # Damaged pickles raise about anything; nothing else is called in there.
    except Exception as error:
        raise InputError(f"{path}: not a legacy PyTorch checkpoint of plain tensors ({error})") from error


def _read(file: BinaryIO) -> dict[str, NDArray[Any]]:
    if _unpickle(file) != _MAGIC_NUMBER or _unpickle(file) != _PROTOCOL_VERSION:
        raise ValueError("wrong magic number")
    if not _unpickle(file)["little_endian"]:
        raise ValueError("big-endian numbers")
    tensors = _unpickle(file)
    if not isinstance(tensors, dict) or not all(isinstance(tensor, _Tensor) for tensor in tensors.values()):
        raise ValueError("no state dict")
    storages = {tensor.storage.key: tensor.storage for tensor in tensors.values()}
    numbers = {key: _read_numbers(file, storages[key]) for key in _unpickle(file)}
    return {name: _strided(numbers, tensor) for name, tensor in tensors.items()}


def _unpickle(file: BinaryIO) -> Any:
    start = file.tell()
    # Python's unpickler has a list of what a pickle remembers, as long as the largest number in it: a damaged one would
    # take all of the machine's memory.
    for opcode, argument, _ in pickletools.genops(file):
        if opcode.name in ("PUT", "LONG_BINPUT") and not 0 <= int(argument or 0) < _MOST_REMEMBERED:
            raise ValueError("impossible memo")
    file.seek(start)
    return _RestrictedUnpickler(file).load()


def _read_numbers(file: BinaryIO, storage: _Storage) -> NDArray[Any]:
    length = int.from_bytes(file.read(8), "little")
    if length != storage.length:
        raise ValueError(f"storage {storage.key} has {length} numbers instead of {storage.length}")
    return np.frombuffer(file.read(length * storage.dtype.itemsize), storage.dtype, length)


def _strided(numbers: Mapping[str, NDArray[Any]], tensor: _Tensor) -> NDArray[Any]:
    storage = numbers[tensor.storage.key]
    if len(tensor.shape) != len(tensor.strides) or min((tensor.offset, *tensor.shape, *tensor.strides)) < 0:
        raise ValueError("impossible tensor shape")
    # `as_strided` checks nothing: a forged shape would read the process's memory.
    size = math.prod(tensor.shape)
    last = tensor.offset + sum((n - 1) * stride for n, stride in zip(tensor.shape, tensor.strides, strict=True))
    if size > 0 and (last >= len(storage) or size > len(storage)):
        raise ValueError("tensor outside its storage")
    strides = tuple(stride * storage.itemsize for stride in tensor.strides)
    return np.lib.stride_tricks.as_strided(storage[tensor.offset :], tensor.shape, strides, writeable=False)
