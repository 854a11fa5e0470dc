"""Problems that take a long memory, by name: what they ask, and what one reaches without it.

Examples are drawn as a run goes on, and none is trained on twice; those that it is judged by are
always the same. State tracking stands in `state_tracking`, pixels of images in `pixel_sequences`.
"""

import math
from typing import Annotated, Literal

import numpy as np

from lstm_jax.config import Range, register
from lstm_jax.data.loader import RandomAccess
from lstm_jax.data.memory_problem import (
    Examples,
    MemoryProblem,
    drawn,
    mean_square_of_mean,
    most_frequent,
)
from lstm_jax.data.pixel_sequences import sequential_mnist
from lstm_jax.data.state_tracking import dyck, modular_counting, parity

__all__ = [
    "adding",
    "copy_memory",
    "dyck",
    "modular_counting",
    "parity",
    "sequential_mnist",
    "temporal_order",
]


@register("memory_problem")
def adding(*, length: Annotated[int, Range(2)] = 600) -> MemoryProblem:
    """The adding problem: the sum of the two numbers that are marked among many.

    At each of T steps the input is a number, uniform in [0, 1], and a mark; one step of the first
    half is marked and one of the second. The answer is the sum of the two numbers, at the last
    step. S. Hochreiter and J. Schmidhuber, "Long Short-Term Memory", Neural Computation 9(8),
    1997, experiment 4, as it is posed since J. Martens and I. Sutskever, 2011. Always answering
    the mean, 1, has a mean squared error of 1/6.

    >>> examples = draw_adding(np.random.default_rng(0), 1, 4)
    >>> examples["inputs"][0].astype(float).round(2).tolist()
    [[0.85, 1.0], [0.64, 0.0], [0.51, 1.0], [0.27, 0.0]]
    >>> round(float(examples["targets"][0]), 2)
    1.36

    Args:
      length: steps T of a sequence.
    """

    def draw(random: np.random.Generator, count: int, steps: int | None) -> Examples:
        return draw_adding(random, count, steps or length)

    return MemoryProblem(
        input_size=2,
        symbols=False,
        classes=0,
        every_step=False,
        judged_by="mse",
        make=drawn(draw, shortest=2),
        baseline=("always the mean", mean_square_of_mean),
        steps=length,
    )


def draw_adding(random: np.random.Generator, count: int, length: int) -> Examples:
    """Examples of `adding`."""
    numbers = random.random((count, length), dtype=np.float32)
    rows = np.arange(count)
    marks = np.zeros_like(numbers)
    first = random.integers(0, length // 2, count)
    second = random.integers(length // 2, length, count)
    marks[rows, first] = marks[rows, second] = 1
    return {
        "inputs": np.stack([numbers, marks], axis=-1),
        "lengths": np.full(count, length, np.int32),
        "targets": numbers[rows, first] + numbers[rows, second],
    }


@register("memory_problem")
def copy_memory(
    *,
    delay: Annotated[int, Range(1)] = 1000,
    copied: Annotated[int, Range(1)] = 10,
    alphabet: Annotated[int, Range(2)] = 8,
) -> MemoryProblem:
    """The copy problem: symbols are shown, and long after asked for in their order.

    A sequence is K symbols out of A, then blanks for T steps, the last of which is a mark that
    asks, then K blanks; T + 2 K steps in all. The answer is a blank at each step until the mark,
    and behind it the symbols. The loss is the mean cross-entropy of all steps, the accuracy that
    of the symbols. M. Arjovsky, A. Shah and Y. Bengio, "Unitary Evolution Recurrent Neural
    Networks", arXiv 1511.06464, section 4.1. Without a memory one reaches K ln A / (T + 2 K).

    >>> examples = draw_copy(np.random.default_rng(0), 1, 3, 2, 8)
    >>> examples["inputs"][0].tolist(), examples["targets"][0].tolist()
    ([6, 5, 8, 8, 9, 8, 8], [8, 8, 8, 8, 8, 6, 5])

    Args:
      delay: steps T between the last symbol shown and the first that is asked for.
      copied: symbols K that are shown.
      alphabet: different symbols A.
    """

    def draw(random: np.random.Generator, count: int, steps: int | None) -> Examples:
        return draw_copy(random, count, steps or delay, copied, alphabet)

    def baseline(batches: RandomAccess) -> float:
        return copied * math.log(alphabet) / batches[0]["inputs"].shape[1]

    return MemoryProblem(
        input_size=alphabet + 2,
        symbols=True,
        classes=alphabet + 1,
        every_step=True,
        judged_by="loss",
        make=drawn(draw, shortest=1),
        baseline=("without a memory", baseline),
        steps=delay + 2 * copied,
    )


def draw_copy(
    random: np.random.Generator, count: int, delay: int, copied: int, alphabet: int
) -> Examples:
    """Examples of `copy_memory`."""
    time = delay + 2 * copied
    blank, mark = alphabet, alphabet + 1
    shown = random.integers(0, alphabet, (count, copied), dtype=np.int32)
    inputs = np.full((count, time), blank, np.int32)
    inputs[:, :copied] = shown
    inputs[:, -copied - 1] = mark
    targets = np.full((count, time), blank, np.int32)
    targets[:, -copied:] = shown
    return {
        "inputs": inputs,
        "lengths": np.full(count, time, np.int32),
        "targets": targets,
        "counted": np.ones((count, time), bool),
        "asked": np.broadcast_to(np.arange(time) >= time - copied, (count, time)),
    }


# Where the relevant symbols stand, as shares of the shortest length: those of the paper.
_WINDOWS = {2: ((0.1, 0.2), (0.5, 0.6)), 3: ((0.1, 0.2), (0.33, 0.43), (0.66, 0.76))}


@register("memory_problem")
def temporal_order(
    *, length: Annotated[int, Range(20)] = 100, relevant: Literal[2, 3] = 2
) -> MemoryProblem:
    """Temporal order: in which order a few relevant symbols came, among many others.

    A sequence begins with E and ends with B; between stand the distractors a, b, c and d, and at
    two or three places, each drawn from a window of its own, an X or a Y. The class is their
    sequence: XX, XY, YX or YY, and eight of three. S. Hochreiter and J. Schmidhuber, "Long
    Short-Term Memory", Neural Computation 9(8), 1997, experiments 6a and 6b; they are those of
    length 100. Symbols are numbered a b c d X Y E B.

    >>> examples = draw_order(np.random.default_rng(0), 1, 20, 2)
    >>> "".join("abcdXYEB"[i] for i in examples["inputs"][0]), examples["targets"].tolist()
    ('EcXbaaaadcdcYdccccdbdB', [1])

    Args:
      length: steps of the shortest sequences; the longest have a tenth more.
      relevant: how many symbols matter.
    """

    def draw(random: np.random.Generator, count: int, steps: int | None) -> Examples:
        return draw_order(random, count, steps or length, relevant)

    return MemoryProblem(
        input_size=8,
        symbols=True,
        classes=2**relevant,
        every_step=False,
        judged_by="accuracy",
        make=drawn(draw, shortest=20),
        baseline=("most frequent class", most_frequent),
        steps=length + length // 10,
    )


def draw_order(
    random: np.random.Generator, count: int, length: int, relevant: Literal[2, 3]
) -> Examples:
    """Examples of `temporal_order`."""
    longest, rows = length + length // 10, np.arange(count)
    lengths = random.integers(length, longest + 1, count).astype(np.int32)
    inputs = random.integers(0, 4, (count, longest), dtype=np.int32)
    inputs[:, 0], inputs[rows, lengths - 1] = 6, 7
    targets = np.zeros(count, np.int32)
    for low, high in _WINDOWS[relevant]:
        places = random.integers(round(low * length), round(high * length) + 1, count)
        which = random.integers(0, 2, count, dtype=np.int32)
        inputs[rows, places] = 4 + which
        targets = 2 * targets + which
    # What stands behind the end is never read.
    inputs[np.arange(longest) >= lengths[:, None]] = 0
    return {"inputs": inputs, "lengths": lengths, "targets": targets}
