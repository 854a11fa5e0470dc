"""Recurrent cells: pure functions of arrays."""

from lstm_jax.cells.bidirectional import BidirectionalCarry, bidirectional
from lstm_jax.cells.cell import Array, Carry, Cell, Params, SequenceMap, gated_cell
from lstm_jax.cells.conv_lstm import conv_lstm
from lstm_jax.cells.gru import GRUCarry, gru
from lstm_jax.cells.initializers import glorot_uniform, orthogonal, per_gate
from lstm_jax.cells.janet import JANETCarry, janet
from lstm_jax.cells.linear_recurrence import linear_recurrence
from lstm_jax.cells.lstm import LSTMCarry, lstm
from lstm_jax.cells.mgu import mgu
from lstm_jax.cells.min_rnn import MinRNNCarry, min_gru, min_lstm
from lstm_jax.cells.mlstm import MLSTMCarry, mlstm
from lstm_jax.cells.mogrifier_lstm import mogrifier_lstm
from lstm_jax.cells.multiplicative_lstm import multiplicative_lstm
from lstm_jax.cells.precision import mixed_precision
from lstm_jax.cells.qrnn import QRNNCarry, qrnn
from lstm_jax.cells.rnn import RNNCarry, ind_rnn, rnn
from lstm_jax.cells.slstm import SLSTMCarry, slstm
from lstm_jax.cells.sru import SRUCarry, sru
from lstm_jax.cells.stack import stack

__all__ = [
    "Array",
    "BidirectionalCarry",
    "Carry",
    "Cell",
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
    "bidirectional",
    "conv_lstm",
    "gated_cell",
    "glorot_uniform",
    "gru",
    "ind_rnn",
    "janet",
    "linear_recurrence",
    "lstm",
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
    "rnn",
    "slstm",
    "sru",
    "stack",
]
