"""Figures of a learner on a whole split."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from lstm_jax.data.loader import RandomAccess
from lstm_jax.tasks import Learner
from lstm_jax.tasks.task import Batch


def make_evaluate(learner: Learner) -> Callable[[Any, RandomAccess, int], dict[str, float]]:
    """A function `(params, batches, batch_size) -> values`, compiled once for each batch shape."""

    @jax.jit
    def step(params: Any, carry: Any, batch: Batch) -> tuple[Any, Any]:
        _, carry, sums = learner.loss(params, carry, batch, None)
        return carry, sums

    return functools.partial(_evaluate, learner, step)


def _evaluate(
    learner: Learner, step: Any, params: Any, batches: RandomAccess, batch_size: int
) -> dict[str, float]:
    carry = learner.initial_carry(params, batch_size)
    found = []
    for i in range(len(batches)):
        carry, sums = step(params, carry, batches[i])
        found.append(sums)
    # In double precision: the sums of a long text outgrow single.
    total = jax.tree.map(lambda *leaves: float(np.sum(leaves, dtype=np.float64)), *found)
    return learner.summarize(total)
