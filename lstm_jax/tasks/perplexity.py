"""Perplexity, as every task that predicts symbols reports it."""

import math

from lstm_jax.tasks.task import Metric

PERPLEXITY = Metric("perplexity", "perplexity per symbol", decimals=2)


def perplexity(nats: float) -> float:
    """`exp(nats)` of a mean over symbols; finite where training has diverged.

    >>> round(perplexity(2.0), 2)
    7.39
    """
    return math.exp(min(nats, 700.0))
