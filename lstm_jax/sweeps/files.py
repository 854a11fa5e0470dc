"""Files that say what is searched, beside the configs (`configs/sweeps/`)."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from lstm_jax.config.files import run_python
from lstm_jax.errors import ConfigError, did_you_mean
from lstm_jax.sweeps.space import Space


class Sweep(NamedTuple):
    """What a sweep file asks for; the command line may ask for something else.

    Attributes:
      config: a config file, PATH.py or PATH.py:MODE.
      space: what changes, by field (`lstm_jax.sweeps.space`).
      overrides: fields that are the same in all trials.
      trials: how many; None for all of a grid, else 20.
      sampler: how they are chosen: tpe, random, cmaes, nsga2, grid.
      pruner: which end early: none, median, asha, hyperband, pbt (of a population).
      metric: what is to be good, on the validation split; the task's first metric, if empty.
    """

    config: str
    space: Space
    overrides: Mapping[str, Any] = {}
    trials: int | None = None
    sampler: str = "tpe"
    pruner: str = "none"
    metric: tuple[str, ...] = ()


def sweep(config: str, space: Space, **settings: Any) -> Sweep:
    """What a file's `get_sweep` returns.

    >>> from lstm_jax.sweeps import loguniform
    >>> rates = {"optimizer.learning_rate": loguniform(1e-4, 1e-2)}
    >>> found = sweep("configs/text/char_lm.py", rates)
    >>> found.sampler, found.trials
    ('tpe', None)

    Raises:
      ConfigError: there is no such setting.
    """
    for name in settings:
        if name not in Sweep._fields:
            raise ConfigError(f"sweep(): {did_you_mean(name, Sweep._fields)}")
    return Sweep(config, space, **settings)


def load_sweep(spec: str) -> Sweep:
    """The sweep of `path.py` or `path.py:mode`. A sweep file is a program and is run.

    Raises:
      ConfigError: the file is missing, fails, or has no `get_sweep` that returns a sweep.
    """
    found = run_python("--sweep", spec, "get_sweep")
    if not isinstance(found, Sweep):
        raise ConfigError(
            f"{spec}: get_sweep must return what sweep() makes, got {type(found).__name__}"
        )
    return found
