"""Names that libraries don't promise: each is there, and each that artray uses stands in ARCHITECTURE.md's table."""

import ast
import inspect
import re
from importlib import import_module
from pathlib import Path

import pytest

from artray.engine.tensorflow_cluster import UNUSED
from tests.test_house import FILES, nodes

ARCHITECTURE = (Path(__file__).parents[1] / "ARCHITECTURE.md").read_text(encoding="utf-8")
TABLE = set(re.findall(r"^\| \w+ \| `([\w.]+)` \| `", ARCHITECTURE.partition("## What is not public")[2], re.MULTILINE))


def keras_optimizer() -> object:
    import keras

    return keras.optimizers.SGD()


def keras_tensor() -> object:
    import keras

    return keras.Input((1,))


def small_picture(format: str) -> object:
    import io

    from PIL import Image

    sink = io.BytesIO()
    Image.new("RGB", (8, 8)).save(sink, format)
    return Image.open(sink)


def s3_client() -> object:
    from botocore.session import Session

    return Session().create_client("s3", "eu-west-1", aws_access_key_id="key", aws_secret_access_key="secret")


def ray_trainer() -> object:
    from ray.train.v2.api.data_parallel_trainer import DataParallelTrainer

    return DataParallelTrainer


HOLDERS = {
    "DataParallelTrainer._create_default_callbacks": ray_trainer,
    "Optimizer._all_reduce_sum_gradients": keras_optimizer,
    "KerasTensor._keras_history": keras_tensor,
    "Image._getdecoder": lambda: import_module("PIL.Image"),
    "Image._size": lambda: small_picture("PNG"),
    "TiffImageFile._tile_size": lambda: small_picture("TIFF"),
    "PIL._imaging": lambda: import_module("PIL"),
    "S3FileSystem._call_s3": lambda: import_module("s3fs").S3FileSystem,
    "S3FileSystem._get_s3_method_kwargs": lambda: import_module("s3fs").S3FileSystem,
    "BaseClient._endpoint": s3_client,
    "ray._raylet.Config": lambda: import_module("ray._raylet"),
}
"""What has each name; a module is only to be imported."""

MODULES = {"ray.train.v2.api.data_parallel_trainer"}


@pytest.mark.parametrize("name", sorted(HOLDERS))
def test_the_name_is_there(name):
    if name.startswith("PIL."):
        import_module(name)
    assert hasattr(HOLDERS[name](), name.rpartition(".")[2]), f"{name} is gone: see ARCHITECTURE.md for what it is for"


@pytest.mark.parametrize("name", sorted(MODULES))
def test_the_module_is_there(name):
    import_module(name)


@pytest.mark.parametrize("name", UNUSED)
def test_ray_train_has_the_callbacks_that_are_left_out(name):
    assert name in inspect.getsource(ray_trainer()._create_default_callbacks), f"{name}: Ray Train has another word"


def test_all_of_them_stand_in_the_table():
    assert {*HOLDERS, *MODULES} == TABLE


def test_no_other_is_used():
    """Attributes with an underscore, of other things than a module's own: what they are called is in the table."""
    known = {name.rpartition(".")[2] for name in TABLE} | {"_asdict", "_replace", "_fields"}
    for module in FILES:
        attributes = [node for node in nodes(module) if isinstance(node, ast.Attribute) and node.attr.startswith("_")]
        own = {node.attr for node in attributes if is_self(node.value)}
        own |= {node.name for node in nodes(module) if isinstance(node, ast.FunctionDef | ast.ClassDef)}
        used = {node.attr for node in attributes if re.match(r"_[^_]", node.attr) and not is_self(node.value)}
        used |= {
            item.name
            for node in nodes(module)
            if isinstance(node, ast.ImportFrom) and not (node.module or "").startswith(("artray", "__future__"))
            for item in node.names
            if item.name.startswith("_")
        }
        assert used - own <= known, module


def is_self(node: ast.expr) -> bool:
    return isinstance(node, ast.Name) and node.id in ("self", "cls")
