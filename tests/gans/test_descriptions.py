"""Works described by columns of their catalogue: what becomes of values, and of combinations that are held out."""

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from artray.bundles.conditions import Condition, slices_of, with_wishes
from artray.errors import InputError
from artray.gans.config import GanConfig, read_config
from artray.gans.descriptions import Descriptions, describe, spread

TABLE = pa.table(
    {
        "style": ["Rococo", "Cubism", None, "Rococo", "Cubism"],
        "genre": pa.array([["portrait"], ["portrait", "nude"], [], ["nude"], None], pa.list_(pa.string())),
        "date": ["1750", "1911", "1800", "", "1912"],
        "embedding": pa.array([[0.0, 2], [2, 0], [0, 0], [2, 2], None], pa.list_(pa.float32())),
        "title": ["a", "b", "c", "d", "e"],
    }
)


def config(conditions: Any, **changes: Any) -> GanConfig:
    return GanConfig.model_validate({"model": {"name": "dcgan"}, "conditions": conditions, **changes})


def of(found: Descriptions, name: str) -> tuple[Condition, np.ndarray]:
    return next(
        (condition, found.vectors[:, place])
        for condition, place in slices_of(found.conditions)
        if condition.name == name
    )


def test_columns_become_a_vector() -> None:
    found = describe(TABLE, config(["style", "genre", "date", "embedding"]))
    assert [(one.name, one.kind, one.width) for one in found.conditions] == [
        ("style", "label", 2),
        ("genre", "labels", 2),
        ("date", "number", 1),
        ("embedding", "vector", 2),
    ]
    assert found.vectors.shape == (5, 7)
    style, genre = of(found, "style"), of(found, "genre")
    assert style[0].names == ["Cubism", "Rococo"]
    assert style[1].tolist() == [[0, 1], [1, 0], [0, 0], [0, 1], [1, 0]]
    assert genre[0].names == ["nude", "portrait"]
    assert genre[1].tolist() == [[0, 1], [1, 1], [0, 0], [1, 0], [0, 0]]
    years = np.array([1750, 1911, 1800, 1912])
    date, part = of(found, "date")
    assert (date.mean, date.deviation) == ([years.mean()], pytest.approx(years.std()))
    assert part[:, 0] == pytest.approx(np.insert((years - years.mean()) / years.std(), 3, 0))
    embedding, part = of(found, "embedding")
    assert embedding.mean == [1, 1]
    assert np.linalg.norm(part, axis=1) == pytest.approx([1, 1, 1, 1, 0])
    assert found.known.tolist() == [True] * 5


def test_a_row_of_which_nothing_is_known() -> None:
    found = describe(TABLE, config({"style": "label"}))
    assert found.known.tolist() == [True, True, False, True, True]
    numbers = pa.table(
        {"year": pa.array([1, None, 3], pa.int32()), "kind": pa.array(["a", "b", "a"]).dictionary_encode()}
    )
    found = describe(numbers, config(["year", "kind"]))
    assert [condition.kind for condition in found.conditions] == ["number", "label"]
    assert found.vectors[:, 0].tolist() == [-1, 0, 1]


def test_combinations_are_held_out() -> None:
    found = describe(
        TABLE, config({"style": "auto", "genre": "labels"}, held_out=[{"style": "Rococo", "genre": "nude"}])
    )
    assert found.held_out.tolist() == [False, False, False, True, False]
    assert of(found, "style")[0].names == ["Cubism", "Rococo"]


@pytest.mark.parametrize(
    ("held_out", "message"),
    [
        ({"style": "Cubism", "date": "1750"}, "no work of the training part is style=Cubism, date=1750"),
        ({"style": "Rococo"}, "only works that are held out have style=Rococo"),
        ({"embedding": "1"}, "embedding, which can't be held out"),
    ],
)
def test_what_cannot_be_held_out(held_out: dict[str, str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        describe(TABLE, config(["style", "date", "embedding"], held_out=[held_out]))


def test_columns_that_say_nothing_or_too_much() -> None:
    empty = pa.table({"style": pa.nulls(3, pa.string())})
    with pytest.raises(InputError, match="'style' says nothing"):
        describe(empty, config(["style"]))
    many = pa.table({"title": [f"no {number}" for number in range(1001)]})
    with pytest.raises(InputError, match="'title' has 1,001 labels"):
        describe(many, config(["title"]))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"conditions": "[style]", "target": "genre"}, "conditions: go without a target"),
        ({"held_out": "[{style: a}]"}, "held_out: .* must name some of the conditions"),
        ({"conditions": "{style: colour}"}, "conditions"),
        ({"model.described": "true"}, None),
    ],
)
def test_configs(changes: dict[str, str], message: str | None) -> None:
    if message is None:  # it is no setting of the user's
        from artray.models.gans import generator

        with pytest.raises(InputError, match="described: resnet has no such setting"):
            generator("resnet", 16, 8, 2, {"described": True})
        return
    with pytest.raises(InputError, match=message):
        read_config("gan_dcgan", changes)


def test_a_list_of_columns_is_enough() -> None:
    assert read_config("gan_dcgan", {"conditions": "[style, date]"}).conditions == {"style": "auto", "date": "auto"}


def test_wishes_replace_what_works_say() -> None:
    found = describe(TABLE, config(["style", "genre", "date", "embedding"]))
    wished = with_wishes(
        found.conditions, found.vectors, {"style": "Cubism", "genre": "nude; portrait", "date": "1750"}
    )
    assert wished[:, :4].tolist() == [[1, 0, 1, 1]] * 5
    assert wished[:, 4] == pytest.approx(found.vectors[0, 4])
    assert (wished[:, 5:] == found.vectors[:, 5:]).all()
    told = {one.name: one.told(wished[2, place]) for one, place in slices_of(found.conditions)}
    assert told == {
        "style": "Cubism",
        "genre": ["nude", "portrait"],
        "date": pytest.approx(1750, abs=0.01),
        "embedding": None,
    }
    assert found.conditions[0].told(found.vectors[2, :2]) is None


@pytest.mark.parametrize(
    ("wishes", "message"),
    [
        ({"stile": "Cubism"}, "has no such condition"),
        ({"style": "Cubismo"}, r"no such label \(Cubism, Rococo\); did you mean Cubism"),
        ({"date": "early"}, "date=early: is not a number"),
        ({"date": "inf"}, "date=inf: is not a number"),
        ({"embedding": "1"}, "is an embedding"),
    ],
)
def test_wishes_that_cannot_be(wishes: dict[str, str], message: str) -> None:
    found = describe(TABLE, config(["style", "date", "embedding"]))
    with pytest.raises(InputError, match=message):
        with_wishes(found.conditions, found.vectors, wishes)


def test_rows_from_everywhere() -> None:
    assert spread(np.arange(10, dtype=np.float32)[:, None], 4)[:, 0].tolist() == [0, 3, 6, 9]
    assert spread(np.arange(2, dtype=np.float32)[:, None], 4)[:, 0].tolist() == [0, 0, 1, 1]
