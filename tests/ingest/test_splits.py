import csv
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from artray.errors import InputError, count_of
from artray.ingest.splits import PARTS, assign_folds, assign_splits, class_table, merge_groups, split_notes

PAINTINGS = Path(__file__).parents[2] / "artray/sample/paintings22/catalog.csv"

rows_strategy = st.lists(st.tuples(st.integers(0, 25).map("g{}".format), st.sampled_from(["oil", "ink", None])))
fractions_strategy = st.sampled_from(
    [
        {"train": 0.6, "validation": 0.2, "test": 0.2},
        {"train": 70, "validation": 20, "test": 10},
        {"train": 0.75, "test": 0.25},
        {"train": 1, "validation": 1, "test": 0},
    ]
)


def unzip(rows: list[tuple[str, str | None]]) -> tuple[list[str], list[str | None]]:
    return [group for group, _ in rows], [label for _, label in rows]


def sides(groups: list[str], splits: list[str]) -> dict[str, set[str]]:
    parts: dict[str, set[str]] = {}
    for group, part in zip(groups, splits, strict=True):
        parts.setdefault(group, set()).add(part)
    return parts


@given(rows_strategy, fractions_strategy, st.integers(0, 5), st.randoms(use_true_random=False))
def test_no_group_on_two_sides_and_no_order(rows, fractions, seed, random) -> None:
    groups, labels = unzip(rows)
    splits = assign_splits(groups, labels, fractions=fractions, seed=seed)
    assert all(len(parts) == 1 for parts in sides(groups, splits).values())
    assert set(splits) <= {part for part, fraction in fractions.items() if fraction}

    order = random.sample(range(len(rows)), len(rows))
    shuffled = assign_splits([groups[i] for i in order], [labels[i] for i in order], fractions=fractions, seed=seed)
    assert shuffled == [splits[i] for i in order]


@given(
    st.dictionaries(st.sampled_from(["oil", "ink", "stone", None]), st.lists(st.integers(1, 20), min_size=1)),
    fractions_strategy,
    st.integers(0, 3),
)
def test_each_class_is_within_one_group_of_its_fractions(sizes, fractions, seed) -> None:
    rows = [
        (f"{label}/{i}", label) for label, of_class in sizes.items() for i, n in enumerate(of_class) for _ in range(n)
    ]
    groups, labels = unzip(rows)
    table = class_table(labels, assign_splits(groups, labels, fractions=fractions, seed=seed))
    for label, of_class in sizes.items():
        for part in PARTS:
            expected = fractions.get(part, 0) / sum(fractions.values()) * sum(of_class)
            assert abs(table[label][part] - expected) <= 2 * max(of_class)
        used = [part for part in ("train", "test", "validation") if fractions.get(part)]
        if len(of_class) == 1:
            assert table[label]["train"] == sum(of_class)
        elif max(of_class) < 2 * min(of_class):
            assert all(table[label][part] for part in used[: len(of_class)])


@pytest.mark.parametrize("n", [1, 2, 5, 1000])
def test_single_rows_meet_the_fractions(n: int) -> None:
    groups = [f"work {i}" for i in range(5 * n)]
    counts = Counter(assign_splits(groups, [None] * len(groups)))
    assert counts == {"train": 3 * n, "validation": n, "test": n}


def test_seeds_differ() -> None:
    groups = [f"work {i}" for i in range(1000)]
    first, second = (assign_splits(groups, [None] * 1000, seed=seed) for seed in (0, 1))
    assert 300 < sum(a != b for a, b in zip(first, second, strict=True)) < 800


def test_split_is_the_same_on_every_machine() -> None:
    """Written down: a change here is a change of everybody's splits."""
    splits = assign_splits([f"artist {i}" for i in range(10)], [None] * 10)
    assert {part: [i for i in range(10) if splits[i] == part] for part in PARTS} == {
        "train": [0, 3, 4, 6, 7, 9],
        "validation": [2, 8],
        "test": [1, 5],
    }


@given(rows_strategy, rows_strategy, fractions_strategy, st.integers(0, 3))
def test_growth_keeps_what_was(rows, new_rows, fractions, seed) -> None:
    groups, labels = unzip(rows)
    before = assign_splits(groups, labels, fractions=fractions, seed=seed)
    all_groups, all_labels = unzip(rows + new_rows)
    previous = [*before, *[None] * len(new_rows)]
    after = assign_splits(all_groups, all_labels, fractions=fractions, seed=seed, previous=previous)
    assert after[: len(rows)] == before
    assert all(len(parts) == 1 for parts in sides(all_groups, after).values())


def test_growth_fills_the_parts_that_lack_rows() -> None:
    old = [f"old {i}" for i in range(100)]
    new = [f"new {i}" for i in range(100)]
    splits = assign_splits(old + new, [None] * 200, previous=["train"] * 100 + [None] * 100)
    assert Counter(splits[100:]) == {"train": 20, "validation": 40, "test": 40}


@pytest.mark.parametrize(
    ("parts", "joined"),
    [(["train", "test"], "train"), (["test", "validation"], "validation"), (["test", "test"], "test")],
)
def test_joined_groups_never_take_training_rows_to_the_test(parts: list[str], joined: str) -> None:
    groups = merge_groups(["Monet", "Manet", "Manet"], [0, 1, 0])
    previous = [*parts, None]
    splits = assign_splits(groups, [None] * 3, previous=previous)
    assert splits == [joined] * 3
    moved = sum(part != joined for part in parts)
    assert [note for note in split_notes(groups, [None] * 3, splits, previous) if "changed sides" in note] == (
        [f"{count_of(moved, 'row')} changed sides: groups of different parts were joined"] if moved else []
    )


@given(rows_strategy, st.data())
def test_fixed_test_part(rows, data) -> None:
    groups, labels = unzip(rows)
    n = len(rows)
    fixed = data.draw(st.lists(st.booleans(), min_size=n, max_size=n))
    previous = data.draw(st.lists(st.sampled_from([None, *PARTS]), min_size=n, max_size=n))
    splits = assign_splits(groups, labels, fixed_test=fixed, previous=previous)
    test_groups = {group for group, is_fixed in zip(groups, fixed, strict=True) if is_fixed}
    assert [part == "test" for part in splits] == [group in test_groups for group in groups]


def test_with_a_fixed_test_part_the_rest_is_shared_out() -> None:
    groups = [f"work {i}" for i in range(100)]
    splits = assign_splits(groups, [None] * 100, fixed_test=[i < 20 for i in range(100)])
    assert Counter(splits) == {"train": 60, "validation": 20, "test": 20}


@given(rows_strategy, st.integers(2, 6), st.integers(0, 3), st.randoms(use_true_random=False))
def test_folds(rows, k, seed, random) -> None:
    groups, labels = unzip(rows)
    if k > len(set(groups)):
        with pytest.raises(InputError, match="folds"):
            assign_folds(groups, labels, k, seed)
        return
    folds = assign_folds(groups, labels, k, seed)
    assert set(folds) <= set(range(k))
    assert all(len(of_group) == 1 for of_group in sides(groups, folds).values())
    sizes = Counter(groups)
    if max(sizes.values()) == 1 and len(set(labels)) == 1:
        of_fold = Counter(folds)
        assert max(of_fold.values()) - min(of_fold[f] for f in range(k)) <= 1
    order = random.sample(range(len(rows)), len(rows))
    assert assign_folds([groups[i] for i in order], [labels[i] for i in order], k, seed) == [folds[i] for i in order]


def test_folds_spread_each_class() -> None:
    labels = ["oil"] * 50 + ["ink"] * 12
    folds = assign_folds([f"work {i}" for i in range(62)], labels, 5)
    per_fold = Counter(zip(folds, labels, strict=True))
    assert {per_fold[fold, "oil"] for fold in range(5)} == {10}
    assert {per_fold[fold, "ink"] for fold in range(5)} == {2, 3}


@given(
    st.lists(st.tuples(st.integers(0, 8).map(str), st.integers(0, 8)), min_size=1),
    st.randoms(use_true_random=False),
)
def test_merged_groups_are_connected_rows(rows, random) -> None:
    groups, duplicates = [group for group, _ in rows], [duplicate for _, duplicate in rows]
    merged = merge_groups(groups, duplicates)
    # Slow exact version: spread names over equal values until nothing changes.
    expected = list(groups)
    for _ in rows:
        for column in (groups, duplicates):
            for value in set(column):
                members = [i for i, v in enumerate(column) if v == value]
                name = min(expected[i] for i in members)
                for i in members:
                    expected[i] = name
    assert merged == expected
    order = random.sample(range(len(rows)), len(rows))
    assert merge_groups([groups[i] for i in order], [duplicates[i] for i in order]) == [merged[i] for i in order]
    assert merge_groups(groups) == groups


def hand_or_code_rows() -> list[tuple[str, str]]:
    """The demo's collection: 22 works by 12 artists, against 24 algorithmic pictures of 8 families."""
    with PAINTINGS.open(encoding="utf-8") as file:
        hand = [(row["artist"], "hand") for row in csv.DictReader(file)]
    return hand + [(f"family {i % 8}", "code") for i in range(24)]


@pytest.mark.parametrize("seed", range(10))
def test_small_collection_has_a_fair_share_in_each_part(seed: int) -> None:
    groups, labels = unzip(hand_or_code_rows())
    table = class_table(labels, assign_splits(groups, labels, seed=seed))
    for label in ("hand", "code"):
        assert 12 <= table[label]["train"] <= 16
        assert 3 <= table[label]["validation"] <= 6
        assert 3 <= table[label]["test"] <= 6


def test_class_of_one_group_goes_to_training_with_a_note() -> None:
    groups = ["Duchamp"] * 3 + ["Monet", "Renoir", "Sisley"]
    labels = ["Dada"] * 3 + ["Impressionism"] * 3
    splits = assign_splits(groups, labels)
    assert splits[:3] == ["train"] * 3
    assert sorted(splits[3:]) == sorted(PARTS)
    assert split_notes(groups, labels, splits) == ["Dada: nothing in validation and test (1 group)"]
    assert class_table(labels, splits)["Dada"] == {"train": 3, "validation": 0, "test": 0}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"fractions": {"train": 0.5, "dev": 0.5}}, "'dev'"),
        ({"fractions": {"train": 0, "test": 1}}, "more than 0 for train"),
        ({"fractions": {"train": 1.2, "test": -0.2}}, "0 or more"),
        ({"fractions": {"train": float("nan")}}, "train"),
        ({"previous": ["eval"]}, "'eval'"),
    ],
)
def test_wrong_use(arguments: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        assign_splits(["a"], [None], **arguments)


@pytest.mark.slow
def test_leak_of_seed_000_is_reproduced_and_cannot_happen_here() -> None:
    """The published pipeline shuffles anew in each epoch between reading and `take`/`skip`."""
    import tensorflow as tf

    n, batch, epochs = 795, 32, 20
    ids = tf.data.Dataset.range(n)

    # What `image_dataset_from_directory` builds: a shuffle of 8 batches, anew each time the data is read.
    data = ids.shuffle(8 * batch, seed=0).batch(batch)
    batches = len(data)
    train_size, val_size, test_size = int(batches * 0.7), int(batches * 0.2), int(batches * 0.1)
    train = data.take(train_size)
    test = data.skip(train_size + val_size).take(test_size)

    def seen(dataset: "tf.data.Dataset", times: int) -> set[int]:
        return {int(i) for _ in range(times) for row in dataset.as_numpy_iterator() for i in np.atleast_1d(row)}

    leaked_test = seen(test, 1)
    leaked = leaked_test & seen(train, epochs)
    assert len(leaked) > 0.9 * len(leaked_test)

    # The same shuffling, of a part taken by the split column.
    splits = np.array(assign_splits([str(i) for i in range(n)], [str(i % 2) for i in range(n)]))
    of_part = {part: np.flatnonzero(splits == part) for part in PARTS}
    for part in ("train", "validation"):
        shuffled = tf.data.Dataset.from_tensor_slices(of_part[part]).shuffle(8 * batch, seed=0).batch(batch)
        seen_in_training = seen(shuffled, epochs)
        assert seen_in_training == set(of_part[part].tolist())
        assert not seen_in_training & set(of_part["test"].tolist())
