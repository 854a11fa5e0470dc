"""Which way to run a cell over time: all there are, and which of them is fastest where."""

from collections.abc import Mapping
from typing import NamedTuple

from lstm_jax.cells import Cell
from lstm_jax.errors import did_you_mean
from lstm_jax.kernels import cudnn, deferred, parallel, reference
from lstm_jax.kernels.backend import Backend, Request
from lstm_jax.kernels.native import backend as native


class Choice(NamedTuple):
    """A backend and the reason for it.

    Attributes:
      name: the backend; "over_time" where a cell made of cells runs them one by one.
      reason: why it was taken.
      others: for every other backend, why it was not.
      layers: for a cell made of cells, the choice for each, by the path of its parameters.
    """

    name: str
    reason: str
    others: Mapping[str, str]
    layers: Mapping[str, "Choice"] = {}

    def __str__(self) -> str:
        lines = [f"{self.name}: {self.reason}"]
        lines += [f"not {name}: {why}" for name, why in self.others.items()]
        for path, choice in self.layers.items():
            lines += f"{path}: {choice}".splitlines()
        return "\n  ".join(lines)


BACKENDS: dict[str, Backend] = {
    backend.name: backend
    for backend in (
        reference.BACKEND,
        deferred.BACKEND,
        parallel.BACKEND,
        native.BACKEND,
        cudnn.BACKEND,
    )
}

# Fewer passes over memory win where steps are cheap to take; depth wins where lanes are many. Of
# the second order only the plain LSTM has been measured, on an H200: `deferred`, then `cudnn`.
_ORDER_ON_CPU = ("native", "deferred", "parallel", "reference", "cudnn")
_ORDER_ELSEWHERE = ("parallel", "deferred", "cudnn", "reference", "native")


def lacking(name: str, cell: Cell, request: Request) -> str | None:
    """What keeps a backend from serving, None if nothing does."""
    backend = BACKENDS[name]
    # Without a key a stochastic cell is what it declares beside its step.
    if cell.stochastic and request.random and not backend.random:
        return "the cell is random in its step"
    return backend.lacking(cell, request)


def select(backend: str, cell: Cell, request: Request) -> Choice:
    """The backend to use.

    Raises:
      ValueError: there is no such backend, or it cannot serve; what is missing is named.
    """
    if backend != "auto":
        return _asked_for(backend, cell, request)
    others: dict[str, str] = {}
    taken: Backend | None = None
    for name in _ORDER_ON_CPU if request.platform == "cpu" else _ORDER_ELSEWHERE:
        objection = lacking(name, cell, request) or BACKENDS[name].avoided(cell, request)
        if objection is None and taken is None:
            taken = BACKENDS[name]
        else:
            others[name] = objection or "slower"
    assert taken is not None, "the reference serves every cell"
    return Choice(taken.name, taken.reason, others)


def _asked_for(name: str, cell: Cell, request: Request) -> Choice:
    if name not in BACKENDS:
        raise ValueError(f"backend {name!r}: {did_you_mean(name, ['auto', *BACKENDS])}")
    missing = lacking(name, cell, request)
    if missing is not None:
        raise ValueError(f"backend {name!r} cannot run this cell: {missing}")
    return Choice(name, f"asked for; {BACKENDS[name].reason}", {})
