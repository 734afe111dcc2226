"""Chains of near-duplicates are cut, and pictures that are all alike stay together."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from artray.images.perceptual_hash import perceptual_hash
from artray.ingest.chains import LARGE, SPREAD, cut_chains
from artray.ingest.duplicates import DISTANCE, near_duplicate_groups


def words(rows: np.ndarray) -> np.ndarray:
    return np.packbits(rows, axis=1).view(np.uint64)


def apart(hashes: np.ndarray) -> np.ndarray:
    return np.bitwise_count(hashes[:, None] ^ hashes[None]).sum(axis=2)


def walk(rng: np.random.Generator, steps: int, bits: int) -> np.ndarray:
    """Hashes each of which differs from the one before in so many bits, half as many in the first word."""
    rows = [rng.integers(0, 2, 256, dtype=np.uint8)]
    for _ in range(steps - 1):
        row = rows[-1].copy()
        row[64 + rng.choice(192, bits, replace=False)] ^= 1
        rows.append(row)
    return words(np.array(rows))


def test_a_chain_of_works_is_cut() -> None:
    hashes = walk(np.random.default_rng(0), 300, 40)
    chain = near_duplicate_groups(hashes)
    assert len(set(chain.tolist())) == 1
    groups = cut_chains(hashes, chain)
    assert np.bincount(groups).max() <= 6
    for group in set(groups.tolist()):
        assert apart(hashes[groups == group]).max() <= DISTANCE


def test_a_few_pictures_of_one_work_stay_together_by_chains() -> None:
    """A crop on the left is like the whole, and so is one on the right, but they are less alike."""
    hashes = walk(np.random.default_rng(0), 3, 45)
    assert DISTANCE < apart(hashes).max() <= SPREAD
    assert cut_chains(hashes, near_duplicate_groups(hashes)).tolist() == [0, 0, 0]


def test_many_pictures_of_one_work_stay_together() -> None:
    rng = np.random.default_rng(0)
    rows = np.repeat(rng.integers(0, 2, (1, 256), dtype=np.uint8), 1500, axis=0)
    hashes = words(rows ^ (rng.random(rows.shape) < 0.02))
    assert not cut_chains(hashes, near_duplicate_groups(hashes)).any()


def test_coins_of_low_relief_are_not_one_work() -> None:
    rng = np.random.default_rng(1)
    y, x = np.mgrid[0:64, 0:64]
    coin = np.hypot(x - 32, y - 32) < 27
    pictures = np.full((150, 64, 64, 3), 245, np.uint8)
    relief = rng.normal(0, 12, (150, 16, 16)).repeat(4, axis=1).repeat(4, axis=2)
    pictures[:, coin] = (120 + 0.5 * (x - 32) + relief).clip(0, 255).astype(np.uint8)[:, coin, None]
    hashes = perceptual_hash(pictures)
    chain = near_duplicate_groups(hashes)
    assert np.bincount(chain).max() > 3 * LARGE
    assert np.bincount(cut_chains(hashes, chain)).max() <= LARGE


@st.composite
def chained(draw: st.DrawFn) -> np.ndarray:
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    chains = [walk(rng, draw(st.integers(1, 30)), draw(st.integers(0, 50))) for _ in range(draw(st.integers(1, 3)))]
    hashes = np.concatenate([*chains, np.zeros((draw(st.integers(0, 2)), 4), np.uint64)])
    return hashes[rng.permutation(len(hashes))]


@settings(max_examples=10)
@given(chained(), st.randoms(use_true_random=False))
def test_groups_are_parts_of_chains_within_the_spread_in_any_order(hashes: np.ndarray, random) -> None:
    chain = near_duplicate_groups(hashes)
    groups = cut_chains(hashes, chain)
    np.testing.assert_array_equal(chain[groups], chain)
    for group in set(groups.tolist()):
        rows = np.flatnonzero(groups == group)
        assert rows[0] == group
        assert apart(hashes[rows]).max() <= SPREAD
    equal = apart(hashes) == 0
    equal &= hashes.any(axis=1)[:, None]
    assert (groups[:, None] == groups[None])[equal].all()

    order = np.array(random.sample(range(len(hashes)), len(hashes)), int)
    shuffled = cut_chains(hashes[order], near_duplicate_groups(hashes[order]))
    same = groups[order][:, None] == groups[order][None]
    np.testing.assert_array_equal(shuffled[:, None] == shuffled[None], same)
