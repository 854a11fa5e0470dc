"""The ways to run a cell over time, each equal to the reference."""

from lstm_jax.kernels.backend import Backend, Request
from lstm_jax.kernels.selection import BACKENDS, Choice, lacking, select
from lstm_jax.kernels.sequence import (
    BackendName,
    Remat,
    is_run_by_its_cells,
    request,
    run_over_time,
)
from lstm_jax.kernels.steps import Steps

__all__ = [
    "BACKENDS",
    "Backend",
    "BackendName",
    "Choice",
    "Remat",
    "Request",
    "Steps",
    "is_run_by_its_cells",
    "lacking",
    "request",
    "run_over_time",
    "select",
]
