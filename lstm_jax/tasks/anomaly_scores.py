"""How well scores tell what is anomalous from what is not: pure functions of arrays."""

import numpy as np


def moving_mean(values: np.ndarray, width: int) -> np.ndarray:
    """The mean of the `width` values around each, of those that there are at both ends.

    >>> moving_mean(np.array([3.0, 0.0, 0.0, 6.0]), 3).tolist()
    [1.5, 1.0, 2.0, 3.0]
    """
    both = np.stack([values, np.ones_like(values)])
    total, count = (np.convolve(row, np.ones(width))[(width - 1) // 2 :] for row in both)
    return (total / count)[: len(values)]


def roc_auc(scores: np.ndarray, anomalous: np.ndarray) -> float:
    """How often an anomalous one scores above one that is not; equal scores count half.

    >>> roc_auc(np.array([1.0, 2.0, 3.0, 4.0]), np.array([False, True, False, True]))
    0.75

    Args:
      scores: [records].
      anomalous: which are, booleans [records]; NaN comes of none or all.
    """
    _, place, counts = np.unique(scores, return_inverse=True, return_counts=True)
    rank = (np.cumsum(counts) - (counts - 1) / 2)[place]  # mean ranks, from 1
    hits, others = int(anomalous.sum()), int((~anomalous).sum())
    if not hits or not others:
        return float("nan")
    return float((rank[anomalous].sum() - hits * (hits + 1) / 2) / (hits * others))


def detection(scores: np.ndarray, anomalous: np.ndarray, threshold: float) -> dict[str, float]:
    """Precision, recall, their harmonic mean F1, the area under the ROC curve, and false alarms.

    >>> figures = detection(np.array([1.0, 5.0, 6.0]), np.array([False, False, True]), 4.0)
    >>> figures["precision"], figures["recall"], figures["false_alarms"]
    (0.5, 1.0, 0.5)

    Args:
      scores: [records].
      anomalous: which are, booleans [records].
      threshold: what scores above it is taken for anomalous.
    """
    alarms = scores > threshold
    right, missed = int((alarms & anomalous).sum()), int((~alarms & anomalous).sum())
    wrong = int((alarms & ~anomalous).sum())
    return {
        "precision": right / max(right + wrong, 1),
        "recall": right / max(right + missed, 1),
        "f1": 2 * right / max(2 * right + wrong + missed, 1),
        "roc_auc": roc_auc(scores, anomalous),
        "false_alarms": wrong / max(int((~anomalous).sum()), 1),
    }
