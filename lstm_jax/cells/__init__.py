"""Recurrent cells: pure functions of arrays."""

from lstm_jax.cells.cell import Array, Carry, Cell, Params, gated_cell
from lstm_jax.cells.initializers import glorot_uniform, orthogonal, per_gate
from lstm_jax.cells.lstm import LSTMCarry, lstm

__all__ = [
    "Array",
    "Carry",
    "Cell",
    "LSTMCarry",
    "Params",
    "gated_cell",
    "glorot_uniform",
    "lstm",
    "orthogonal",
    "per_gate",
]
