"""The equations of the LSTM with everything about them that can be chosen."""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from lstm_jax.cells.cell import Array, Params
from lstm_jax.cells.checks import require_choices, require_sizes
from lstm_jax.cells.initializers import (
    KERNEL_INITIALIZERS,
    chrono_bias,
    gate_kernels,
    torch_uniform,
)

GATE_ORDER = "ifgo"  # input, forget, candidate, output: of every kernel and bias in this library

GATE_ACTIVATIONS = {"sigmoid": jax.nn.sigmoid, "hard_sigmoid": jax.nn.hard_sigmoid}
ACTIVATIONS: dict[str, Callable[[Array], Array]] = {
    "tanh": jnp.tanh,
    "hard_tanh": jax.nn.hard_tanh,
    "relu": jax.nn.relu,
    "identity": lambda x: x,
}
INITIALIZERS = ("glorot_orthogonal", "lecun_orthogonal", "torch_uniform")


class LSTMCarry(NamedTuple):
    """The memory of an LSTM.

    Attributes:
      cell: what the gates protect, [..., hidden].
      hidden: what the cell shows of it, and its output, [..., hidden]; with a projection
        [..., projection].
    """

    cell: Array
    hidden: Array


class LSTMOptions(NamedTuple):
    """What can be chosen of an LSTM; see `lstm` for what each field means.

    Attributes:
      gates: the blocks of the kernels, in their order; a gate that is missing is always open.
    """

    hidden_size: int
    projection_size: int | None = None
    gates: str = GATE_ORDER
    coupled_gates: bool = False
    peepholes: bool = False
    layer_norm: bool = False
    cell_clip: float | None = None
    gate_activation: str = "sigmoid"
    input_activation: str = "tanh"
    output_activation: str = "tanh"
    initializer: str = "glorot_orthogonal"
    forget_bias: float = 1.0
    chrono_max: int | None = None
    learn_initial_carry: bool = False

    @property
    def output_size(self) -> int:
        """Size of the hidden state."""
        return self.projection_size or self.hidden_size


def check(options: LSTMOptions) -> None:
    """Raises a ValueError that names the option which cannot be as it is."""
    require_sizes(hidden_size=options.hidden_size, projection_size=options.projection_size)
    require_sizes(2, chrono_max=options.chrono_max)
    if options.cell_clip is not None and not options.cell_clip > 0:
        raise ValueError(f"cell_clip must be greater than 0, got {options.cell_clip}")
    require_choices(GATE_ACTIVATIONS, gate_activation=options.gate_activation)
    require_choices(ACTIVATIONS, activation=options.input_activation)
    require_choices(ACTIVATIONS, output_activation=options.output_activation)
    require_choices(INITIALIZERS, initializer=options.initializer)


def parts(options: LSTMOptions) -> dict[str, Any]:
    """The arguments of `gated_cell`; with a projection, `update` yields what is to be projected."""
    return {
        "init": functools.partial(_init, options),
        "initial_carry": functools.partial(_initial_carry, options),
        "project": functools.partial(_project, options),
        "recur": lambda params, carry: carry.hidden @ params["recurrent_kernel"],
        "update": functools.partial(_update, options),
        "output_size": options.output_size,
    }


def remember(
    options: LSTMOptions,
    params: Params,
    cell: Array,
    z: Array,
    r: Array,
    candidate_mask: Array | float = 1.0,
) -> tuple[Array, Array, tuple[Any, Any, Any]]:
    """The new cell, what it shows, and the activated gates i, f, o.

    Args:
      options: the options.
      params: only the small ones are read: peepholes and norms.
      cell: the memory before the step [..., hidden].
      z: what `project` gave.
      r: what `recur` gave.
      candidate_mask: a factor of the candidate, as dropout has one.
    """
    if options.layer_norm:
        r = _normalize(r, **params["recurrent_norm"])
    into = dict(zip(options.gates, jnp.split(z + r, len(options.gates), axis=-1), strict=True))
    sees = _peepholes(options, params)

    def gate(name: str, memory: Array) -> Any:
        if name not in into:
            return 1.0
        seen = into[name] + sees[name] * memory if name in sees else into[name]
        return GATE_ACTIVATIONS[options.gate_activation](seen)

    f = gate("f", cell)
    i = 1 - f if options.coupled_gates else gate("i", cell)
    candidate = ACTIVATIONS[options.input_activation](into["g"]) * candidate_mask
    new_cell = f * cell + i * candidate
    if options.cell_clip is not None:
        new_cell = jnp.clip(new_cell, -options.cell_clip, options.cell_clip)
    o = gate("o", new_cell)
    shown = _normalize(new_cell, **params["cell_norm"]) if options.layer_norm else new_cell
    return new_cell, o * ACTIVATIONS[options.output_activation](shown), (i, f, o)


def _update(
    options: LSTMOptions,
    params: Params,
    carry: LSTMCarry,
    z: Array,
    r: Array,
    candidate_mask: Array | float = 1.0,
) -> tuple[LSTMCarry, Array]:
    cell, hidden, _ = remember(options, params, carry.cell, z, r, candidate_mask)
    return LSTMCarry(cell, hidden), hidden


def _peepholes(options: LSTMOptions, params: Params) -> dict[str, Array]:
    if not options.peepholes:
        return {}
    gates = options.gates.replace("g", "")
    return dict(zip(gates, jnp.split(params["peephole_kernel"], len(gates)), strict=True))


def _project(options: LSTMOptions, params: Params, x: Array) -> Array:
    if not options.layer_norm:
        return x @ params["kernel"] + params["bias"]
    return _normalize(x @ params["kernel"], **params["kernel_norm"]) + params["bias"]


def _normalize(x: Array, gamma: Array, beta: Array | float = 0.0, epsilon: float = 1e-5) -> Array:
    centred = x - x.mean(axis=-1, keepdims=True)
    variance = jnp.square(centred).mean(axis=-1, keepdims=True)
    return centred * jax.lax.rsqrt(variance + epsilon) * gamma + beta


def _init(options: LSTMOptions, key: Array, input_size: int) -> Params:
    *kernel_keys, bias_key, projection_key = jax.random.split(key, 4)
    hidden, output, gates = options.hidden_size, options.output_size, len(options.gates)
    choice = options.initializer
    params: dict[str, Any] = gate_kernels(
        kernel_keys, input_size, hidden, gates, initializer=choice, output_size=output
    )
    params["bias"] = _initial_bias(options, bias_key)
    if options.peepholes:
        params["peephole_kernel"] = jnp.zeros(len(options.gates.replace("g", "")) * hidden)
    if options.projection_size is not None:
        of_kernel, _ = KERNEL_INITIALIZERS[choice](hidden)
        params["projection_kernel"] = of_kernel(projection_key, (hidden, output))
    if options.layer_norm:
        params["kernel_norm"] = {"gamma": jnp.ones(gates * hidden)}
        params["recurrent_norm"] = {"gamma": jnp.ones(gates * hidden)}
        params["cell_norm"] = {"gamma": jnp.ones(hidden), "beta": jnp.zeros(hidden)}
    if options.learn_initial_carry:
        params["initial_cell"] = jnp.zeros(hidden)
        params["initial_hidden"] = jnp.zeros(output)
    return params


def _initial_bias(options: LSTMOptions, key: Array) -> Array:
    gates, hidden = options.gates, options.hidden_size
    first_key, second_key, chrono_key = jax.random.split(key, 3)
    bias_gh = jnp.zeros((len(gates), hidden))
    if options.initializer == "torch_uniform":  # torch has two biases, and one is their sum
        draw = torch_uniform(hidden)
        bias_gh = draw(first_key, bias_gh.shape) + draw(second_key, bias_gh.shape)
    i, f = gates.find("i"), gates.find("f")
    if options.chrono_max is not None and f >= 0:
        chrono = chrono_bias(options.chrono_max)(chrono_key, (hidden,))
        bias_gh = bias_gh.at[f].set(chrono)
        bias_gh = bias_gh.at[i].set(-chrono) if i >= 0 else bias_gh
    elif f >= 0:
        bias_gh = bias_gh.at[f].add(options.forget_bias)
    return bias_gh.reshape(-1)


def _initial_carry(options: LSTMOptions, params: Params, batch_shape: tuple[int, ...]) -> LSTMCarry:
    if options.learn_initial_carry:
        cell, hidden = params["initial_cell"], params["initial_hidden"]
    else:
        dtype = params["recurrent_kernel"].dtype
        cell = jnp.zeros(options.hidden_size, dtype)
        hidden = jnp.zeros(options.output_size, dtype)
    return LSTMCarry(
        cell=jnp.broadcast_to(cell, (*batch_shape, options.hidden_size)),
        hidden=jnp.broadcast_to(hidden, (*batch_shape, options.output_size)),
    )
