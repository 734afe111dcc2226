"""The forms in which a model can leave artray, one writer and one runner each.

saved_model   TensorFlow's SavedModel: TensorFlow, TensorFlow Serving
litert        LiteRT (once TensorFlow Lite), float32: phones, small computers
litert_int8   LiteRT with weights and activations of 8 bits, whose ranges come from works of the training part
onnx          ONNX: ONNX Runtime, and many others
openvino      OpenVINO's IR, float32: Intel's processors
keras_int8    a `.keras` file whose dense layers are of 8 bits; Keras quantizes no convolution

All take float32 as the bundle's model does (pictures: RGB 0..255) and give scores; the number of inputs is free.
"""

from __future__ import annotations

import os
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

Floats: TypeAlias = npt.NDArray[np.float32]
Runner: TypeAlias = Callable[[Floats], Floats]
"""From inputs (n, *shape) to scores (n, classes)."""

_INSTALL = "pip install 'artray[export]'"


class MissingPackageError(Exception):
    """A form needs a package that is not installed; the message says which, and how to install it."""


class Source:
    """A model on its way into other forms; a context, as what several forms need lies in a temporary folder.

    Args:
        model: A Keras model, from inputs to scores.
        representative: (n, *shape) float32: inputs by which a form may find the ranges of its numbers.
    """

    def __init__(self, model: Any, representative: Floats):
        self.model, self.representative = model, representative
        self._stack = ExitStack()

    def __enter__(self) -> Source:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    @cached_property
    def saved_model(self) -> str:
        """A folder with the model as SavedModel."""
        folder = self._stack.enter_context(tempfile.TemporaryDirectory())
        _write_saved_model(self, Path(folder))
        return folder


class Form(NamedTuple):
    """One form.

    Attributes:
        title: What people are told.
        write: Writes a model's files into a folder that is there.
        load: Gives what runs those files.
        files: Regular expressions for the paths that `write` may write, below the form's folder.
        exact: Whether its scores are those of the model but for floating point.
    """

    title: str
    write: Callable[[Source, Path], None]
    load: Callable[[Path], Runner]
    files: tuple[str, ...]
    exact: bool = True


def _write_saved_model(source: Source, folder: Path) -> None:
    import tensorflow as tf

    model, given = source.model, source.model.inputs[0]

    def serve(inputs: Any) -> Any:
        return model(inputs, training=False)

    # Keras' own `export` writes each weight twice.
    module = tf.Module()
    module.weights = [variable.value for variable in model.variables]
    module.serve = tf.function(serve, input_signature=[tf.TensorSpec(given.shape, given.dtype, given.name)])
    tf.saved_model.save(module, str(folder), signatures={"serving_default": module.serve})


def _load_saved_model(folder: Path) -> Runner:
    import tensorflow as tf

    loaded = tf.saved_model.load(str(folder))  # its functions don't hold its variables
    return lambda inputs: np.asarray(loaded.serve(tf.constant(inputs)))


def _convert(source: Source, **settings: Any) -> bytes:
    import tensorflow as tf

    converter = tf.lite.TFLiteConverter.from_saved_model(source.saved_model)
    for name, value in settings.items():
        setattr(converter, name, value)
    return bytes(converter.convert())


def _write_litert(source: Source, folder: Path) -> None:
    (folder / "model.tflite").write_bytes(_convert(source))


def _write_litert_int8(source: Source, folder: Path) -> None:
    import tensorflow as tf

    def some() -> Iterator[list[Floats]]:
        for row in range(len(source.representative)):
            yield [source.representative[row : row + 1]]

    data = _convert(source, optimizations=[tf.lite.Optimize.DEFAULT], representative_dataset=some)
    (folder / "model.tflite").write_bytes(data)


def _load_litert(folder: Path) -> Runner:
    interpreter = _imported("ai_edge_litert.interpreter", "ai-edge-litert").Interpreter(
        model_content=(folder / "model.tflite").read_bytes(), num_threads=os.cpu_count()
    )
    given, told = interpreter.get_input_details()[0]["index"], interpreter.get_output_details()[0]["index"]

    def run(inputs: Floats) -> Floats:
        if tuple(interpreter.get_input_details()[0]["shape"]) != inputs.shape:
            interpreter.resize_tensor_input(given, inputs.shape)
            interpreter.allocate_tensors()
        interpreter.set_tensor(given, inputs)
        interpreter.invoke()
        return np.array(interpreter.get_tensor(told), np.float32)

    interpreter.allocate_tensors()
    return run


def _write_onnx(source: Source, folder: Path) -> None:
    for module, package in (("onnx", "onnx"), ("tf2onnx", "tf2onnx")):
        _imported(module, package)
    source.model.export(str(folder / "model.onnx"), format="onnx", verbose=False)


def _load_onnx(folder: Path) -> Runner:
    session = _imported("onnxruntime", "onnxruntime").InferenceSession(
        str(folder / "model.onnx"), providers=["CPUExecutionProvider"]
    )
    name = session.get_inputs()[0].name
    return lambda inputs: np.asarray(session.run(None, {name: inputs})[0], np.float32)


def _openvino() -> Any:
    # It would tell Intel that it was imported, and asks for nobody's leave.
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    return _imported("openvino", "openvino")


def _write_openvino(source: Source, folder: Path) -> None:
    openvino = _openvino()
    openvino.save_model(
        openvino.Core().read_model(source.saved_model), str(folder / "model.xml"), compress_to_fp16=False
    )


def _load_openvino(folder: Path) -> Runner:
    # By itself it computes in bfloat16 where a processor can: scores would differ from machine to machine.
    core = _openvino().Core()
    model = core.compile_model(str(folder / "model.xml"), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return lambda inputs: np.array(model([inputs])[0], np.float32)


def _write_keras_int8(source: Source, folder: Path) -> None:
    import keras

    file = folder / "model.keras"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of each layer that can't be quantized
        source.model.save(file)
        copy = keras.models.load_model(file, compile=False)
        copy.quantize("int8")
        copy.save(file)


def _load_keras(folder: Path) -> Runner:
    import keras

    model = keras.models.load_model(folder / "model.keras", compile=False)
    return lambda inputs: np.asarray(model.predict_on_batch(inputs), np.float32)


_SAVED_MODEL = (
    r"saved_model\.pb",
    r"keras_metadata\.pb",
    r"fingerprint\.pb",
    r"variables/variables\.[\w.-]+",
    r"assets/[^/]+",
)

FORMS = {
    "saved_model": Form("TensorFlow SavedModel", _write_saved_model, _load_saved_model, _SAVED_MODEL),
    "litert": Form("LiteRT", _write_litert, _load_litert, (r"model\.tflite",)),
    "litert_int8": Form("LiteRT, 8 bits", _write_litert_int8, _load_litert, (r"model\.tflite",), exact=False),
    "onnx": Form("ONNX", _write_onnx, _load_onnx, (r"model\.onnx",)),
    "openvino": Form("OpenVINO", _write_openvino, _load_openvino, (r"model\.(xml|bin)",)),
    "keras_int8": Form(
        "Keras, dense layers of 8 bits", _write_keras_int8, _load_keras, (r"model\.keras",), exact=False
    ),
}
"""By name: what `--forms` can name, and the folder of each."""


def _imported(module: str, package: str) -> Any:
    from importlib import import_module

    try:
        return import_module(module)
    except ImportError as error:
        raise MissingPackageError(f"needs the package {package}: {_INSTALL}") from error
