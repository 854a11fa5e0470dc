"""The backend `native`: the cells that have C++ kernels."""

from typing import Any

import jax

from lstm_jax.cells import Carry, Cell
from lstm_jax.kernels.backend import Backend, Request
from lstm_jax.kernels.native import conv_lstm, library, lstm

_RUNS = {"lstm": lstm.run, "conv_lstm": conv_lstm.run}


def _run(cell: Cell, *arguments: Any, **options: Any) -> tuple[Carry, Any]:
    assert cell.kind is not None
    return _RUNS[cell.kind](cell, *arguments, **options)


def _lacking(cell: Cell, request: Request) -> str | None:
    if request.platform != "cpu":
        return f"the C++ kernels are for CPUs, and programs run on {request.platform} here"
    if cell.kind not in _RUNS:
        return "the C++ kernels have the plain and the convolutional LSTM alone"
    if request.dtypes != {"float32"}:
        return f"the C++ kernels have float32 alone, not {', '.join(sorted(request.dtypes))}"
    if request.carries:
        return "the C++ kernels yield only the last carry"
    return library.problem(cell.kind)


def _avoided(cell: Cell, request: Request) -> str | None:
    del cell, request
    # XLA cannot cut a call: of an array that is spread over devices it would gather all.
    if jax.local_device_count("cpu") > 1:
        return "not taken by auto where the CPU is several devices"
    return None


BACKEND = Backend(
    name="native",
    run=_run,
    reason="all steps in one call of a C++ kernel",
    lacking=_lacking,
    avoided=_avoided,
)
