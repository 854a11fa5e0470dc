"""The ways to run the trials of a search, by name."""

import importlib
from collections.abc import Callable
from typing import Any, NamedTuple

from lstm_jax.errors import UserError, did_you_mean
from lstm_jax.sweeps.search import Search

Runner = Callable[[Any, Search, Callable[[Any], None]], None]
"""Runs trials until there are as many as asked for: of the study, the search, and a function that
is called with every trial that ends, as the study has it."""

# By name, the module whose `prepare(search, options)` returns a runner. It is called before there
# is a folder, and refuses what the engine cannot do. Imported when asked for.
ENGINES = {
    "process": "lstm_jax.sweeps.search",
    "ray": "lstm_jax.sweeps.ray_engine",
    "population": "lstm_jax.sweeps.population_engine",
    "auto": "lstm_jax.sweeps.auto_engine",
}


class Options(NamedTuple):
    """What the command line says of how trials are run.

    Attributes:
      jobs: trials at a time; None for what the engine thinks right.
      address: of a cluster.
      resources: what a trial takes of a node of it.
      population: trials of one program.
      pruner: which end early; the study knows all but `pbt`.
    """

    jobs: int | None = None
    address: str | None = None
    resources: str | None = None
    population: int | None = None
    pruner: str = "none"


def find_engine(name: str) -> Callable[[Search, Options], Runner]:
    """The function that makes an engine ready for a search.

    Raises:
      UserError: there is no such engine.
    """
    if name not in ENGINES:
        raise UserError(f"--engine: there is no {name!r}; {did_you_mean(name, ENGINES)}")
    return importlib.import_module(ENGINES[name]).prepare
