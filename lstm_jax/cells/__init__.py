"""Recurrent cells: pure functions of arrays."""

from lstm_jax.cells.bidirectional import BidirectionalCarry, bidirectional
from lstm_jax.cells.cell import Array, Carry, Cell, Params, SequenceMap, gated_cell
from lstm_jax.cells.conv_lstm import conv_lstm
from lstm_jax.cells.gate_statistics import gates
from lstm_jax.cells.gru import GRUCarry, gru
from lstm_jax.cells.initial_carry import learned_carry
from lstm_jax.cells.initializers import (
    chrono_bias,
    glorot_uniform,
    identity,
    orthogonal,
    per_gate,
    torch_uniform,
)
from lstm_jax.cells.janet import JANETCarry, janet
from lstm_jax.cells.linear_recurrence import linear_recurrence
from lstm_jax.cells.lstm import LSTMCarry, lstm
from lstm_jax.cells.lstm_variants import FullGateCarry, lstm_variant
from lstm_jax.cells.mgu import mgu
from lstm_jax.cells.min_rnn import MinRNNCarry, min_gru, min_lstm
from lstm_jax.cells.mlstm import MLSTMCarry, mlstm
from lstm_jax.cells.mogrifier_lstm import mogrifier_lstm
from lstm_jax.cells.multiplicative_lstm import multiplicative_lstm
from lstm_jax.cells.noisy_cells import recurrent_dropout, zoneout
from lstm_jax.cells.precision import mixed_precision
from lstm_jax.cells.qrnn import QRNNCarry, qrnn
from lstm_jax.cells.regularizers import (
    activation_penalty,
    temporal_activation_penalty,
    weight_drop,
)
from lstm_jax.cells.rnn import RNNCarry, ind_rnn, rnn
from lstm_jax.cells.slstm import SLSTMCarry, slstm
from lstm_jax.cells.sru import SRUCarry, sru
from lstm_jax.cells.stack import stack
from lstm_jax.cells.variational_dropout import (
    VariationalCarry,
    redraw_masks,
    variational_dropout,
)

__all__ = [
    "Array",
    "BidirectionalCarry",
    "Carry",
    "Cell",
    "FullGateCarry",
    "GRUCarry",
    "JANETCarry",
    "LSTMCarry",
    "MLSTMCarry",
    "MinRNNCarry",
    "Params",
    "QRNNCarry",
    "RNNCarry",
    "SLSTMCarry",
    "SRUCarry",
    "SequenceMap",
    "VariationalCarry",
    "activation_penalty",
    "bidirectional",
    "chrono_bias",
    "conv_lstm",
    "gated_cell",
    "gates",
    "glorot_uniform",
    "gru",
    "identity",
    "ind_rnn",
    "janet",
    "learned_carry",
    "linear_recurrence",
    "lstm",
    "lstm_variant",
    "mgu",
    "min_gru",
    "min_lstm",
    "mixed_precision",
    "mlstm",
    "mogrifier_lstm",
    "multiplicative_lstm",
    "orthogonal",
    "per_gate",
    "qrnn",
    "recurrent_dropout",
    "redraw_masks",
    "rnn",
    "slstm",
    "sru",
    "stack",
    "temporal_activation_penalty",
    "torch_uniform",
    "variational_dropout",
    "weight_drop",
    "zoneout",
]
