"""Where sequences of frames come from, by name."""

import functools
from collections.abc import Callable, Sequence
from typing import Annotated, Literal, NamedTuple

import numpy as np

from lstm_jax.config import Fraction, PositiveInt, Range, register
from lstm_jax.data.held_out import SPLITS, require_paths
from lstm_jax.data.memory_problem import Draw, DrawnBatches, Examples, MemoryBatches, Sizes
from lstm_jax.data.moving_mnist import blobs, draw_moving, read_digits
from lstm_jax.data.video_files import FrameSize
from lstm_jax.data.video_sources import cut_by_time, video_file
from lstm_jax.errors import UserError

_DIGIT = 28


class FrameSource(NamedTuple):
    """Sequences of frames.

    Attributes:
      size: of a frame.
      make: `(sizes, steps) -> batches of every split`. A batch holds `frames`, bytes [batch, steps,
        height, width, channels], and `valid` [batch].
    """

    size: FrameSize
    make: Callable[[Sizes, int], dict[str, MemoryBatches]]


@register("frame_source")
def moving_mnist(
    *,
    digits: PositiveInt = 2,
    side: Annotated[int, Range(_DIGIT)] = 64,
    data_dir: str | None = None,
    train: str = "train[:55000]",
    validation: str = "train[55000:]",
    test: str = "test",
) -> FrameSource:
    """Moving MNIST (see `lstm_jax.data.moving_mnist`), generated: the published test file is not.

    A training sequence is a function of the seed, its epoch and its number, and none comes twice.
    Held-out ones are of digits that are not trained on, and do not depend on the seed. Digits are
    read through `tfds.data_source`, which needs Pillow; no TensorFlow.

    Args:
      digits: in a sequence.
      side: of a frame, pixels.
      data_dir: where datasets are prepared; None for TFDS's own folder.
      train: split of MNIST whose digits are trained on, in TFDS's own words for splits.
      validation: split of the validation digits.
      test: split of the test digits.

    Raises:
      UserError: when the data are read: the dataset or a split cannot be read here.
    """
    names = {"train": train, "validation": validation, "test": test}
    return _moving(lambda split: read_digits(names[split], data_dir)[0], digits, side)


@register("frame_source")
def video_windows(
    *,
    path: tuple[str, ...],
    validation_share: Fraction = 0.1,
    test_share: Fraction = 0.2,
    height: PositiveInt = 64,
    width: PositiveInt = 64,
    color: Literal["rgb", "grey"] = "grey",
    memory: PositiveInt = 1024,
) -> FrameSource:
    """Sequences of frames that follow each other in videos, each of which is cut by time.

    Every sequence of a split is as likely as any other. Held-out ones do not depend on the seed.
    Frames are kept in memory, as small as they are made.

    Args:
      path: video files, separated by commas.
      validation_share: share of the frames of each for validation, behind those to train on.
      test_share: share of the frames of each for the test, the last ones.
      height: of a frame, pixels; it is scaled to cover height and width, and its middle taken.
      width: of a frame, pixels.
      color: whether frames are in colour.
      memory: MiB that the frames of a video may take.

    Raises:
      ConfigError: no file is named, or the shares leave nothing to train on.
      UserError: when the data are read: a file cannot be, its frames need more memory, or no
        video has enough frames for a sequence in every split.
    """
    shares = require_paths(
        {"train": path, "validation": (), "test": ()},
        {"validation": validation_share, "test": test_share},
    )
    videos = [
        video_file(path=one, height=height, width=width, color=color, memory=memory) for one in path
    ]

    @functools.cache  # baselines and pictures need the frames again
    def parts() -> dict[str, list[np.ndarray]]:
        cut = [cut_by_time(video.read(), shares) for video in videos]
        return {split: [one[split] for one in cut] for split in SPLITS}

    def draw_of(split: str, steps: int) -> Draw:
        long_enough = [part for part in parts()[split] if len(part) >= steps]
        if not long_enough:
            most = max(map(len, parts()[split]))
            raise UserError(
                f"data.path: too few frames: the {split} split of the longest video has {most:,}, "
                f"and a sequence {steps} (data.seen and data.forecast)"
            )
        return _windows(long_enough, steps)

    return FrameSource(videos[0].size, lambda sizes, steps: _drawn(draw_of, sizes, steps))


def _windows(parts: Sequence[np.ndarray], steps: int) -> Draw:
    """Draws sequences of frames of any of the parts."""
    counts = [len(part) - steps + 1 for part in parts]
    begins = np.cumsum([0, *counts])

    def draw(random: np.random.Generator, rows: int, length: int | None) -> Examples:
        del length
        found = []
        for place in random.integers(begins[-1], size=rows):
            part = int(np.searchsorted(begins, place, side="right")) - 1
            begin = place - begins[part]
            found.append(parts[part][begin : begin + steps])
        return {"frames": np.stack(found)}

    return draw


@register("frame_source")
def moving_blobs(*, number: PositiveInt = 2, side: Annotated[int, Range(8)] = 24) -> FrameSource:
    """Generated strokes that move as the digits of `moving_mnist`, to try a config without data.

    >>> splits = moving_blobs(side=16).make(Sizes(2, 3, 1, 4, (), seed=0), 5)
    >>> splits["train"][0]["frames"].shape, splits["test"][1]["valid"].tolist()
    ((2, 5, 16, 16, 1), [True, False, False])

    Args:
      number: of strokes in a sequence.
      side: of a frame, pixels; a stroke has half of it.
    """
    seeds = {"train": 0, "validation": 1, "test": 2}

    def shapes(split: str) -> np.ndarray:
        return blobs(np.random.default_rng(seeds[split]), 50, side // 2)

    return _moving(shapes, number, side)


def _moving(shapes_of: Callable[[str], np.ndarray], number: int, side: int) -> FrameSource:
    def draw_of(split: str, steps: int) -> Draw:
        shapes = shapes_of(split)

        def draw(random: np.random.Generator, rows: int, length: int | None) -> Examples:
            del length
            moving = draw_moving(random, shapes, rows, steps, number=number, side=side)
            return {"frames": moving}

        return draw

    return FrameSource(FrameSize(side, side, 1), lambda sizes, steps: _drawn(draw_of, sizes, steps))


def _drawn(
    draw_of: Callable[[str, int], Draw], sizes: Sizes, steps: int
) -> dict[str, MemoryBatches]:
    def batches(split: str, count: int, size: int, entropy: tuple[int, ...]) -> MemoryBatches:
        return DrawnBatches(draw_of(split, steps), count=count, batch_size=size, entropy=entropy)

    held_out = (sizes.evaluation_examples, sizes.evaluation_batch_size)
    trained = sizes.epoch_batches * sizes.batch_size
    return {
        "train": batches("train", trained, sizes.batch_size, (0, sizes.seed)),
        "validation": batches("validation", *held_out, (1,)),
        "test": batches("test", *held_out, (2,)),
    }
