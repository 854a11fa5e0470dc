"""lstm_jax: recurrent-network research for JAX and Flax.

Names are imported when they are first used, so that the command line answers at once.
"""

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from lstm_jax.cells import (
        BidirectionalCarry,
        Cell,
        FullGateCarry,
        GRUCarry,
        JANETCarry,
        LSTMCarry,
        MinRNNCarry,
        MLSTMCarry,
        QRNNCarry,
        RNNCarry,
        SequenceMap,
        SLSTMCarry,
        SRUCarry,
        VariationalCarry,
        activation_penalty,
        bidirectional,
        conv_lstm,
        gated_cell,
        gru,
        ind_rnn,
        janet,
        learned_carry,
        lstm,
        lstm_variant,
        mgu,
        min_gru,
        min_lstm,
        mixed_precision,
        mlstm,
        mogrifier_lstm,
        multiplicative_lstm,
        qrnn,
        recurrent_dropout,
        redraw_masks,
        rnn,
        slstm,
        sru,
        stack,
        temporal_activation_penalty,
        variational_dropout,
        weight_drop,
        zoneout,
    )
    from lstm_jax.config import register
    from lstm_jax.recurrence import explain, scan

_MODULES = ("cells", "flax", "interop", "testing")

__all__ = [
    "BidirectionalCarry",
    "Cell",
    "FullGateCarry",
    "GRUCarry",
    "JANETCarry",
    "LSTMCarry",
    "MLSTMCarry",
    "MinRNNCarry",
    "QRNNCarry",
    "RNNCarry",
    "SLSTMCarry",
    "SRUCarry",
    "SequenceMap",
    "VariationalCarry",
    "activation_penalty",
    "bidirectional",
    "conv_lstm",
    "explain",
    "gated_cell",
    "gru",
    "ind_rnn",
    "janet",
    "learned_carry",
    "lstm",
    "lstm_variant",
    "mgu",
    "min_gru",
    "min_lstm",
    "mixed_precision",
    "mlstm",
    "mogrifier_lstm",
    "multiplicative_lstm",
    "qrnn",
    "recurrent_dropout",
    "redraw_masks",
    "register",
    "rnn",
    "scan",
    "slstm",
    "sru",
    "stack",
    "temporal_activation_penalty",
    "variational_dropout",
    "weight_drop",
    "zoneout",
]

# Where each name comes from; most are cells.
_HOMES = dict.fromkeys(__all__, "lstm_jax.cells") | {
    "explain": "lstm_jax.recurrence",
    "register": "lstm_jax.config",
    "scan": "lstm_jax.recurrence",
}


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return importlib.import_module(f"lstm_jax.{name}")
    if name not in _HOMES:
        raise AttributeError(f"module 'lstm_jax' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])
