"""Cells made noisy at every step: zoneout, and dropout of what is written.

Each function here makes a cell of a cell. The new one is stochastic, and deterministic when it
gets no key.
"""

import inspect
from typing import Any

import jax
import jax.numpy as jnp

from lstm_jax.cells.cell import Array, Carry, Cell, Params
from lstm_jax.cells.checks import require_rates, require_step


def zoneout(cell: Cell, rate: float, cell_rate: float | None = None) -> Cell:
    """Some units keep their value of the step before.

        h' = m * h + (1 - m) * h~,  m ~ Bernoulli(rate) for each unit and step

    and with no key the expectation, m = rate. D. Krueger et al., "Zoneout: Regularizing RNNs by
    Randomly Preserving Hidden Activations", arXiv 1606.01305.

    >>> import lstm_jax as lj
    >>> cell = zoneout(lj.lstm(hidden_size=4), rate=0.05, cell_rate=0.5)
    >>> params = cell.init(jax.random.key(0), 3)
    >>> carry, ys = lj.scan(cell, params, None, jnp.ones((7, 2, 3)), key=jax.random.key(1))
    >>> ys.shape
    (7, 2, 4)

    Args:
      cell: a cell whose output is the field `hidden` of its carry; another field may be `cell`.
      rate: share of the hidden state that keeps its value.
      cell_rate: share of the field `cell`, where there is one; None means `rate`.

    Raises:
      ValueError: a rate is not in [0, 1], there is no step, or, when it first runs, the cell is not
        such a one.
    """
    require_step("zoneout", cell)
    rates = {"cell": rate if cell_rate is None else cell_rate, "hidden": rate}
    for name, value in {"rate": rate, "cell_rate": rates["cell"]}.items():
        if not 0 <= value <= 1:
            raise ValueError(f"{name} must be in [0, 1], got {value}")

    def step(
        params: Params, carry: Carry, x: Array, key: Array | None = None
    ) -> tuple[Carry, Array]:
        keys = dict.fromkeys(("step", *rates))
        if key is not None:
            keys = dict(zip(keys, jax.random.split(key, len(keys)), strict=True))
        new, y = noisy_step(cell, params, carry, x, keys["step"])
        _require_zones(new, y, rates)
        kept = {
            name: _keep(keys[name], rates[name], getattr(carry, name), getattr(new, name))
            for name in new._fields
        }
        return new._replace(**kept), kept["hidden"]

    return with_noise(cell, step)


def recurrent_dropout(cell: Cell, rate: float) -> Cell:
    """Dropout on what a gated cell writes, so that nothing is lost of what it remembers.

        c' = f * c + i * (m * g)            of an LSTM
        h' = z * h + (1 - z) * (m * g)      of a GRU
        m ~ Bernoulli(1 - rate) / (1 - rate)  for each unit and step

    S. Semeniuta, A. Severyn and E. Barth, "Recurrent Dropout without Memory Loss",
    arXiv 1603.05118. With no key nothing is dropped.

    >>> import lstm_jax as lj
    >>> cell = recurrent_dropout(lj.lstm(hidden_size=4), rate=0.25)
    >>> params = cell.init(jax.random.key(0), 3)
    >>> carry, ys = lj.scan(cell, params, None, jnp.ones((7, 2, 3)), key=jax.random.key(1))
    >>> ys.shape
    (7, 2, 4)

    Args:
      cell: a cell whose `update` takes a `candidate_mask`, as those of `lstm` without a
        projection, `lstm_variant`, `gru` with `reset_after` and `janet` do; what it writes to is
        the field `cell` of its carry, or `hidden` where there is no such field.
      rate: share of the candidate that is dropped.

    Raises:
      ValueError: `rate` is not in [0, 1), there is no step, or the cell's update takes no
        `candidate_mask`.
    """
    require_step("recurrent_dropout", cell)
    require_rates(rate=rate)
    update: Any = cell.update
    if (
        update is None
        or cell.stochastic
        or "candidate_mask" not in inspect.signature(update).parameters
    ):
        raise ValueError(
            "recurrent_dropout needs a cell whose update takes a candidate_mask: lstm without a "
            "projection, lstm_variant, gru with reset_after, or janet"
        )

    def step(
        params: Params, carry: Carry, x: Array, key: Array | None = None
    ) -> tuple[Carry, Array]:
        if key is None:
            return cell.step(params, carry, x)
        assert cell.project is not None
        assert cell.recur is not None
        memory = carry.cell if "cell" in carry._fields else carry.hidden
        mask = dropout_mask(key, rate, memory.shape, memory.dtype)
        z, r = cell.project(params, x), cell.recur(params, carry)
        return update(params, carry, z, r, mask)

    # Without a key it is the cell itself, in all that backends know of it.
    return cell._replace(step=step, stochastic=True)


def dropout_mask(key: Array, rate: float, shape: tuple[int, ...], dtype: Any) -> Array:
    """Zeros with probability `rate`, else what keeps the mean at one."""
    return jax.random.bernoulli(key, 1 - rate, shape).astype(dtype) / (1 - rate)


def with_noise(cell: Cell, step: Any) -> Cell:
    """The cell with another step, and without what would go past it."""
    return Cell(
        cell.init,
        cell.initial_carry,
        step,
        cell.output_size,
        stochastic=True,
        input_axes=cell.input_axes,
    )


def noisy_step(
    cell: Cell, params: Params, carry: Carry, x: Array, key: Array | None
) -> tuple[Carry, Array]:
    """A step of any cell; the key is for a stochastic one."""
    return cell.step(params, carry, x, *([key] if cell.stochastic else []))


def _require_zones(carry: Carry, y: Array, known: dict[str, float]) -> None:
    """A unit may keep its value only where no other field has to fit it, as a normaliser has."""
    names = getattr(carry, "_fields", ())
    if not set(names) <= set(known) or "hidden" not in names:
        got = ", ".join(names) or type(carry).__name__
        raise ValueError(f"zoneout needs a carry with hidden, or cell and hidden, got {got}")
    if carry.hidden is not y:
        raise ValueError("zoneout needs a cell whose output is the field hidden of its carry")


def _keep(key: Array | None, rate: float, old: Array, new: Array) -> Array:
    if key is None:
        return rate * old + (1 - rate) * new
    return jnp.where(jax.random.bernoulli(key, rate, new.shape), old, new)
