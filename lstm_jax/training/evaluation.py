"""Figures of a learner on a whole split."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from lstm_jax.data.loader import RandomAccess
from lstm_jax.tasks import Learner
from lstm_jax.tasks.task import Batch
from lstm_jax.training.mesh import MeshOptions, Placement, make_mesh
from lstm_jax.training.processes import from_first, gather


def make_evaluate(
    learner: Learner, place: Placement | None = None
) -> Callable[[Any, RandomAccess, int], dict[str, float]]:
    """A function `(params, batches, batch_size) -> values`, compiled once for each batch shape.

    Args:
      learner: whose figures they are.
      place: where batches and carries lie; on JAX's default device, if None.
    """
    place = place or Placement(make_mesh(MeshOptions(data=1)))

    @functools.partial(jax.jit, static_argnums=3)
    def step(params: Any, carry: Any, batch: Batch, batch_size: int) -> tuple[Any, Any]:
        _, carry, sums = learner.loss(params, carry, batch, None)
        return jax.lax.with_sharding_constraint(carry, place.batch(carry, batch_size)), sums

    @functools.partial(jax.jit, static_argnums=1)
    def first_carry(params: Any, batch_size: int) -> Any:
        carry = learner.initial_carry(params, batch_size)
        return jax.lax.with_sharding_constraint(carry, place.batch(carry, batch_size))

    def evaluate(params: Any, batches: RandomAccess, batch_size: int) -> dict[str, float]:
        carry = first_carry(params, batch_size)
        found = []
        for i in range(len(batches)):
            batch = place.put(batches[i], batch_size)
            carry, sums = step(params, carry, batch, batch_size)
            found.append(sums)
        # In double precision: the sums of a long text outgrow single.
        total = jax.tree.map(lambda *leaves: float(np.sum(leaves, dtype=np.float64)), *found)
        return {**learner.summarize(total), **score(params, batches)}

    def score(params: Any, batches: RandomAccess) -> dict[str, float]:
        if learner.score is None:
            return {}
        whole, found = gather(params), learner.score
        return from_first(lambda: found(whole, batches))

    return evaluate
