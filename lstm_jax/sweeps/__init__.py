"""Many runs of one config: replicates over seeds, and what their figures say."""

from lstm_jax.sweeps.comparison import Comparison, compare
from lstm_jax.sweeps.finished import FinishedRun, read_finished
from lstm_jax.sweeps.runs import Planned, train_all
from lstm_jax.sweeps.spread import Spread, spread

__all__ = [
    "Comparison",
    "FinishedRun",
    "Planned",
    "Spread",
    "compare",
    "read_finished",
    "spread",
    "train_all",
]
