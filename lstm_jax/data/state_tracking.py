"""Problems that take a state which every input may change: parity, counting, brackets."""

from typing import Annotated

import numpy as np

from lstm_jax.config import PositiveInt, Range, register
from lstm_jax.data.memory_problem import Draw, Examples, MemoryProblem, drawn, most_frequent
from lstm_jax.errors import ConfigError


@register("memory_problem")
def parity(
    *, min_length: PositiveInt = 3, max_length: PositiveInt = 40, every_step: bool = True
) -> MemoryProblem:
    """Parity: whether the ones seen so far are odd in number.

    No network whose state is a sum of what it reads, with weights that do not depend on that
    state, keeps a parity of any length; one whose gates see the state can: M. Beck et al.,
    "xLSTM: Extended Long Short-Term Memory", arXiv 2405.04517, section 4.1; W. Merrill,
    J. Petty and A. Sabharwal, "The Illusion of State in State-Space Models", arXiv 2404.08819.

    >>> examples = draw_counting(np.random.default_rng(0), 1, (6, 6), 2, every_step=True)
    >>> examples["inputs"].tolist(), examples["targets"].tolist()
    ([[1, 1, 1, 0, 0, 0]], [[1, 0, 1, 1, 1, 1]])

    Args:
      min_length: steps of the shortest sequences of training, validation and test.
      max_length: steps of the longest.
      every_step: whether the answer is asked for at every step, or at the last alone.

    Raises:
      ConfigError: the shortest is longer than the longest.
    """
    return modular_counting(
        modulus=2, min_length=min_length, max_length=max_length, every_step=every_step
    )


@register("memory_problem")
def modular_counting(
    *,
    modulus: Annotated[int, Range(2)] = 5,
    min_length: PositiveInt = 3,
    max_length: PositiveInt = 40,
    every_step: bool = True,
) -> MemoryProblem:
    """Modular counting: the sum of the digits seen so far, modulo m.

    Digits are uniform in 0 to m - 1. With m of 2 this is `parity`. G. Delétang et al., "Neural
    Networks and the Chomsky Hierarchy", arXiv 2207.02098, train on sequences of up to 40 steps and
    test on longer ones.

    >>> examples = draw_counting(np.random.default_rng(0), 1, (4, 4), 5, every_step=False)
    >>> examples["inputs"].tolist(), examples["targets"].tolist()
    ([[4, 3, 2, 1]], [0])

    Args:
      modulus: m.
      min_length: steps of the shortest sequences of training, validation and test.
      max_length: steps of the longest.
      every_step: whether the answer is asked for at every step, or at the last alone.

    Raises:
      ConfigError: the shortest is longer than the longest.
    """

    def draw(random: np.random.Generator, count: int, length: int | None) -> Examples:
        span = (length, length) if length else (min_length, max_length)
        return draw_counting(random, count, span, modulus, every_step=every_step)

    return _tracking(draw, modulus, modulus, (min_length, max_length), every_step)


def draw_counting(
    random: np.random.Generator,
    count: int,
    span: tuple[int, int],
    modulus: int,
    *,
    every_step: bool,
) -> Examples:
    """Examples of `modular_counting`, of a shortest to a longest length."""
    lengths = _lengths(random, count, span)
    digits = random.integers(0, modulus, (count, span[1]), dtype=np.int32)
    state = (np.cumsum(digits, axis=1) % modulus).astype(np.int32)
    return _asking(digits, state, lengths, every_step)


@register("memory_problem")
def dyck(
    *,
    kinds: PositiveInt = 2,
    max_depth: PositiveInt = 8,
    min_length: PositiveInt = 4,
    max_length: PositiveInt = 64,
) -> MemoryProblem:
    """Dyck words: which bracket may be closed now.

    A sequence is the beginning of a word of well-nested brackets of k kinds, nowhere deeper than
    D. The answer at every step is the kind of the innermost bracket that is open, 1 to k, or 0 if
    none is: with this, one knows every symbol that may follow. M. Suzgun, S. Gehrmann,
    Y. Belinkov and S. Shieber, "Memory-Augmented Recurrent Neural Networks Can Learn Generalized
    Dyck Languages", arXiv 1911.03329; J. Hewitt et al., "RNNs can generate bounded hierarchical
    languages with optimal memory", arXiv 2010.07515, for a bounded depth. Opening brackets are the
    symbols 0 to k - 1, closing ones k to 2 k - 1; half of the brackets open, except at depth 0 and
    at depth D.

    >>> examples = draw_dyck(np.random.default_rng(3), 1, (8, 8), 2, 3)
    >>> "".join("([)]"[i] for i in examples["inputs"][0]), examples["targets"][0].tolist()
    ('[[]](([]', [2, 2, 2, 0, 1, 1, 2, 1])

    Args:
      kinds: of brackets, k.
      max_depth: the most brackets open at a time, D.
      min_length: steps of the shortest sequences of training, validation and test.
      max_length: steps of the longest.

    Raises:
      ConfigError: the shortest is longer than the longest.
    """

    def draw(random: np.random.Generator, count: int, length: int | None) -> Examples:
        span = (length, length) if length else (min_length, max_length)
        return draw_dyck(random, count, span, kinds, max_depth)

    return _tracking(draw, 2 * kinds, kinds + 1, (min_length, max_length), every_step=True)


def draw_dyck(
    random: np.random.Generator, count: int, span: tuple[int, int], kinds: int, max_depth: int
) -> Examples:
    """Examples of `dyck`, of a shortest to a longest length."""
    lengths, time = _lengths(random, count, span), span[1]
    would_open = random.random((time, count)) < 0.5
    kind = random.integers(0, kinds, (time, count), dtype=np.int32)
    rows, depth = np.arange(count), np.zeros(count, np.int64)
    stack = np.zeros((count, max_depth + 1), np.int32)  # row 0 stands for no bracket at all
    inputs, targets = np.zeros((count, time), np.int32), np.zeros((count, time), np.int32)
    for t in range(time):
        opens = (depth == 0) | (would_open[t] & (depth < max_depth))
        top = stack[rows, depth]
        inputs[:, t] = np.where(opens, kind[t], kinds + top - 1)
        depth += np.where(opens, 1, -1)
        stack[rows[opens], depth[opens]] = kind[t][opens] + 1
        targets[:, t] = stack[rows, depth]
    return _asking(inputs, targets, lengths, every_step=True)


def _tracking(
    draw: Draw, symbols: int, classes: int, span: tuple[int, int], every_step: bool
) -> MemoryProblem:
    if span[0] > span[1]:
        raise ConfigError(f"min_length: must not be above max_length {span[1]}, got {span[0]}")
    return MemoryProblem(
        input_size=symbols,
        symbols=True,
        classes=classes,
        every_step=every_step,
        judged_by="accuracy",
        make=drawn(draw, shortest=1),
        baseline=("most frequent answer", most_frequent),
        steps=span[1],
    )


def _lengths(random: np.random.Generator, count: int, span: tuple[int, int]) -> np.ndarray:
    return random.integers(span[0], span[1] + 1, count).astype(np.int32)


def _asking(
    inputs: np.ndarray, state: np.ndarray, lengths: np.ndarray, every_step: bool
) -> Examples:
    """The state after every valid step, or after the last, as what is asked."""
    within = np.arange(inputs.shape[1]) < lengths[:, None]
    inputs, state = np.where(within, inputs, 0), np.where(within, state, 0)
    if not every_step:
        last = state[np.arange(len(lengths)), lengths - 1]
        return {"inputs": inputs, "lengths": lengths, "targets": last}
    return {
        "inputs": inputs,
        "lengths": lengths,
        "targets": state,
        "counted": within,
        "asked": within,
    }
