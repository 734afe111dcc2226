import pytest

from artray.bundles.description import AnyBundle, made_from
from artray.classifiers.config import TrainConfig
from artray.gans.config import GanConfig


def classifier(**changes: object) -> TrainConfig:
    return TrainConfig(task="a", target="a", input="features", model={"name": "linear_head"}, **changes)


def gan(**changes: object) -> GanConfig:
    return GanConfig(model={"name": "dcgan"}, **changes)


def bundle(config: TrainConfig | GanConfig, **older: object) -> AnyBundle:
    return AnyBundle(
        model_id="a",
        decode_version=1,
        data={"source": "x"},
        config=config.model_dump(mode="json") | older,
        metrics={},
        versions={},
        created_at="",
    )


@pytest.mark.parametrize("kind", [classifier, gan])
@pytest.mark.parametrize(
    ("earlier", "now", "same"),
    [
        ({}, {}, True),
        ({"precision": "float32"}, {"precision": "auto"}, True),  # every bundle of older releases says float32
        ({"precision": "auto"}, {"precision": "bfloat16"}, True),
        ({"precision": "float32"}, {"precision": "bfloat16"}, False),
        ({"compile": "off"}, {}, True),
        ({"compile": "on"}, {"compile": "off"}, False),
        ({"epochs": 3}, {"epochs": 4}, False),
    ],
)
def test_how_something_was_computed_is_a_difference_only_where_both_say_it(kind, earlier, now, same):
    assert made_from(bundle(kind(**earlier)), kind(**now), "x") is same
    assert not made_from(bundle(kind(**earlier)), kind(**now), "y")


def test_older_words():
    made = bundle(classifier(), precision="mixed_bfloat16")
    assert made_from(made, classifier(precision="bfloat16"), "x")
    without = made.model_copy(update={"config": {key: value for key, value in made.config.items() if key != "compile"}})
    assert made_from(without, classifier(precision="bfloat16"), "x")
    assert not made_from(bundle(classifier(), epochs="many"), classifier(), "x")
