"""SpecAugment: masks of the widths that were asked for, anywhere, and nothing behind the end."""

import jax
import numpy as np

from lstm_jax.models.audio_augmentation import SpecAugment

LENGTHS = np.repeat([40, 25, 3, 0], 64)
ONES = (np.arange(40) < LENGTHS[:, None])[..., None] * np.ones(10, np.float32)


def runs(row):
    """The lengths of the stretches of True."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], row, [0]])))
    return edges[1::2] - edges[::2]


def test_masks_are_as_wide_as_asked_and_fall_everywhere():
    augment = SpecAugment(
        time_masks=1, time_width=6, time_share=0.2, frequency_masks=1, frequency_width=4
    )
    augment = jax.jit(augment)
    changed, again, other = (
        np.asarray(augment(jax.random.key(k), ONES, LENGTHS)) for k in (0, 0, 1)
    )
    np.testing.assert_array_equal(changed, again)
    assert (changed != other).any()
    inside = np.arange(40) < LENGTHS[:, None]
    assert not changed[~inside].any()
    in_time = inside & ~changed.any(axis=2)
    in_frequency = ~changed.any(axis=1)
    for length, widest in ((40, 6), (25, 5), (3, 0)):
        widths = [runs(row) for row in in_time[length == LENGTHS]]
        assert all(len(w) <= 1 for w in widths)
        drawn = {int(w[0]) if len(w) else 0 for w in widths}
        assert drawn == set(range(widest + 1))
    hidden = in_frequency[LENGTHS > 3]
    assert {int(row.sum()) for row in hidden} == {0, 1, 2, 3, 4}
    assert hidden.any(axis=0).all()
    assert in_time[LENGTHS == 40].any(axis=0).all()
    # What no mask covers stays as it was.
    np.testing.assert_array_equal(changed, ONES * ~in_time[..., None] * ~in_frequency[:, None])


def test_noise_has_the_deviation_asked_for():
    augment = jax.jit(SpecAugment(time_masks=0, frequency_masks=0, noise=0.5))
    noise = np.asarray(augment(jax.random.key(0), ONES, LENGTHS))[:64] - 1
    np.testing.assert_allclose([noise.mean(), noise.std()], [0, 0.5], atol=0.01)
