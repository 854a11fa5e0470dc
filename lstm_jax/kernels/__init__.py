"""The ways to run a cell over time, each equal to the reference."""

from lstm_jax.kernels.chunks import root_chunk, run_in_chunks
from lstm_jax.kernels.selection import RUNS, Choice, Request, current_platform, lacking, select
from lstm_jax.kernels.steps import Steps, vary_like

__all__ = [
    "RUNS",
    "Choice",
    "Request",
    "Steps",
    "current_platform",
    "lacking",
    "root_chunk",
    "run_in_chunks",
    "select",
    "vary_like",
]
