"""Paths of several shapes and directions, and clips of something that moves along one."""

import numpy as np

from lstm_jax.data.moving_mnist import paste

_LINES = {"left": (1, -1), "right": (1, 1), "up": (0, -1), "down": (0, 1)}  # axis and direction
_TURNS = {"clockwise": 1, "anticlockwise": -1}
_SWINGS = {"to and fro": 1, "up and down": 0}
MOTIONS = (*_LINES, *_TURNS, *_SWINGS)


def motion_path(random: np.random.Generator, motion: str, frames: int) -> np.ndarray:
    """A path in the unit square, from the top and from the left, float64 [frames, 2].

    Lines go across half of the square or more; circles are gone round once, or a little less or
    more; what swings goes one or two times to and fro. No place of a path tells its class: every
    frame of "left" may be one of "right".

    >>> random = np.random.default_rng(0)
    >>> path = motion_path(random, "right", 5)
    >>> bool((np.diff(path[:, 1]) > 0).all()), float(np.ptp(path[:, 0]))
    (True, 0.0)

    Args:
      random: draws where, how far and how fast.
      motion: a name in `MOTIONS`.
      frames: of the path.
    """
    time = np.arange(frames) / (frames - 1)
    if motion in _TURNS:
        radius = random.uniform(0.25, 0.5)
        center = random.uniform(radius, 1 - radius, 2)
        turned = 2 * np.pi * (random.random() + _TURNS[motion] * random.uniform(0.75, 1.25) * time)
        return center + radius * np.stack([np.sin(turned), np.cos(turned)], axis=-1)
    extent = random.uniform(0.5, 1)
    begin = random.uniform(0, 1 - extent)
    path = np.full((frames, 2), random.random())
    if motion in _SWINGS:
        swung = 2 * np.pi * (random.random() + random.uniform(1, 2) * time)
        path[:, _SWINGS[motion]] = begin + extent * (0.5 - 0.5 * np.cos(swung))
        return path
    axis, direction = _LINES[motion]
    path[:, axis] = begin + extent * (time if direction > 0 else 1 - time)
    return path


def draw_motion(
    random: np.random.Generator, motion: str, shapes: np.ndarray, frames: int, side: int
) -> np.ndarray:
    """A clip of a shape that moves and one that stands still, bytes [frames, side, side, 1].

    Args:
      random: draws both shapes and their places.
      motion: a name in `MOTIONS`.
      shapes: to draw from, bytes [shapes, height, width].
      frames: of the clip.
      side: of a frame, pixels.
    """
    height, width = shapes.shape[1:]
    room = np.array([side - height, side - width])
    clip = np.zeros((frames, side, side, 1), np.uint8)
    for path in (motion_path(random, motion, frames), np.tile(random.random(2), (frames, 1))):
        image = shapes[random.integers(len(shapes))]
        paste(clip, image, np.round(path * room).astype(int))
    return clip
