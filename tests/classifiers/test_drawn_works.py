"""A share of the labelled works: of each class and part, whole groups first, the same whatever the order of rows."""

import itertools

import numpy as np
import pyarrow as pa
import pytest

from artray.catalogs.targets import encode_targets
from artray.classifiers.drawn_works import drawn_share
from artray.classifiers.station import TrainOptions, train
from artray.errors import InputError
from artray.storage import Location

N = 240


def collection():
    number = np.arange(N)
    table = pa.table(
        {
            "object_id": [f"w{at:03d}" for at in number],
            "group": [f"g{at // 8:02d}" for at in number],
            "genre": [("a", "b", "c", None)[at // 8 % 4] for at in number],
        }
    )
    part = np.array([("train", "train", "train", "validation", "test")[at // 32 % 5] for at in number], object)
    return table, part


def drawn(table, part, share, draw=0):
    return drawn_share(table, encode_targets(table["genre"], "one", "genre"), part, share, draw)


def test_each_class_keeps_its_share():
    table, part = collection()
    stays = drawn(table, part, 0.5)
    genre = np.array(table["genre"].to_pylist(), object)
    for name in ("train", "validation"):
        for label in "abc":
            own = (part == name) & (genre == label)
            assert stays[own].sum() == -(-own.sum() // 2)
    assert stays[part == "test"].all()
    assert stays[genre == None].all()  # noqa: E711 - those without a label are not examples anyway


def test_a_larger_share_has_the_works_of_a_smaller_one():
    table, part = collection()
    shares = [drawn(table, part, share) for share in (0.1, 0.3, 0.7, 1.0)]
    assert all((smaller <= larger).all() for smaller, larger in itertools.pairwise(shares))
    assert shares[-1].all()


def test_groups_come_whole():
    table, part = collection()
    stays = drawn(table, part, 0.5)
    groups = np.array(table["group"].to_pylist())
    labelled = np.array([genre is not None for genre in table["genre"].to_pylist()]) & (part == "train")
    cut = [name for name in set(groups[labelled]) if 0 < stays[labelled & (groups == name)].mean() < 1]
    assert len(cut) <= 3  # of each class one at most


@pytest.mark.parametrize("draw", [0, 5])
def test_the_order_of_rows_is_nothing(draw):
    table, part = collection()
    order = np.random.default_rng(0).permutation(N)
    assert (drawn(table, part, 0.3, draw)[order] == drawn(table.take(order), part[order], 0.3, draw)).all()


def test_another_draw_has_other_works():
    table, part = collection()
    assert (drawn(table, part, 0.3, 0) != drawn(table, part, 0.3, 1)).any()


def test_a_class_never_disappears():
    table, part = collection()
    stays = drawn(table, part, 0.001)
    genre = np.array(table["genre"].to_pylist(), object)
    for label in "abc":
        assert stays[(part == "train") & (genre == label)].sum() == 2
        assert stays[(part == "validation") & (genre == label)].sum() >= 1


def test_folds_are_not_dealt_of_a_share(tmp_path):
    """Each fold would have another share, and a work that no fold held out would be said to have no score."""
    table, part = collection()
    points = pa.array(np.eye(N, 4).tolist(), pa.list_(pa.float32()))
    columns = {"split": pa.array(part.tolist()), "status": pa.array(["ok"] * N), "embedding": points}
    for name, column in columns.items():
        table = table.append_column(name, column)
    (Location.parse(tmp_path) / "features.parquet").write_table(table)
    with pytest.raises(InputError, match=r"--folds: goes neither .* or `learn_from`"):
        train(
            TrainOptions(
                config="lda",
                data=str(tmp_path / "features.parquet"),
                out=str(tmp_path / "model"),
                task="genre",
                folds=2,
                set={"learn_from": "0.5"},
            )
        )
