"""Anomalies of videos: each is what its name says, where it is said to be, and nowhere else."""

import numpy as np
import pytest

from lstm_jax.data.video_anomalies import VIDEO_ANOMALIES, anomalous_steps, inject_into_video


@pytest.mark.parametrize("seed", range(10))
def test_an_anomaly_is_what_its_name_says(seed):
    random = np.random.default_rng(seed)
    video = random.integers(0, 256, (150, 8, 12, 1), np.uint8)
    changed, segments = inject_into_video(video, 3, (5, 9), 4, random)
    steps = anomalous_steps(150, segments)
    assert [segment.kind for segment in segments] == list(VIDEO_ANOMALIES)
    for number, (kind, begin, end) in enumerate(segments):
        assert 50 * number + 4 <= begin
        assert end < 50 * (number + 1)
        assert 5 <= end - begin <= 9
        found, own = changed[begin:end], video[begin:end]
        if kind == "frozen":
            assert (found == video[begin - 1]).all()
        elif kind == "reversed":
            np.testing.assert_array_equal(found, own[::-1])
        else:
            assert set((found != own).sum(axis=(1, 2, 3)).tolist()) <= set(range(4, 2 * 3 + 1))
            assert np.abs(np.diff((found != own).any(axis=(1, 3)).argmax(axis=1))).max() <= 3
    # A step is anomalous if one of its two frames is another one: so the one behind the end is.
    other = (changed != video).any(axis=(1, 2, 3))
    assert other.any()
    assert (steps >= other).all()
    assert steps.sum() == sum(s.end - s.begin + 1 for s in segments)


def test_anomalies_without_room_are_told():
    with pytest.raises(ValueError, match=r"5 anomalies of up to 9 .* need 70 frames; there are 60"):
        inject_into_video(np.zeros((60, 4, 4, 1), np.uint8), 5, (5, 9), 4, np.random.default_rng(0))
