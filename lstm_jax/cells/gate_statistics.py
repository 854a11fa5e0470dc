"""The gates of a cell, to be looked at: what the step computes of them and does not show."""

import functools
from typing import Any

import jax
import jax.numpy as jnp

from lstm_jax.cells import lstm_equations as equations
from lstm_jax.cells.cell import Array, Carry, Cell, Params, SequenceMap
from lstm_jax.cells.gru import GRUCarry
from lstm_jax.cells.lstm_equations import LSTMCarry, LSTMOptions

_LSTM_NAMES = {"i": "input", "f": "forget", "o": "output"}


def gates(cell: Cell | SequenceMap, params: Params, carry: Carry, x: Array) -> dict[str, Array]:
    """The activated gates of one time step, by name, each [..., hidden] with values in [0, 1].

    Of `lstm` without a projection and of `lstm_variant` these are input, forget and output, as far
    as there are any, and with coupled gates forget and output; of `gru` update and reset. All
    leading axes are those of `carry` and `x`: given all carries and inputs of a sequence, these are
    the gates of all its steps.

    >>> import lstm_jax as lj
    >>> cell = lj.lstm(hidden_size=4, forget_bias=2.0)
    >>> params = cell.init(jax.random.key(0), input_size=3)
    >>> found = gates(cell, params, cell.initial_carry(params, (2,)), jnp.zeros((2, 3)))
    >>> {name: round(float(gate.mean()), 2) for name, gate in found.items()}
    {'input': 0.5, 'forget': 0.88, 'output': 0.5}

    Args:
      cell: the cell; also one in `mixed_precision` or `recurrent_dropout`, without its noise.
      params: its parameters.
      carry: the carry before the step.
      x: the input [..., input].

    Returns:
      The gates; none for a cell of another kind, whose gates are not known here.
    """
    if not isinstance(cell, Cell) or not isinstance(params, dict) or "kernel" not in params:
        return {}
    if isinstance(carry, GRUCarry) and _blocks(params) == 3:
        return _gru_gates(cell, params, carry, x)
    if isinstance(carry, LSTMCarry) and cell.project is not None and cell.recur is not None:
        options = _lstm_options(cell, params)
        return {} if options is None else _lstm_gates(options, cell, params, carry, x)
    return {}


def _blocks(params: Params) -> int:
    """How many blocks the recurrent kernel has, gates and candidate."""
    rows, columns = params["recurrent_kernel"].shape
    return columns // rows


def _lstm_options(cell: Cell, params: Params) -> LSTMOptions | None:
    """What was chosen of an LSTM; the plain one's update is its own and holds no options."""
    update = cell.update
    if isinstance(update, functools.partial) and isinstance(update.args[0], LSTMOptions):
        return update.args[0]
    plain = params.keys() - {"initial_cell", "initial_hidden"}
    if plain == {"kernel", "recurrent_kernel", "bias"} and _blocks(params) == 4:
        return LSTMOptions(cell.output_size)
    return None


def _lstm_gates(
    options: LSTMOptions, cell: Cell, params: Params, carry: LSTMCarry, x: Array
) -> dict[str, Array]:
    assert cell.project is not None
    assert cell.recur is not None
    z, r = cell.project(params, x), cell.recur(params, carry)
    _, _, found = equations.remember(options, params, carry.cell, z, r)
    return {
        _LSTM_NAMES[k]: gate for k, gate in zip("ifo", found, strict=True) if k in options.gates
    }


def _gru_gates(cell: Cell, params: Params, carry: GRUCarry, x: Array) -> dict[str, Array]:
    size = carry.hidden.shape[-1]
    if cell.project is not None and cell.recur is not None:  # reset after the product
        seen: Any = cell.project(params, x) + cell.recur(params, carry) + params["bias"][1]
    elif params["bias"].ndim == 1:  # before it
        kernel = params["recurrent_kernel"].at[:, 2 * size :].set(0)
        seen = x @ params["kernel"] + params["bias"] + carry.hidden @ kernel
    else:
        return {}  # of the first kind, in something that hides its parts
    update, reset, _ = jnp.split(jax.nn.sigmoid(seen), 3, axis=-1)
    return {"update": update, "reset": reset}
