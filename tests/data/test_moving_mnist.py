"""Moving digits: paths are those of the published recipe, sequences a function of their numbers."""

import numpy as np
import pytest

from lstm_jax.data.frame_sources import moving_blobs, moving_mnist
from lstm_jax.data.memory_problem import Sizes
from lstm_jax.data.moving_mnist import bounce, draw_moving

SIZES = Sizes(4, 3, 5, 7, (), seed=0)


def published_path(y, x, theta, steps):
    """The loop of the code that came with arXiv 1502.04681, for one digit."""
    v_y, v_x, path = np.sin(theta), np.cos(theta), []
    for _ in range(steps):
        y += v_y * 0.1
        x += v_x * 0.1
        if x <= 0:
            x, v_x = 0, -v_x
        if x >= 1.0:
            x, v_x = 1.0, -v_x
        if y <= 0:
            y, v_y = 0, -v_y
        if y >= 1.0:
            y, v_y = 1.0, -v_y
        path.append((y, x))
    return path


def test_paths_are_those_of_the_published_recipe():
    paths = bounce(np.random.default_rng(5), 30, 40)
    random = np.random.default_rng(5)
    places, angles = random.random((30, 2)), 2 * np.pi * random.random(30)
    expected = [published_path(*p, a, 40) for p, a in zip(places, angles, strict=True)]
    np.testing.assert_allclose(paths, expected, atol=1e-12)
    assert (paths == 0).any()
    assert (paths == 1).any()


def test_a_shape_is_whole_in_every_frame_and_the_brighter_pixel_is_seen():
    shapes = np.stack([np.full((4, 4), value, np.uint8) for value in (50, 200)])
    frames = draw_moving(np.random.default_rng(1), shapes, 20, 15, number=2, side=10)
    assert frames.shape == (20, 15, 10, 10, 1)
    assert set(np.unique(frames)) == {0, 50, 200}
    bright = (frames == 200).sum(axis=(2, 3, 4))
    # One bright square, or two that may lie on one another, or none in all frames of a sequence.
    assert ((bright == 0) | (bright >= 16)).all()
    for sequence in bright:
        assert (sequence == 0).all() or (sequence >= 16).all()


def test_sequences_are_functions_of_seed_epoch_and_number():
    def frames(seed, split, epoch, index):
        splits = moving_blobs(side=16).make(SIZES._replace(seed=seed), 5)
        return splits[split].at(epoch, index)["frames"]

    first = frames(0, "train", 0, 0)
    np.testing.assert_array_equal(first, frames(0, "train", 0, 0))
    for other in ((1, "train", 0, 0), (0, "train", 1, 0), (0, "train", 0, 1)):
        assert (frames(*other) != first).any()
    for split in ("validation", "test"):
        np.testing.assert_array_equal(frames(0, split, 0, 1), frames(1, split, 0, 1))


def test_splits_are_of_digits_of_their_own(monkeypatch):
    digits = {"a": 10, "b": 20, "c": 30}

    def read(split, data_dir):
        assert data_dir == "here"
        return np.full((3, 28, 28), digits[split], np.uint8), np.zeros(3)

    monkeypatch.setattr("lstm_jax.data.frame_sources.read_digits", read)
    source = moving_mnist(data_dir="here", train="a", validation="b", test="c")
    for split, batches in source.make(SIZES, 6).items():
        batch = batches[0]
        assert batch["frames"].shape[1:] == (6, *source.size) == (6, 64, 64, 1)
        value = {"train": 10, "validation": 20, "test": 30}[split]
        assert set(np.unique(batch["frames"])) == {0, value}
    assert source.make(SIZES, 6)["test"][2]["valid"].tolist() == [True, False, False]


@pytest.mark.parametrize("side", [16, 24])
def test_fingerprints_tell_sources_apart(side):
    found = moving_blobs(side=side).make(SIZES, 5)["train"].fingerprint()
    assert found == moving_blobs(side=side).make(SIZES, 5)["train"].fingerprint()
    assert found != moving_blobs(side=side).make(SIZES, 6)["train"].fingerprint()
    assert found != moving_blobs(side=20).make(SIZES, 5)["train"].fingerprint()
