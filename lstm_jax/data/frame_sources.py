"""Where sequences of frames come from, by name."""

from collections.abc import Callable
from typing import Annotated, NamedTuple

import numpy as np

from lstm_jax.config import PositiveInt, Range, register
from lstm_jax.data.memory_problem import DrawnBatches, Examples, MemoryBatches, Sizes
from lstm_jax.data.moving_mnist import blobs, draw_moving, read_digits
from lstm_jax.data.video_files import FrameSize

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
    def make(sizes: Sizes, steps: int) -> dict[str, MemoryBatches]:
        def batches(split: str, count: int, size: int, entropy: tuple[int, ...]) -> MemoryBatches:
            shapes = shapes_of(split)

            def draw(random: np.random.Generator, rows: int, length: int | None) -> Examples:
                del length
                moving = draw_moving(random, shapes, rows, steps, number=number, side=side)
                return {"frames": moving}

            return DrawnBatches(draw, count=count, batch_size=size, entropy=entropy)

        held_out = (sizes.evaluation_examples, sizes.evaluation_batch_size)
        trained = sizes.epoch_batches * sizes.batch_size
        return {
            "train": batches("train", trained, sizes.batch_size, (0, sizes.seed)),
            "validation": batches("validation", *held_out, (1,)),
            "test": batches("test", *held_out, (2,)),
        }

    return FrameSource(FrameSize(side, side, 1), make)
