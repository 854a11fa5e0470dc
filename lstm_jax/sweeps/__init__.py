"""Many runs of one config: replicates over seeds, searches, and what their figures say."""

from lstm_jax.sweeps.comparison import Comparison, compare
from lstm_jax.sweeps.files import sweep
from lstm_jax.sweeps.finished import FinishedRun, read_finished
from lstm_jax.sweeps.runs import Planned, train_all
from lstm_jax.sweeps.space import (
    choice,
    integer,
    log_integer,
    loguniform,
    option,
    uniform,
    zipped,
)
from lstm_jax.sweeps.spread import Spread, spread

__all__ = [
    "Comparison",
    "FinishedRun",
    "Planned",
    "Spread",
    "choice",
    "compare",
    "integer",
    "log_integer",
    "loguniform",
    "option",
    "read_finished",
    "spread",
    "sweep",
    "train_all",
    "uniform",
    "zipped",
]
