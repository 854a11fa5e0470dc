"""Moving MNIST: digits that fly about in a square and bounce off its edges, drawn as one goes on.

N. Srivastava, E. Mansimov and R. Salakhutdinov, "Unsupervised Learning of Video Representations
using LSTMs", arXiv 1502.04681, section 4.1: two digits of 28 by 28 pixels in a frame of 64 by 64;
each begins anywhere, in a direction drawn uniformly, and goes a tenth of its room a frame; where
it would leave the frame it stays at the edge and turns; where digits overlap the brighter pixel is
seen. Numbers are those of the code that came with the paper.
"""

import functools

import numpy as np

from lstm_jax.data.tfds import read_tfds_arrays

_STEP = 0.1  # of the room that a digit has, in a frame


def bounce(random: np.random.Generator, count: int, steps: int) -> np.ndarray:
    """Paths in the unit square that bounce off its edges, float64 [count, steps, 2].

    >>> path = bounce(np.random.default_rng(0), 1, 30)[0]
    >>> bool(((path >= 0) & (path <= 1)).all()), float(np.hypot(*(path[1] - path[0])).round(6))
    (True, 0.1)

    Args:
      random: draws where each begins and its direction.
      count: of paths.
      steps: of each; the first place is a step behind where it begins, as in the published code.
    """
    place = random.random((count, 2))
    angle = 2 * np.pi * random.random(count)
    velocity = _STEP * np.stack([np.sin(angle), np.cos(angle)], axis=-1)
    paths = np.zeros((count, steps, 2))
    for step in range(steps):
        place = place + velocity
        velocity = np.where((place <= 0) | (place >= 1), -velocity, velocity)
        place = np.clip(place, 0, 1)
        paths[:, step] = place
    return paths


def draw_moving(
    random: np.random.Generator,
    shapes: np.ndarray,
    count: int,
    steps: int,
    *,
    number: int,
    side: int,
) -> np.ndarray:
    """Sequences of frames in which shapes move, bytes [count, steps, side, side, 1].

    Args:
      random: draws the shapes and their paths.
      shapes: to draw from, bytes [shapes, height, width].
      count: of sequences.
      steps: frames of each.
      number: of shapes in a sequence.
      side: of a frame, pixels.
    """
    height, width = shapes.shape[1:]
    chosen = shapes[random.integers(len(shapes), size=(count, number))]
    room = np.array([side - height, side - width])
    corners = (bounce(random, count * number, steps) * room).astype(int)
    corners = corners.reshape(count, number, steps, 2)
    frames = np.zeros((count, steps, side, side, 1), np.uint8)
    for sequence, images, paths in zip(frames, chosen, corners, strict=True):
        for image, path in zip(images, paths, strict=True):
            paste(sequence, image, path)
    return frames


def paste(frames: np.ndarray, image: np.ndarray, corners: np.ndarray) -> None:
    """Puts an image into every frame; of overlapping pixels the brighter one is seen.

    Args:
      frames: bytes [time, height, width, 1], changed in place.
      image: bytes [height, width].
      corners: where the image's upper left corner lies in each frame, pixels [time, 2].
    """
    height, width = image.shape
    for frame, (top, left) in zip(frames, corners, strict=True):
        part = frame[top : top + height, left : left + width, 0]
        np.maximum(part, image, out=part)


@functools.lru_cache(maxsize=4)  # a run asks several times, and decoding takes half a minute
def read_digits(split: str, data_dir: str | None) -> tuple[np.ndarray, np.ndarray]:
    """The digits of MNIST, bytes [digits, 28, 28], and which each is, int64 [digits].

    Args:
      split: in TFDS's own words for splits.
      data_dir: where datasets are prepared; None for TFDS's own folder.

    Raises:
      UserError: the dataset or the split cannot be read here.
    """
    images, labels = read_tfds_arrays("mnist", split, data_dir, ("image", "label"))
    return images[..., 0], labels


def blobs(random: np.random.Generator, count: int, side: int) -> np.ndarray:
    """Strokes of three random points that look a little like digits, bytes [count, side, side].

    >>> made = blobs(np.random.default_rng(0), 2, 12)
    >>> made.shape, bool(made.max() > 200), bool(made[:, 0].any())
    ((2, 12, 12), True, False)
    """
    ends = side * random.uniform(0.25, 0.75, (count, 3, 2))
    along = np.linspace(0, 1, 2 * side)[:, None, None]
    points = np.concatenate(
        [ends[:, i] + along * (ends[:, i + 1] - ends[:, i]) for i in range(2)]
    )  # [points, count, 2]
    grid = np.moveaxis(np.mgrid[:side, :side], 0, -1)
    apart = np.square(points[..., None, None, :] - grid).sum(axis=-1).min(axis=0)
    return (255 * np.exp(-apart / (0.005 * side**2))).astype(np.uint8)
