"""The LSTM variants of a large comparison."""

from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp

from lstm_jax.cells import lstm_equations as equations
from lstm_jax.cells.cell import Array, Cell, Params, gated_cell
from lstm_jax.cells.checks import require_choices
from lstm_jax.cells.initializers import orthogonal, per_gate
from lstm_jax.config import register

_VARIANTS: dict[str, dict[str, Any]] = {
    "vanilla": {},
    "no_input_gate": {"gates": "fgo"},
    "no_forget_gate": {"gates": "igo"},
    "no_output_gate": {"gates": "ifg"},
    "no_input_activation": {"input_activation": "identity"},
    "no_output_activation": {"output_activation": "identity"},
    "coupled_gates": {"gates": "fgo", "coupled_gates": True},
    "no_peepholes": {"peepholes": False},
    "full_gate_recurrence": {},
}


class FullGateCarry(NamedTuple):
    """The memory of an LSTM whose gates see each other.

    Attributes:
      cell: what the gates protect, [..., hidden].
      hidden: what the cell shows of it, and its output, [..., hidden].
      gates: the gates i f o of the step before, [..., 3 * hidden].
    """

    cell: Array
    hidden: Array
    gates: Array


@register("cell")
def lstm_variant(
    hidden_size: int,
    *,
    variant: Literal[
        "vanilla",
        "no_input_gate",
        "no_forget_gate",
        "no_output_gate",
        "no_input_activation",
        "no_output_activation",
        "coupled_gates",
        "no_peepholes",
        "full_gate_recurrence",
    ] = "vanilla",
    forget_bias: float = 1.0,
) -> Cell:
    """An LSTM with peepholes and one thing changed.

        vanilla               i, f = sigmoid(W x + U h + p * c + b)    g = tanh(W x + U h + b)
                              c' = f * c + i * g                       h' = o * tanh(c')
                              o = sigmoid(W x + U h + p * c' + b)
        no_input_gate         i = 1
        no_forget_gate        f = 1
        no_output_gate        o = 1
        no_input_activation   g = W x + U h + b
        no_output_activation  h' = o * c'
        coupled_gates         i = 1 - f
        no_peepholes          p = 0
        full_gate_recurrence  i, f and o see the i, f and o of the step before

    K. Greff, R. K. Srivastava, J. Koutník, B. R. Steunebrink and J. Schmidhuber, "LSTM: A Search
    Space Odyssey", arXiv 1503.04069. The eight are called there, in this order, V (vanilla), then
    NIG, NFG, NOG, NIAF, NOAF, CIFG, NP and FGR.

    Params: those of `lstm` with peepholes, without the blocks of a gate that is not there;
    full_gate_recurrence has `gate_recurrent_kernel` [3 * hidden, 3 * hidden] too (i f o).

    >>> cell = lstm_variant(hidden_size=3, variant="no_output_gate")
    >>> params = cell.init(jax.random.key(0), input_size=2)
    >>> params["kernel"].shape, params["peephole_kernel"].shape
    ((2, 9), (6,))

    Args:
      hidden_size: number of memory cells.
      variant: what is changed.
      forget_bias: initial bias of the forget gate, where there is one.

    Raises:
      ValueError: `hidden_size` is not positive, or no variant has this name.
    """
    require_choices(_VARIANTS, variant=variant)
    chosen = {"peepholes": True, "forget_bias": forget_bias, **_VARIANTS[variant]}
    options = equations.LSTMOptions(hidden_size, **chosen)
    equations.check(options)
    parts = equations.parts(options)
    if variant == "full_gate_recurrence":
        parts = parts | _full_gate_recurrence(options, parts)
    return gated_cell(**parts)


def _full_gate_recurrence(options: equations.LSTMOptions, parts: dict[str, Any]) -> dict[str, Any]:
    """What is different in a cell whose gates are inputs of the next step's gates."""
    hidden = options.hidden_size

    def init(key: Array, input_size: int) -> Params:
        key, gate_key = jax.random.split(key)
        kernel = per_gate(orthogonal, 3)(gate_key, (3 * hidden, 3 * hidden))
        return parts["init"](key, input_size) | {"gate_recurrent_kernel": kernel}

    def initial_carry(params: Params, batch_shape: tuple[int, ...]) -> FullGateCarry:
        cell, hidden_state = parts["initial_carry"](params, batch_shape)
        return FullGateCarry(cell, hidden_state, jnp.concatenate([jnp.zeros_like(cell)] * 3, -1))

    def recur(params: Params, carry: FullGateCarry) -> Array:
        i, f, o = jnp.split(carry.gates @ params["gate_recurrent_kernel"], 3, axis=-1)
        from_gates = jnp.concatenate([i, f, jnp.zeros_like(i), o], axis=-1)
        return carry.hidden @ params["recurrent_kernel"] + from_gates

    def update(
        params: Params, carry: FullGateCarry, z: Array, r: Array, candidate_mask: Array | float = 1
    ) -> tuple[FullGateCarry, Array]:
        cell, shown, gates = equations.remember(options, params, carry.cell, z, r, candidate_mask)
        return FullGateCarry(cell, shown, jnp.concatenate(gates, axis=-1)), shown

    return {"init": init, "initial_carry": initial_carry, "recur": recur, "update": update}
