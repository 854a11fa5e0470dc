"""Dropout with masks that last: the same for all time steps of a sequence."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from lstm_jax.cells.cell import Array, Carry, Cell, Params
from lstm_jax.cells.checks import require_rates, require_step
from lstm_jax.cells.noisy_cells import dropout_mask, noisy_step, with_noise


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
      ValueError: a rate is not in [0, 1), there is no step, or `state_rate` is positive and the
        cell is stochastic or does not declare project, recur and update.
    """
    require_step("variational_dropout", cell)
    require_rates(input_rate=input_rate, output_rate=output_rate, state_rate=state_rate)
    gated = None not in (cell.project, cell.recur, cell.update)
    if state_rate > 0 and (cell.stochastic or not gated):
        what = "a stochastic cell" if gated else "a cell without project, recur and update"
        raise ValueError(f"state_rate must be 0 for {what}, got {state_rate}")

    def initial_carry(params: Params, batch_shape: tuple[int, ...]) -> VariationalCarry:
        return VariationalCarry(
            cell.initial_carry(params, batch_shape), jnp.zeros(batch_shape, jnp.uint32)
        )

    def step(
        params: Params, carry: VariationalCarry, x: Array, key: Array | None = None
    ) -> tuple[VariationalCarry, Array]:
        if key is None:
            new, y = noisy_step(cell, params, carry.carry, x, None)
            return VariationalCarry(new, carry.seed), y
        key, seed_key = jax.random.split(key)
        seed = _draw_once(seed_key, carry.seed)
        x = x * _example_masks(seed, "input", input_rate, x)
        if state_rate > 0:
            new, y = _step_with_masked_state(cell, params, carry.carry, x, seed, state_rate)
        else:
            new, y = noisy_step(cell, params, carry.carry, x, key)
        return VariationalCarry(new, seed), y * _example_masks(seed, "output", output_rate, y)

    def over_time(
        scan: Any, params: Params, carry: VariationalCarry | None, xs: Array, key: Array | None
    ) -> tuple[VariationalCarry, Array]:
        if key is not None:
            return scan(noisy, params, carry, xs, key=key)
        # Without a key it is the cell itself, which may have a faster way than its step.
        own = None if carry is None else carry.carry
        seed = initial_carry(params, xs.shape[1:-1]).seed if carry is None else carry.seed
        new, ys = scan(cell, params, own, xs)
        return VariationalCarry(new, _forget(seed, scan.keywords.get("resets"))), ys

    noisy = with_noise(cell, step)._replace(initial_carry=initial_carry)
    return noisy._replace(over_time=over_time)


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


def _step_with_masked_state(
    cell: Cell, params: Params, carry: Carry, x: Array, seed: Array, rate: float
) -> tuple[Carry, Array]:
    assert cell.project is not None
    assert cell.recur is not None
    assert cell.update is not None
    masked = carry._replace(hidden=carry.hidden * _example_masks(seed, "state", rate, carry.hidden))
    return cell.update(params, carry, cell.project(params, x), cell.recur(params, masked))


def _forget(seed: Array, resets: Array | None) -> Array:
    """The seeds after all steps; those of a sequence that began anew are not yet drawn."""
    if resets is None:
        return seed
    begun = resets.any(axis=0)
    return jnp.where(begun.reshape(begun.shape + (1,) * (seed.ndim - begun.ndim)), 0, seed)


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
