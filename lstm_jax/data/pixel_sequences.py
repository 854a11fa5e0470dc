"""Images read pixel by pixel, or row by row: which digit was it?"""

import functools
from typing import Literal

import numpy as np

from lstm_jax.config import Seed, register
from lstm_jax.data.memory_problem import (
    ArrayBatches,
    Examples,
    MemoryBatches,
    MemoryProblem,
    Sizes,
    most_frequent,
)
from lstm_jax.data.tfds import read_tfds_arrays
from lstm_jax.errors import ConfigError

_SIDE, _PIXELS = 28, 784


@register("memory_problem")
def sequential_mnist(
    *,
    permuted: bool = False,
    read: Literal["pixels", "rows"] = "pixels",
    permutation_seed: Seed = 0,
    data_dir: str | None = None,
    train: str = "train[:55000]",
    validation: str = "train[55000:]",
    test: str = "test",
) -> MemoryProblem:
    """Handwritten digits of MNIST, read one pixel after another: 784 steps, then the class.

    Q. V. Le, N. Jaitly and G. E. Hinton, "A Simple Way to Initialize Recurrent Networks of
    Rectified Linear Units", arXiv 1504.00941: in order, from the upper left, or in an order that
    is drawn once and is the same for all images (permuted), so that what belongs together stands
    far apart. Rows at a time (28 steps of 28 values) is a problem of its own, and far easier.
    Pixels lie in [0, 1]. Read through `tfds.data_source`, which needs Pillow; no TensorFlow.

    Args:
      permuted: whether pixels come in another order; of rows, that of the values all over the
        image.
      read: what is read at a step.
      permutation_seed: of that order.
      data_dir: where datasets are prepared; None for TFDS's own folder.
      train: split of the training images, in TFDS's own words for splits.
      validation: split of the validation images.
      test: split of the test images.

    Raises:
      UserError: when the data are read: the dataset or a split cannot be read here.
    """
    order = np.random.default_rng(permutation_seed).permutation(_PIXELS) if permuted else None
    names = {"train": train, "validation": validation, "test": test}
    width = 1 if read == "pixels" else _SIDE

    def make(sizes: Sizes) -> dict[str, MemoryBatches]:
        if sizes.lengths:
            raise ConfigError("lengths: an image has one length alone; this field must be empty")
        return {
            split: ArrayBatches(
                _read(names[split], data_dir),
                batch_size=sizes.batch_size if split == "train" else sizes.evaluation_batch_size,
                seed=sizes.seed if split == "train" else None,
                finish=lambda found: as_sequences(found, order, width),
            )
            for split in names
        }

    return MemoryProblem(
        input_size=width,
        symbols=False,
        classes=10,
        every_step=False,
        judged_by="accuracy",
        make=make,
        baseline=("most frequent class", most_frequent),
        steps=_PIXELS // width,
    )


@functools.lru_cache(maxsize=3)  # a run asks several times, and decoding takes half a minute
def _read(split: str, data_dir: str | None) -> dict[str, np.ndarray]:
    images, labels = read_tfds_arrays("mnist", split, data_dir, ("image", "label"))
    return {"images": images.reshape(-1, _PIXELS), "targets": labels.astype(np.int32)}


def as_sequences(examples: Examples, order: np.ndarray | None, width: int) -> Examples:
    """Images of bytes as sequences of values in [0, 1].

    >>> images = np.array([[0, 255, 51, 102]], np.uint8)
    >>> found = as_sequences({"images": images, "targets": np.array([7])}, np.arange(4)[::-1], 2)
    >>> found["inputs"].astype(float).round(1).tolist(), found["lengths"].tolist()
    ([[[0.4, 0.2], [1.0, 0.0]]], [2])

    Args:
      examples: `images` [batch, pixels] and `targets`.
      order: in which pixels come; None for their own.
      width: pixels in a step.
    """
    images = examples["images"] if order is None else examples["images"][:, order]
    inputs = (images / np.float32(255)).reshape(len(images), -1, width).astype(np.float32)
    lengths = np.full(len(images), inputs.shape[1], np.int32)
    return {"inputs": inputs, "lengths": lengths, "targets": examples["targets"]}
