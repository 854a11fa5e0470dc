"""Naive Bayes over symbols and pairs of neighbours: what counting alone can classify."""

from collections.abc import Callable, Sequence

import numpy as np

_BUCKETS = 1 << 20  # pairs share counts where their hashes agree


def naive_bayes(
    texts: Sequence[np.ndarray], labels: np.ndarray, classes: int, *, smoothing: float = 1.0
) -> Callable[[Sequence[np.ndarray]], np.ndarray]:
    """A multinomial naive Bayes classifier of which symbols and pairs a text holds.

        log p(c | text) = log p(c) + sum over the features of the text of log p(f | c) + constant

    Each feature of a text counts once (S. Wang and C. Manning, "Baselines and Bigrams", 2012).

    >>> texts = [np.array(t) for t in ([1, 2], [1, 3], [4, 2], [4, 3])]
    >>> naive_bayes(texts, np.array([0, 0, 1, 1]), 2)([np.array([4, 2]), np.array([1])]).tolist()
    [1, 0]

    Args:
      texts: symbol numbers of the training texts.
      labels: their classes [texts].
      classes: how many there are.
      smoothing: added to the count of every feature that occurs in training.

    Returns:
      A function from texts to their classes.
    """
    counts = np.zeros((classes, _BUCKETS))
    for text, label in zip(texts, labels, strict=True):
        counts[label, _features(text)] += 1
    seen = counts.sum(axis=0) > 0
    smoothed = np.where(seen, counts + smoothing, 0)
    share = smoothed / smoothed.sum(axis=1, keepdims=True)
    # What was never seen in training says nothing of the classes.
    score = np.log(np.where(seen, share, 1))
    prior = np.log(np.bincount(labels, minlength=classes) / len(labels))

    def judge(texts: Sequence[np.ndarray]) -> np.ndarray:
        found = [prior + score[:, _features(text)].sum(axis=1) for text in texts]
        return np.array([values.argmax() for values in found])

    return judge


def _features(text: np.ndarray) -> np.ndarray:
    ids = text.astype(np.uint64)
    pairs = (ids[:-1] * np.uint64(0x9E3779B97F4A7C15)) ^ (ids[1:] * np.uint64(0xC2B2AE3D27D4EB4F))
    single = ids * np.uint64(0x165667B19E3779F9)
    mixed = np.concatenate([single, pairs])
    return np.unique(mixed >> np.uint64(44))
