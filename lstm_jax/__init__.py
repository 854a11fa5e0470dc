"""lstm_jax: recurrent-network research for JAX and Flax.

Names are imported when they are first used, so that the command line answers at once.
"""

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from lstm_jax.cells import Cell, LSTMCarry, gated_cell, lstm
    from lstm_jax.config import register
    from lstm_jax.recurrence import explain, scan

_HOMES = {
    "Cell": "lstm_jax.cells",
    "LSTMCarry": "lstm_jax.cells",
    "explain": "lstm_jax.recurrence",
    "gated_cell": "lstm_jax.cells",
    "lstm": "lstm_jax.cells",
    "register": "lstm_jax.config",
    "scan": "lstm_jax.recurrence",
}

_MODULES = ("cells", "flax", "interop", "testing")

__all__ = ["Cell", "LSTMCarry", "explain", "gated_cell", "lstm", "register", "scan"]


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return importlib.import_module(f"lstm_jax.{name}")
    if name not in _HOMES:
        raise AttributeError(f"module 'lstm_jax' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])
