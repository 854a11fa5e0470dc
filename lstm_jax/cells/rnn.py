"""Recurrent networks without gates: the simple one, and the one of independent units."""

from collections.abc import Callable
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp

from lstm_jax.cells.cell import Array, Cell, Params, gated_cell
from lstm_jax.cells.initializers import glorot_uniform, orthogonal
from lstm_jax.config import register

_ACTIVATIONS: dict[str, Callable[[Array], Array]] = {"tanh": jnp.tanh, "relu": jax.nn.relu}


class RNNCarry(NamedTuple):
    """The memory of a network without gates.

    Attributes:
      hidden: the state, which is also the output, [..., hidden].
    """

    hidden: Array


@register("cell")
def rnn(hidden_size: int, *, activation: Literal["tanh", "relu"] = "tanh") -> Cell:
    """Simple recurrent network.

        h' = activation(W x + U h + b)

    J. L. Elman, "Finding Structure in Time", Cognitive Science 14(2), 1990.

    Params: `kernel` [input, hidden], `recurrent_kernel` [hidden, hidden], `bias` [hidden].

    >>> cell = rnn(hidden_size=3)
    >>> params = cell.init(jax.random.key(0), input_size=2)
    >>> carry, y = cell.step(params, cell.initial_carry(params, (5,)), jnp.ones((5, 2)))
    >>> carry.hidden.shape, y.shape
    ((5, 3), (5, 3))

    Args:
      hidden_size: number of units.
      activation: what is applied to the sum, tanh or relu.

    Raises:
      ValueError: `hidden_size` is not positive, or there is no such activation.
    """
    _require(hidden_size, activation)

    def init(key: Array, input_size: int) -> Params:
        kernel_key, recurrent_key = jax.random.split(key)
        return {
            "kernel": glorot_uniform(kernel_key, (input_size, hidden_size)),
            "recurrent_kernel": orthogonal(recurrent_key, (hidden_size, hidden_size)),
            "bias": jnp.zeros(hidden_size),
        }

    return gated_cell(
        init=init,
        initial_carry=_zeros(hidden_size),
        project=lambda params, x: x @ params["kernel"] + params["bias"],
        recur=lambda params, carry: carry.hidden @ params["recurrent_kernel"],
        update=_update(activation),
        output_size=hidden_size,
    )


@register("cell")
def ind_rnn(hidden_size: int, *, activation: Literal["tanh", "relu"] = "relu") -> Cell:
    """Independently recurrent network: each unit sees of the past its own state alone.

        h' = activation(W x + u * h + b)

    S. Li, W. Li, C. Cook, C. Zhu and Y. Gao, "Independently Recurrent Neural Network (IndRNN):
    Building a Longer and Deeper RNN", 2018 (arXiv:1803.04831). Units meet only through the next
    layer. Recurrent weights start uniform between 0 and 1. In training over T steps the paper
    keeps them below a bound gamma^(1 / T); the cell does not clip them.

    Params: `kernel` [input, hidden], `recurrent_kernel` [hidden], `bias` [hidden].

    >>> cell = ind_rnn(hidden_size=3)
    >>> params = cell.init(jax.random.key(0), input_size=2)
    >>> params["recurrent_kernel"].shape
    (3,)
    >>> carry, y = cell.step(params, cell.initial_carry(params, (5,)), jnp.ones((5, 2)))
    >>> carry.hidden.shape, y.shape
    ((5, 3), (5, 3))

    Args:
      hidden_size: number of units.
      activation: what is applied to the sum, tanh or relu.

    Raises:
      ValueError: `hidden_size` is not positive, or there is no such activation.
    """
    _require(hidden_size, activation)

    def init(key: Array, input_size: int) -> Params:
        kernel_key, recurrent_key = jax.random.split(key)
        return {
            "kernel": glorot_uniform(kernel_key, (input_size, hidden_size)),
            "recurrent_kernel": jax.random.uniform(recurrent_key, (hidden_size,)),
            "bias": jnp.zeros(hidden_size),
        }

    return gated_cell(
        init=init,
        initial_carry=_zeros(hidden_size),
        project=lambda params, x: x @ params["kernel"] + params["bias"],
        recur=lambda params, carry: carry.hidden * params["recurrent_kernel"],
        update=_update(activation),
        output_size=hidden_size,
    )


def _require(hidden_size: int, activation: str) -> None:
    if hidden_size < 1:
        raise ValueError(f"hidden_size must be at least 1, got {hidden_size}")
    if activation not in _ACTIVATIONS:
        raise ValueError(f"activation must be one of {list(_ACTIVATIONS)}, got {activation!r}")


def _zeros(hidden_size: int) -> Callable[[Params, tuple[int, ...]], RNNCarry]:
    def initial_carry(params: Params, batch_shape: tuple[int, ...]) -> RNNCarry:
        return RNNCarry(jnp.zeros((*batch_shape, hidden_size), params["recurrent_kernel"].dtype))

    return initial_carry


def _update(activation: str) -> Callable[..., tuple[RNNCarry, Array]]:
    activate = _ACTIVATIONS[activation]

    def update(params: Params, carry: RNNCarry, z: Array, r: Array) -> tuple[RNNCarry, Array]:
        del params, carry
        hidden = activate(z + r)
        return RNNCarry(hidden), hidden

    return update
