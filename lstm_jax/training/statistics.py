"""Figures of how a run works: time of its steps, use of the device, movement of parameters."""

import contextlib
import time
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from lstm_jax.training.peaks import peak_of_all_devices


class StepClock:
    """Times steps, of which the host runs ahead.

    JAX returns from a step before it is computed. So the clock takes the time at which the step
    before the last one was done: the device always has another step to do, and the times are
    those of the device.

    >>> clock = StepClock()
    >>> for _ in range(3):
    ...     with clock.waiting():
    ...         batch = 1.0
    ...     clock.tick(jnp.float32(batch))
    >>> sorted(clock.figures())
    ['input_wait', 'step_seconds', 'step_seconds_p50', 'step_seconds_p95']

    Args:
      flops: of one step, of all devices together; None if they are not known.
    """

    def __init__(self, flops: float | None = None):
        self._flops = flops
        self._peak = peak_of_all_devices()
        self._steps: list[float] = []
        self._waited = 0.0
        self.restart()

    def restart(self) -> None:
        """Counts from now on: what was done since the last step is of none."""
        self._pending: jax.Array | None = None
        self._last = time.perf_counter()

    @contextlib.contextmanager
    def waiting(self) -> Iterator[None]:
        """Counts what is done inside as waiting for data."""
        began = time.perf_counter()
        yield
        self._waited += time.perf_counter() - began

    def tick(self, done: jax.Array) -> None:
        """Says that a step was dispatched.

        Args:
          done: a scalar that the step makes, such as its number; it is copied, since the next
            step takes the state over.
        """
        pending, self._pending = self._pending, _copy(done)
        if pending is not None:
            self._note(pending)

    def figures(self) -> dict[str, float]:
        """What was timed since the last call, and begins anew; empty if no step was.

        `step_seconds` is the mean, `_p50` and `_p95` the quantiles of a step's time; `input_wait`
        the share of time in which the host waited for data; `model_flops_per_second` and, where the
        peak of the devices is known, `model_flops_utilization`, its share of that peak.
        """
        if self._pending is not None:
            self._note(self._pending)
            self._pending = None
        steps, waited = np.asarray(self._steps), self._waited
        self._steps, self._waited = [], 0.0
        if not len(steps):
            return {}
        mean = float(steps.mean())
        found = {
            "step_seconds": mean,
            "step_seconds_p50": float(np.quantile(steps, 0.5)),
            "step_seconds_p95": float(np.quantile(steps, 0.95)),
            "input_wait": min(waited / max(float(steps.sum()), 1e-12), 1.0),
        }
        if self._flops is not None:
            found["model_flops_per_second"] = self._flops / mean
            if self._peak is not None:
                found["model_flops_utilization"] = self._flops / mean / self._peak
        return found

    def _note(self, pending: jax.Array) -> None:
        jax.block_until_ready(pending)
        now = time.perf_counter()
        self._steps.append(now - self._last)
        self._last = now


_CLOCK_FIGURES = ("step_seconds", "input_wait", "model_flops", "seconds")


def is_of_the_clock(name: str) -> bool:
    """Whether a figure tells time, and so differs between two runs that are otherwise the same."""
    return name.startswith(_CLOCK_FIGURES) or name.endswith("_per_second")


def parameter_figures(before: Any, params: Any) -> dict[str, float]:
    """Norms of the parameters, and how far one step moved them, for all and for every group.

        parameter_norm = |w'|           update_ratio = |w' - w| / |w|

    A ratio near 1e-3 is usual; one near 1 throws away what was learnt, one of 1e-6 learns nothing.
    A group is a key at the top of the tree, such as a layer.

    >>> parameter_figures({"a": jnp.float32(4.0)}, {"a": jnp.float32(3.0)})["update_ratio"]
    0.25

    Args:
      before: the parameters before the step, from `kept`.
      params: those after it.
    """
    found = jax.device_get(_figures(before, params))
    return {name: float(value) for name, value in found.items()}


@jax.jit
def kept(params: Any) -> Any:
    """A copy of the parameters, which outlives the step that takes the state over."""
    return jax.tree.map(jnp.copy, params)


@jax.jit
def _copy(value: jax.Array) -> jax.Array:
    return jnp.copy(value)


@jax.jit
def _figures(before: Any, params: Any) -> dict[str, jax.Array]:
    names = [_group(path) for path, _ in jax.tree_util.tree_leaves_with_path(params)]
    pairs = zip(jax.tree.leaves(before), jax.tree.leaves(params), strict=True)
    squares: dict[str, jax.Array] = {}
    for name, (old, new) in zip(names, pairs, strict=True):
        old, new = old.astype(jnp.float32), new.astype(jnp.float32)
        sums = jnp.stack([jnp.sum(jnp.square(leaf)) for leaf in (old, new, new - old)])
        squares[name] = squares.get(name, jnp.zeros(3)) + sums
    groups = {f"/{name}": value for name, value in squares.items()}
    if groups:
        groups[""] = jnp.stack(list(squares.values())).sum(axis=0)
    found = {}
    for name, value in groups.items():
        old, new, moved = jnp.sqrt(value)
        found[f"parameter_norm{name}"] = new
        # Parameters that start at zero have no ratio yet.
        found[f"update_ratio{name}"] = jnp.where(old > 0, moved / jnp.maximum(old, 1e-30), 0.0)
    return found


def _group(path: Any) -> str:
    return jax.tree_util.keystr(path[:1], simple=True, separator="/")
