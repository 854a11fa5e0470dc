"""Interpolated Kneser-Ney n-grams: what counting alone can predict."""

from typing import NamedTuple

import numpy as np


class _Order(NamedTuple):
    """The n-grams of one length n, numbered in the order of their codes.

    A code is `number of the history * vocabulary + last symbol`, where the history is the gram
    without its last symbol, itself numbered: codes stay small however long the grams are.
    """

    codes: np.ndarray  # [grams], sorted
    counts: np.ndarray  # [grams]
    total: np.ndarray  # [histories], sum of the counts of what follows each
    followers: np.ndarray  # [histories], how many different symbols follow each
    discount: float


def cross_entropy(train: np.ndarray, test: np.ndarray, vocabulary_size: int, order: int) -> float:
    """Bits that an interpolated Kneser-Ney model of the training text needs for the test text.

    Args:
      train: symbol numbers of the training text [length].
      test: symbol numbers of the test text [length]; the first is given, the others predicted.
      vocabulary_size: how many numbers there are.
      order: length of the longest n-gram; 5 sees four symbols and predicts the fifth.

    Returns:
      The bits of all predicted symbols together.
    """
    found = probabilities(train, test, vocabulary_size, order)
    return float(-np.log2(found[1:]).sum())


def probabilities(
    train: np.ndarray, test: np.ndarray, vocabulary_size: int, order: int
) -> np.ndarray:
    """The probability of every symbol of the test text, given those before it [length].

        p_n(w | h) = max(c(hw) - d, 0) / c(h) + d * N1+(h .) / c(h) * p_(n-1)(w | h')

    with counts at the highest order and continuation counts below it, d = n1 / (n1 + 2 n2) for
    each order, and 1 / vocabulary at the bottom. R. Kneser and H. Ney, "Improved backing-off for
    m-gram language modeling", 1995; S. Chen and J. Goodman, "An empirical study of smoothing
    techniques for language modeling", 1998.

    Args:
      train: symbol numbers of the training text [length].
      test: symbol numbers of the test text [length].
      vocabulary_size: how many numbers there are.
      order: length of the longest n-gram.
    """
    probability = np.full(len(test), 1.0 / vocabulary_size)
    history = np.zeros(len(test), np.int64)  # number of the gram before each symbol, -1: unknown
    for level in _count(train.astype(np.int64), vocabulary_size, order):
        gram = _find(level.codes, np.where(history >= 0, history * vocabulary_size + test, -1))
        probability = _interpolated(level, history, gram, probability)
        history = np.concatenate([[-1], gram[:-1]])
    return probability


def next_symbol_tables(
    train: np.ndarray, vocabulary_size: int, order: int, *, most: int
) -> tuple[np.ndarray, np.ndarray, int] | None:
    """The model as an automaton, whose states are the histories of the training text.

    Args:
      train: symbol numbers of the training text [length].
      vocabulary_size: how many numbers there are.
      order: length of the longest n-gram.
      most: the most numbers of a table.

    Returns:
      The state behind each state and symbol, the probability of each symbol at each state, both
      [states, vocabulary], and the state of an empty history; None if there were more numbers.
    """
    order = min(order, len(train))  # there are no longer ones
    levels = _count(train.astype(np.int64), vocabulary_size, order)
    begins = np.cumsum([0, 1, *(len(level.codes) for level in levels)])  # states by length
    if begins[order] * vocabulary_size > most:
        return None
    following = np.zeros((begins[order], vocabulary_size), np.int32)
    probability = np.full((begins[order], vocabulary_size), 1.0 / vocabulary_size)
    symbols = np.arange(vocabulary_size)
    shorter = np.zeros(1, np.int64)  # the state without the first symbol of each history
    for length, level in enumerate(levels):
        own = slice(begins[length], begins[length + 1])
        history = np.arange(begins[length + 1] - begins[length])[:, None]
        gram = _find(level.codes, history * vocabulary_size + symbols)
        probability[own] = _interpolated(level, history, gram, probability[shorter])
        if length == order - 1:
            following[own] = following[shorter] if length else 0
            break
        after = following[shorter] if length else 0
        following[own] = np.where(gram >= 0, begins[length + 1] + gram, after)
        shorter = following[shorter[level.codes // vocabulary_size], level.codes % vocabulary_size]
        shorter = shorter if length else np.zeros_like(shorter)
    return following, probability, 0


def _interpolated(
    level: _Order, history: np.ndarray, gram: np.ndarray, lower: np.ndarray
) -> np.ndarray:
    """Probabilities by grams of one length, -1 for none, over those by shorter ones."""
    count = np.where(gram >= 0, level.counts[gram], 0)
    # A history that only ends the training text has no follower: nothing is known after it.
    seen = (history >= 0) & (level.total[history] > 0)
    total = np.where(seen, level.total[history], 1)
    direct = np.maximum(count - level.discount, 0) / total
    left = level.discount * level.followers[history] / total
    return np.where(seen, direct + left * lower, lower)


def _count(train: np.ndarray, vocabulary_size: int, order: int) -> list[_Order]:
    codes, counts, first = [], [], []
    numbers = [np.zeros(len(train) + 1, np.int64)]  # of the gram of each length at each position
    for n in range(order):
        at = np.arange(len(train) - n)
        found = np.unique(
            numbers[n][at] * vocabulary_size + train[at + n],
            return_index=True, return_inverse=True, return_counts=True,
        )  # fmt: skip
        codes.append(found[0])
        first.append(found[1])
        numbers.append(found[2])
        counts.append(found[3])
    for n in range(order - 1):
        # How many different symbols come before a gram: one for each longer gram that it ends.
        suffixes = numbers[n + 1][first[n + 1] + 1]
        counts[n] = np.bincount(suffixes, minlength=len(codes[n]))
    histories = [1, *map(len, codes)]
    return [_order(codes[n], counts[n], vocabulary_size, histories[n]) for n in range(order)]


def _order(codes: np.ndarray, counts: np.ndarray, vocabulary_size: int, histories: int) -> _Order:
    history = codes // vocabulary_size
    total = np.bincount(history, counts, histories)
    followers = np.bincount(history, counts > 0, histories)
    once, twice = int((counts == 1).sum()), int((counts == 2).sum())
    # Without a gram seen once the estimate is 0, and an unseen symbol would be impossible.
    discount = once / (once + 2 * twice) if once else 0.5
    return _Order(codes, counts, total, followers, discount)


def _find(codes: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    place = np.minimum(np.searchsorted(codes, wanted), len(codes) - 1)
    return np.where(codes[place] == wanted, place, -1)
