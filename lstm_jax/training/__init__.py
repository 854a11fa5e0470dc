"""The training loop and all that it stands on."""

from lstm_jax.training.console import Console
from lstm_jax.training.experiment import Experiment, build_experiment, experiment, load_config
from lstm_jax.training.interruption import Interrupted
from lstm_jax.training.loop import train
from lstm_jax.training.run import Run

__all__ = [
    "Console",
    "Experiment",
    "Interrupted",
    "Run",
    "build_experiment",
    "experiment",
    "load_config",
    "train",
]
