"""Training steps of two programs that take turns, and ours of any loss."""

import functools
import statistics
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax

Step = Callable[[Any], float]  # a batch to its loss


def jax_training(
    loss: Callable[[Any, Any], Any], params: Any, optimizer: optax.GradientTransformation
) -> Step:
    """A compiled step that keeps parameters and state from call to call.

    Args:
      loss: of parameters and a batch.
      params: where they begin.
      optimizer: what moves them.
    """

    @functools.partial(jax.jit, donate_argnums=0)
    def step(state: Any, batch: Any) -> Any:
        params, optimizer_state = state
        cost, gradients = jax.value_and_grad(loss)(params, batch)
        updates, optimizer_state = optimizer.update(gradients, optimizer_state, params)
        return (optax.apply_updates(params, updates), optimizer_state), cost

    state = [(jax.tree.map(jnp.array, params), optimizer.init(params))]

    def work(batch: Any) -> float:
        state[0], cost = step(state[0], batch)
        return float(cost)

    return work


def turns(ours: Step, theirs: Step, batches: list[Any], rounds: int) -> tuple[float, float]:
    """Seconds for all batches, after a round for each that is not counted."""
    taken: tuple[list[float], list[float]] = [], []
    for counted in range(rounds + 1):
        for step, times in zip((ours, theirs), taken, strict=True):
            time.sleep(0.05)  # idle threads of the one before spin for some milliseconds
            began = time.perf_counter()
            for batch in batches:
                step(batch)
            if counted:
                times.append(time.perf_counter() - began)
    return statistics.median(taken[0]), statistics.median(taken[1])
