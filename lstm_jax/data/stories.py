"""Clips of a digit that moves, and the sentence that says how: generated."""

import numpy as np

from lstm_jax.data.motions import motion_path
from lstm_jax.data.moving_mnist import paste

DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
_WAYS = {"left": (0, -1), "right": (0, 1), "up": (-1, 0), "down": (1, 0)}
_TURNS = ("clockwise", "anticlockwise")
# What can happen in a clip: two different lines, one behind the other, or a circle.
STORIES = (*((one, two) for one in _WAYS for two in _WAYS if one != two), *((t,) for t in _TURNS))


def sentence(digit: int, story: tuple[str, ...]) -> str:
    """What happens, in words.

    >>> sentence(3, ("left", "up")), sentence(0, ("clockwise",))
    ('the digit three moves left then up', 'the digit zero circles clockwise')
    """
    verb = "moves" if len(story) > 1 else "circles"
    return f"the digit {DIGITS[digit]} {verb} {' then '.join(story)}"


def story_path(random: np.random.Generator, story: tuple[str, ...], frames: int) -> np.ndarray:
    """A path in the unit square, from the top and from the left, float64 [frames, 2].

    Each line takes half of the time and goes across four tenths of the square or more.

    >>> path = story_path(np.random.default_rng(0), ("right", "down"), 5)
    >>> (np.diff(path, axis=0) > 0).tolist()
    [[False, True], [False, True], [True, False], [True, False]]

    Args:
      random: draws where and how far.
      story: one of `STORIES`.
      frames: of the path.
    """
    if len(story) == 1:
        return motion_path(random, story[0], frames)
    time = np.linspace(0, 2, frames)[:, None]
    lines = [random.uniform(0.4, 0.9) * np.array(_WAYS[way]) for way in story]
    path = lines[0] * np.clip(time, 0, 1) + lines[1] * np.clip(time - 1, 0, 1)
    return path + random.uniform(-path.min(axis=0), 1 - path.max(axis=0))


def draw_story(
    random: np.random.Generator, story: tuple[str, ...], image: np.ndarray, frames: int, side: int
) -> np.ndarray:
    """A clip of an image [height, width] that moves so, bytes [frames, side, side, 1]."""
    clip = np.zeros((frames, side, side, 1), np.uint8)
    room = side - np.array(image.shape)
    paste(clip, image, np.round(story_path(random, story, frames) * room).astype(int))
    return clip
