"""Sequences of one's own videos: frames that follow each other, of one split in time each."""

import numpy as np
import pytest

from lstm_jax.data.frame_sources import video_windows
from lstm_jax.data.memory_problem import Sizes
from lstm_jax.errors import ConfigError, UserError
from tests.data.test_video_files import write_video

pytest.importorskip("av", reason="PyAV, the extra [video], is not installed")
SIZES = Sizes(800, 800, 1, 800, (), seed=0)  # each of 65 sequences, with a chance of 1 - 3e-4


def source(folder, counts, **options):
    """Videos whose frames grow brighter by 2 each; the second begins where the first ends."""
    levels, paths = np.arange(10, 250, 2, np.uint8), []
    for i, count in enumerate(counts):
        begin = sum(counts[:i])
        pixels = np.tile(levels[begin : begin + count, None, None, None], (1, 32, 48, 3))
        paths.append(str(write_video(folder / f"{i}.avi", pixels)))
    return video_windows(path=tuple(paths), height=8, width=12, **options)


def test_frames_follow_each_other_and_splits_share_none(tmp_path):
    made = source(tmp_path, (60, 40)).make(SIZES, 4)
    frames = {split: batches[0]["frames"] for split, batches in made.items()}
    seen = {}
    for split, values in frames.items():
        assert values.shape == (800, 4, 8, 12, 1)
        numbers = np.rint((values.mean(axis=(2, 3, 4)) - 10) / 2).astype(int)
        assert (np.diff(numbers, axis=1) == 1).all()
        seen[split] = set(numbers.ravel().tolist())
    # 0.7, 0.1 and 0.2 of each video; the six and four frames of validation are 3 and 1 sequences.
    assert seen["train"] == {*range(42), *range(60, 88)}
    assert seen["validation"] == {*range(42, 48), *range(88, 92)}
    assert seen["test"] == {*range(48, 60), *range(92, 100)}
    assert (
        made["train"].fingerprint()
        == source(tmp_path, (60, 40)).make(SIZES, 4)["train"].fingerprint()
    )
    other = source(tmp_path, (60, 40)).make(SIZES._replace(seed=1), 4)
    assert other["train"].fingerprint() != made["train"].fingerprint()
    assert other["test"].fingerprint() == made["test"].fingerprint()


def test_a_video_too_short_is_left_to_the_others_and_told_if_it_is_alone(tmp_path):
    made = source(tmp_path, (60, 9)).make(SIZES, 6)
    assert made["validation"][0]["frames"].shape[1] == 6
    message = r"data\.path: too few frames: the validation split of the longest video has 1, "
    with pytest.raises(UserError, match=message + "and a sequence 6 "):
        source(tmp_path, (9,)).make(SIZES, 6)
    with pytest.raises(ConfigError, match="path: names no file"):
        video_windows(path=())
    with pytest.raises(ConfigError, match="together must be below 1"):
        video_windows(path=("a.avi",), validation_share=0.5, test_share=0.5)
    with pytest.raises(UserError, match=r"data\.path: .*none\.avi is no video"):
        video_windows(path=(str(tmp_path / "none.avi"),)).make(SIZES, 6)
