import pytest
import yaml
from pydantic import TypeAdapter, ValidationError

from artray.engine.arithmetic import Compile, Precision, policy, told, worth_compiling


@pytest.mark.parametrize(
    ("said", "name"),
    [
        ("float32", "float32"),
        ("bfloat16", "mixed_bfloat16"),
        ("float16", "mixed_float16"),
        ("mixed_bfloat16", "mixed_bfloat16"),
        ("mixed_float16", "mixed_float16"),
    ],
)
def test_older_words_for_a_precision_are_read(said, name):
    assert policy(TypeAdapter(Precision).validate_python(said)) == name


@pytest.mark.parametrize(
    ("capabilities", "name"),
    [
        ([], "float32"),
        ([(7, 5)], "float32"),
        ([(8, 0)], "mixed_bfloat16"),
        ([(9, 0), (9, 0)], "mixed_bfloat16"),
        ([(9, 0), (7, 0)], "float32"),
        ([None], "float32"),
    ],
)
def test_auto_is_bfloat16_where_all_gpus_compute_it_fast(monkeypatch, capabilities, name):
    import tensorflow as tf

    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: list(range(len(capabilities))))
    details = lambda gpu: {"compute_capability": capabilities[gpu]} if capabilities[gpu] else {}  # noqa: E731
    monkeypatch.setattr(tf.config.experimental, "get_device_details", details)
    assert policy("auto") == name
    assert policy("auto", "off") == policy("auto", "auto", 2) == "float32"  # neither is compiled
    assert policy("auto", "on", 2) == name


@pytest.mark.parametrize(("text", "read"), [("on", "on"), ("off", "off"), ("auto", "auto"), ("'on'", "on")])
def test_yaml_takes_on_and_off_for_yes_and_no(text, read):
    assert TypeAdapter(Compile).validate_python(yaml.safe_load(text)) == read


@pytest.mark.parametrize(("kind", "word"), [(Compile, "yes"), (Compile, 1), (Precision, "half"), (Precision, 16)])
def test_other_words_are_refused(kind, word):
    with pytest.raises(ValidationError):
        TypeAdapter(kind).validate_python(word)


def test_options_change_what_they_name():
    assert told(None, None) == {}
    changes = told("bfloat16", "on")
    assert {key: yaml.safe_load(text) for key, text in changes.items()} == {"precision": "bfloat16", "compile": "on"}


@pytest.mark.parametrize(
    ("said", "steps", "done"),
    [("auto", 3_999, "off"), ("auto", 4_000, "auto"), ("on", 1, "on"), ("off", 1_000_000, "off")],
)
def test_auto_compiles_what_has_steps_enough_to_pay_for_it(said, steps, done):
    assert worth_compiling(said, steps) == done
