"""Which way to run a cell over time: what each can serve, and what is fastest."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax

from lstm_jax.cells import Cell
from lstm_jax.errors import did_you_mean
from lstm_jax.kernels import deferred, parallel, reference


class Request(NamedTuple):
    """What a run asks for beyond the cell and its inputs.

    Attributes:
      carries: the carries of all steps are wanted.
      random: a key was given.
      platform: "cpu", "gpu" or "tpu".
    """

    carries: bool = False
    random: bool = False
    platform: str = "cpu"


class Choice(NamedTuple):
    """A backend and the reason for it.

    Attributes:
      name: the backend.
      reason: why it was taken.
      others: for every other backend, why it was not.
    """

    name: str
    reason: str
    others: Mapping[str, str]

    def __str__(self) -> str:
        lines = [f"{self.name}: {self.reason}"]
        return "\n".join([*lines, *(f"  not {name}: {why}" for name, why in self.others.items())])


RUNS: dict[str, Callable[..., Any]] = {
    "reference": reference.run,
    "deferred": deferred.run,
    "parallel": parallel.run,
}

_REASONS = {
    "reference": "jax.lax.scan over the cell's step, differentiated by JAX",
    "deferred": "input projection before the loop, weight gradients after the backward loop",
    "parallel": "all time steps at once",
}


def lacking(name: str, cell: Cell, request: Request) -> str | None:
    """What keeps a backend from serving, None if nothing does."""
    if name == "deferred":
        if cell.project is None or cell.recur is None or cell.update is None:
            return "the cell declares no project, recur and update"
        if cell.stochastic:
            return "a stochastic cell is random in its step"
    if name == "parallel":
        if cell.parallel is None:
            return "the cell has no parallel form"
        if request.carries:
            return "a parallel form yields only the last carry"
        if cell.stochastic and request.random:
            return "a parallel form is not random"
    return None


def select(backend: str, cell: Cell, request: Request) -> Choice:
    """The backend to use.

    Raises:
      ValueError: there is no such backend, or it cannot serve; what is missing is named.
    """
    if backend != "auto" and backend not in RUNS:
        raise ValueError(f"backend {backend!r}: {did_you_mean(backend, ['auto', *RUNS])}")
    if backend != "auto":
        missing = lacking(backend, cell, request)
        if missing is not None:
            raise ValueError(f"backend {backend!r} cannot run this cell: {missing}")
        return Choice(backend, f"asked for; {_REASONS[backend]}", {})
    # Fewer passes over memory win where steps are cheap to take; depth wins where lanes are many.
    order = ["deferred", "parallel", "reference"]
    if request.platform != "cpu":
        order = ["parallel", "deferred", "reference"]
    others: dict[str, str] = {}
    for name in order:
        missing = lacking(name, cell, request)
        if missing is None:
            slower = [other for other in order if other not in others and other != name]
            others |= {other: lacking(other, cell, request) or "slower" for other in slower}
            return Choice(name, _REASONS[name], others)
        others[name] = missing
    raise AssertionError("the reference serves every cell")


def current_platform() -> str:
    """The platform that new programs run on."""
    device = jax.config.jax_default_device  # pyright: ignore[reportAttributeAccessIssue]
    platform = getattr(device, "platform", None) or jax.default_backend()
    return {"cuda": "gpu", "rocm": "gpu"}.get(platform, platform)
