"""The classifier of series: padding changes nothing, a stride counts rightly."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lstm_jax as lj
from lstm_jax.models.nearest_neighbour import (
    euclidean_neighbours,
    warping_distances,
    warping_neighbours,
)
from lstm_jax.models.series_augmentation import SeriesAugmentation
from lstm_jax.models.series_classifier import SeriesClassifier


@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("length", [1, 2, 5, 7])
def test_a_series_is_classified_alike_whatever_the_padding(stride, length):
    model = SeriesClassifier(
        classes=3, cell=lj.lstm, hidden_size=4, filters=5, width=4, stride=stride,
        pooling=("last", "mean", "max"),
    )  # fmt: skip
    series = jax.random.normal(jax.random.key(1), (1, length, 2))
    lengths = jnp.array([length])
    variables = model.init(jax.random.key(0), series, lengths)
    alone = model.apply(variables, series, lengths)
    padded = jnp.pad(series, ((0, 0), (0, 4), (0, 0)))
    np.testing.assert_allclose(model.apply(variables, padded, lengths), alone, atol=1e-6)


def test_the_convolution_is_that_of_torch():
    torch = pytest.importorskip("torch")
    model = SeriesClassifier(classes=2, cell=lj.lstm, filters=3, width=4, stride=2)
    series = np.asarray(jax.random.normal(jax.random.key(0), (2, 7, 2)))
    variables = model.init(jax.random.key(1), series, jnp.array([7, 7]))
    found = model.apply(variables, series, method="embed")
    weights = variables["params"]["convolution"]
    kernel = torch.tensor(np.array(weights["kernel"]).transpose(2, 1, 0))
    padded = torch.tensor(np.pad(series, ((0, 0), (1, 2), (0, 0))).transpose(0, 2, 1))
    expected = torch.conv1d(padded, kernel, torch.tensor(np.array(weights["bias"])), stride=2)
    assert found.shape == (4, 2, 3)
    np.testing.assert_allclose(found, torch.relu(expected).numpy().transpose(2, 0, 1), atol=1e-5)


def test_without_a_convolution_the_series_are_read_as_they_are():
    model = SeriesClassifier(classes=2, cell=lj.lstm)
    series = jnp.ones((2, 5, 3))
    params = model.init(jax.random.key(0), series, jnp.array([5, 1]))["params"]
    assert set(params) == {"layer_0", "output"}
    assert model.steps_of(jnp.array([5, 1])).tolist() == [5, 1]


def change(series, lengths, **options):
    return SeriesAugmentation(**options)(jax.random.key(3), jnp.asarray(series), lengths)


def test_no_augmentation_changes_nothing():
    series = np.random.default_rng(0).normal(size=(3, 6, 2)).astype(np.float32)
    np.testing.assert_array_equal(change(series, jnp.full(3, 6)), series)


@pytest.mark.parametrize("what", ["noise", "scaling", "shift", "warping"])
def test_a_change_is_that_of_each_series_alone_and_ends_with_it(what):
    one = np.random.default_rng(0).normal(size=(1, 9, 2)).astype(np.float32)
    series, lengths = np.repeat(one, 3, axis=0), jnp.array([9, 9, 4])
    changed = change(series, lengths, **{what: 0.3})
    assert not np.allclose(changed[0], changed[1])
    assert not np.allclose(changed[0], one[0])
    assert not changed[2, 4:].any()
    series[2, 4:] = 1e6  # what stands behind an end is never read
    np.testing.assert_array_equal(change(series, lengths, **{what: 0.3}), changed)


def test_moved_in_time_a_line_stays_between_its_ends():
    series = np.tile(np.linspace(0, 1, 50, dtype=np.float32)[:, None], (64, 1, 1))
    changed = np.asarray(change(series, jnp.full(64, 50), warping=0.05, shift=0.02))
    assert changed.min() >= 0
    assert changed.max() <= 1
    moved = (changed - series)[:, 20:30]
    assert 0.02 < moved.std() < 0.15


def test_scaling_and_noise_have_the_deviations_that_are_named():
    ones = np.ones((500, 8, 1), np.float32)
    factors = np.asarray(change(ones, jnp.full(500, 8), scaling=0.2))
    assert factors[:, 0].std() == pytest.approx(0.2, rel=0.15)
    np.testing.assert_array_equal(factors[:, 0], factors[:, 5])
    noise = np.asarray(change(ones, jnp.full(500, 8), noise=0.5)) - 1
    assert noise.std() == pytest.approx(0.5, rel=0.1)


def test_the_nearest_is_found_by_distance():
    random = np.random.default_rng(0)
    training = [random.normal(size=(7, 2)) for _ in range(20)]
    rows = [3, 11, 0]
    near = [training[row] + 0.01 * random.normal(size=(7, 2)) for row in rows]
    assert euclidean_neighbours(near, training).tolist() == rows
    assert warping_neighbours(near, training).tolist() == rows
    slow = [np.repeat(training[row], 2, axis=0) for row in rows]
    assert warping_neighbours(slow, training).tolist() == rows


def test_warping_is_that_of_the_equation():
    random = np.random.default_rng(0)
    one, lengths = random.normal(size=(5, 2)), np.array([4, 7, 1])
    padded = random.normal(size=(3, 7, 2))
    for row, found in enumerate(warping_distances(one, padded, lengths)):
        other = padded[row, : lengths[row]]
        table = np.full((len(one) + 1, len(other) + 1), np.inf)
        table[0, 0] = 0
        for i in range(len(one)):
            for j in range(len(other)):
                least = min(table[i, j], table[i, j + 1], table[i + 1, j])
                table[i + 1, j + 1] = np.sum((one[i] - other[j]) ** 2) + least
        assert found == pytest.approx(table[-1, -1])
