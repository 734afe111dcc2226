import json

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.optimize import linear_sum_assignment
from sklearn.cluster import KMeans
from threadpoolctl import threadpool_limits

from artray.features.colormaps import FAR, ColorMaps, color_map, color_map_distances, learn_color_maps

MAPS = hnp.arrays(
    np.float64, st.tuples(st.integers(1, 4), st.just(5), st.just(3)), elements=st.floats(0, 255, width=32)
)


def distance(one, other):
    """The exact assignment, by another algorithm."""
    costs = np.square(one[:, None] / 255 - other / 255).sum(axis=-1)
    return np.sqrt(costs[linear_sum_assignment(costs)].sum())


@pytest.mark.slow
def test_inertia_on_the_pixels_is_close_to_the_best_of_ten_restarts(paintings):
    for image in paintings:
        pixels = image.reshape(-1, 3).astype(float)
        with threadpool_limits(1):
            best = KMeans(5, n_init=10, random_state=0).fit(pixels).inertia_
        found = np.square(pixels[:, None] - color_map(image)[0]).sum(axis=-1).min(axis=1).sum()
        assert found <= 1.02 * best


@given(hnp.arrays(np.uint8, (12, 12, 3)))
def test_is_a_color_map(image):
    colors, share = color_map(image)
    assert colors.shape == (5, 3)
    assert share.sum() == pytest.approx(1)
    assert (np.diff(share) <= 0).all()
    assert colors.min() >= image.min() - 1e-9
    assert colors.max() <= image.max() + 1e-9


@given(st.lists(st.tuples(*[st.sampled_from([0, 60, 130, 255])] * 3), min_size=1, max_size=5, unique=True))
def test_finds_few_colors_exactly_and_repeats_the_first(wanted):
    counts = np.arange(1, len(wanted) + 1) ** 2
    colors, share = color_map(np.repeat(np.array(wanted, np.uint8), counts, axis=0)[None])
    missing = 5 - len(wanted)
    np.testing.assert_allclose(colors, wanted[::-1] + [wanted[-1]] * missing)
    np.testing.assert_allclose(share, np.append(counts[::-1] / counts.sum(), np.zeros(missing)))


@given(MAPS, MAPS)
def test_distance_is_that_of_the_best_assignment(maps, references):
    found = color_map_distances(maps, {str(index): reference for index, reference in enumerate(references)})
    expected = [[distance(one, reference) for reference in references] for one in maps]
    np.testing.assert_allclose(found, expected, atol=1e-6)


@given(MAPS, MAPS, st.permutations(range(5)), st.permutations(range(5)))
def test_distance_ignores_the_order_of_clusters(maps, references, order, other_order):
    named = {str(index): reference for index, reference in enumerate(references)}
    reordered = {name: reference[other_order] for name, reference in named.items()}
    np.testing.assert_allclose(
        color_map_distances(maps[:, order], reordered), color_map_distances(maps, named), atol=1e-6
    )


@given(MAPS, MAPS)
def test_published_form_keeps_the_nearest_only(maps, references):
    found = color_map_distances(maps, {str(i): reference for i, reference in enumerate(references)}, form="published")
    # The published loop: the first of equals wins.
    for row, one in zip(found, maps, strict=True):
        errors = [np.sum(np.abs(reference / 255 - one / 255)) for reference in references]
        expected = np.full(len(errors), FAR)
        expected[int(np.argmin(errors))] = min(errors)
        np.testing.assert_allclose(row, expected)


def test_learned_map_is_the_picture_itself_in_any_order():
    random = np.random.default_rng(0)
    wanted = {name: random.uniform(0, 255, (5, 3)) for name in ("joy", "fear")}
    labels = ["joy", "fear"] * 10
    maps = [random.permutation(wanted[label]) for label in labels]
    learned = learn_color_maps(maps, labels)
    assert list(learned) == ["fear", "joy"]
    for name, reference in learned.items():
        assert distance(reference, wanted[name]) < 1e-6


def test_learned_map_is_nearer_to_its_class_than_any_of_its_pictures():
    maps = np.random.default_rng(0).uniform(0, 255, (40, 5, 3))
    learned = learn_color_maps(maps, ["love"] * len(maps))
    cost = np.square(color_map_distances(maps, learned)).sum()
    pictures = {str(index): picture for index, picture in enumerate(maps)}
    assert cost < np.square(color_map_distances(maps, pictures)).sum(axis=0).min()


def test_learned_maps_tell_palettes_apart():
    random = np.random.default_rng(0)
    base = {name: random.uniform(40, 215, (5, 3)) for name in ("anger", "sadness", "surprise")}
    labels = list(base) * 30
    maps = np.stack([random.permutation(base[label] + random.normal(0, 12, (5, 3))) for label in labels])
    learned = learn_color_maps(maps[:45], labels[:45])
    nearest = color_map_distances(maps[45:], learned).argmin(axis=1)
    assert [list(learned)[index] for index in nearest] == labels[45:]


def test_reference_maps_survive_json():
    maps = np.random.default_rng(0).uniform(0, 255, (6, 5, 3))
    learned = learn_color_maps(maps, list("abcabc"))
    restored = json.loads(json.dumps({name: reference.tolist() for name, reference in learned.items()}))
    np.testing.assert_array_equal(color_map_distances(maps, restored), color_map_distances(maps, learned))


def test_refuses_labels_that_do_not_match():
    with pytest.raises(ValueError, match="2 colour maps but 1 labels"):
        learn_color_maps(np.zeros((2, 5, 3)), ["joy"])


def test_does_not_depend_on_the_batch(paintings):
    together = pa.table(ColorMaps()(paintings))
    alone = pa.concat_tables([pa.table(ColorMaps()(paintings[index : index + 1])) for index in range(len(paintings))])
    assert together.equals(alone.combine_chunks())


@pytest.mark.parametrize("n", [0, 2])
def test_columns_are_as_declared(n, paintings):
    assert pa.table(ColorMaps()(paintings[:n])).schema == pa.schema(ColorMaps.fields)
