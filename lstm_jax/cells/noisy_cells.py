"""Cells made noisy: zoneout, and dropout that knows of time.

Each function here makes a cell of a cell. The new one is stochastic, and deterministic when it
gets no key.
"""

import inspect
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from lstm_jax.cells.cell import Array, Carry, Cell, Params


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
      ValueError: a rate is not in [0, 1], or, when it first runs, the cell is not such a one.
    """
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
        new, y = _step(cell, params, carry, x, keys["step"])
        _require_zones(new, y, rates)
        kept = {
            name: _keep(keys[name], rates[name], getattr(carry, name), getattr(new, name))
            for name in new._fields
        }
        return new._replace(**kept), kept["hidden"]

    return _stochastic(cell, step)


class VariationalCarry(NamedTuple):
    """A carry with what the masks of its sequence are drawn from.

    Attributes:
      carry: that of the cell.
      seed: of the masks of each example, integers [...]; 0 before they are drawn.
    """

    carry: Carry
    seed: Array


def variational_dropout(
    cell: Cell, input_rate: float = 0.0, output_rate: float = 0.0, state_rate: float = 0.0
) -> Cell:
    """Dropout with one mask for all time steps of a sequence, another for each example.

        step(m_x * x, m_h * h) with output m_y * y,  each m ~ Bernoulli(1 - rate) / (1 - rate)

    Y. Gal and Z. Ghahramani, "A Theoretically Grounded Application of Dropout in Recurrent Neural
    Networks", arXiv 1512.05287. The mask of the state stands before the recurrent kernel alone, so
    that a state which is carried on directly, as that of a GRU, is not worn away.

    A sequence's first step draws its masks, and they last as long as its carry, from window to
    window, until a reset or `redraw_masks`. A step without a key has no masks and draws none.

    >>> import lstm_jax as lj
    >>> cell = variational_dropout(lj.lstm(hidden_size=4), output_rate=0.5)
    >>> params = cell.init(jax.random.key(0), 3)
    >>> carry, ys = lj.scan(cell, params, None, jnp.ones((7, 2, 3)), key=jax.random.key(1))
    >>> bool(((ys == 0) == (ys[0] == 0)).all())
    True

    Args:
      cell: the cell.
      input_rate: share of the inputs that are dropped.
      output_rate: share of the outputs that are dropped.
      state_rate: share of the hidden state that is dropped where the recurrent kernel reads it.

    Raises:
      ValueError: a rate is not in [0, 1), or `state_rate` is positive and the cell does not
        declare project, recur and update.
    """
    require_rates(input_rate=input_rate, output_rate=output_rate, state_rate=state_rate)
    if state_rate > 0 and (cell.project is None or cell.recur is None or cell.update is None):
        raise ValueError(
            f"state_rate must be 0 for a cell without project, recur and update, got {state_rate}"
        )

    def initial_carry(params: Params, batch_shape: tuple[int, ...]) -> VariationalCarry:
        return VariationalCarry(
            cell.initial_carry(params, batch_shape), jnp.zeros(batch_shape, jnp.uint32)
        )

    def step(
        params: Params, carry: VariationalCarry, x: Array, key: Array | None = None
    ) -> tuple[VariationalCarry, Array]:
        if key is None:
            new, y = _step(cell, params, carry.carry, x, None)
            return VariationalCarry(new, carry.seed), y
        key, seed_key = jax.random.split(key)
        seed = _draw_once(seed_key, carry.seed)
        x = x * _example_masks(seed, "input", input_rate, x)
        if state_rate > 0:
            new, y = _step_with_masked_state(cell, params, carry.carry, x, seed, state_rate)
        else:
            new, y = _step(cell, params, carry.carry, x, key)
        return VariationalCarry(new, seed), y * _example_masks(seed, "output", output_rate, y)

    return _stochastic(cell, step)._replace(initial_carry=initial_carry)


def redraw_masks(carry: Carry) -> Carry:
    """The same memory with the masks of `variational_dropout` forgotten: the next step draws anew.

    For sequences that are longer than one should train with one mask, as a whole text cut into
    windows. Carries in any container are found; others stay as they are.

    >>> carry = VariationalCarry((), jnp.array([5, 7], jnp.uint32))
    >>> redraw_masks([carry])[0].seed.tolist()
    [0, 0]
    """

    def forget(node: Any) -> Any:
        if not isinstance(node, VariationalCarry):
            return node
        return VariationalCarry(redraw_masks(node.carry), jnp.zeros_like(node.seed))

    return jax.tree.map(forget, carry, is_leaf=lambda node: isinstance(node, VariationalCarry))


def recurrent_dropout(cell: Cell, rate: float) -> Cell:
    """Dropout on what an LSTM writes, so that nothing is lost of what it remembers.

        c' = f * c + i * (m * g),  m ~ Bernoulli(1 - rate) / (1 - rate) for each unit and step

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
        projection and of `lstm_variant` do; its carry has a field `cell`.
      rate: share of the candidate that is dropped.

    Raises:
      ValueError: `rate` is not in [0, 1), or the cell's update takes no `candidate_mask`.
    """
    require_rates(rate=rate)
    update: Any = cell.update
    if update is None or "candidate_mask" not in inspect.signature(update).parameters:
        raise ValueError(
            "recurrent_dropout needs a cell whose update takes a candidate_mask: lstm without a "
            "projection, or lstm_variant"
        )

    def step(
        params: Params, carry: Carry, x: Array, key: Array | None = None
    ) -> tuple[Carry, Array]:
        if key is None:
            return cell.step(params, carry, x)
        assert cell.project is not None
        assert cell.recur is not None
        mask = dropout_mask(key, rate, carry.cell.shape, carry.cell.dtype)
        z, r = cell.project(params, x), cell.recur(params, carry)
        return update(params, carry, z, r, mask)

    return _stochastic(cell, step)


def dropout_mask(key: Array, rate: float, shape: tuple[int, ...], dtype: Any) -> Array:
    """Zeros with probability `rate`, else what keeps the mean at one."""
    return jax.random.bernoulli(key, 1 - rate, shape).astype(dtype) / (1 - rate)


def require_rates(**rates: float) -> None:
    """Raises a ValueError that names the rate which is not in [0, 1)."""
    for name, rate in rates.items():
        if not 0 <= rate < 1:
            raise ValueError(f"{name} must be in [0, 1), got {rate}")


def _stochastic(cell: Cell, step: Any) -> Cell:
    """The cell with another step, and without what would go past it."""
    return Cell(
        cell.init,
        cell.initial_carry,
        step,
        cell.output_size,
        stochastic=True,
        input_axes=cell.input_axes,
    )


def _step(
    cell: Cell, params: Params, carry: Carry, x: Array, key: Array | None
) -> tuple[Carry, Array]:
    return cell.step(params, carry, x, *([key] if cell.stochastic else []))


def _step_with_masked_state(
    cell: Cell, params: Params, carry: Carry, x: Array, seed: Array, rate: float
) -> tuple[Carry, Array]:
    assert cell.project is not None
    assert cell.recur is not None
    assert cell.update is not None
    masked = carry._replace(hidden=carry.hidden * _example_masks(seed, "state", rate, carry.hidden))
    return cell.update(params, carry, cell.project(params, x), cell.recur(params, masked))


def _require_zones(carry: Carry, y: Array, known: dict[str, float]) -> None:
    """A unit may keep its value only where no other field has to fit it, as a normaliser has."""
    names = getattr(carry, "_fields", ())
    if not set(names) <= set(known) or "hidden" not in names:
        raise ValueError(f"zoneout needs a carry with hidden, or cell and hidden, got {carry}")
    if carry.hidden is not y:
        raise ValueError("zoneout needs a cell whose output is the field hidden of its carry")


def _keep(key: Array | None, rate: float, old: Array, new: Array) -> Array:
    if key is None:
        return rate * old + (1 - rate) * new
    return jnp.where(jax.random.bernoulli(key, rate, new.shape), old, new)


def _draw_once(key: Array, seed: Array) -> Array:
    drawn = jnp.maximum(jax.random.bits(key, seed.shape, jnp.uint32), 1)
    return jnp.where(seed == 0, drawn, seed)


def _example_masks(seed: Array, what: str, rate: float, like: Array) -> Array | float:
    """Dropout masks of the shape of `like` [seed.shape..., units...], from each example's seed."""
    if rate == 0:
        return 1.0
    stream = ("input", "output", "state").index(what)
    shape = like.shape[seed.ndim :]

    def one(seed: Array) -> Array:
        key = jax.random.fold_in(jax.random.key(seed), stream)
        return dropout_mask(key, rate, shape, like.dtype)

    return jax.vmap(one)(seed.reshape(-1)).reshape(like.shape)
