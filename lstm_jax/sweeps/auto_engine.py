"""`--engine=auto`: trials as one program where that pays, else as processes.

On an H200, a step of 64 trials of small networks as one program was 24 to 51 times as fast as in
turn; on CPUs, 0.7 to 2.3 times, and of 512 trials 0.6 to 2.1 times (experiments/sweeps). So it
takes an accelerator, and trials that differ in numbers alone. What a population saves everywhere,
the start and the compiling of each trial, decides where trials are short, which it cannot know.
"""

from collections.abc import Callable
from typing import Any

import jax

from lstm_jax.errors import ConfigError
from lstm_jax.sweeps import population_engine, search


def prepare(asked: search.Search, options: Any) -> Callable[..., None]:
    """The engine for a search; says which, and why: see `engines`."""
    if options.jobs is not None:
        _say("process, since --jobs was given")
    elif jax.default_backend() == "cpu":
        _say("process, since there is no accelerator; of short trials population is the faster one")
    else:
        try:
            made = population_engine.prepare(asked, options)
        except ConfigError as error:
            _say(f"process, since one program cannot serve: {error.problems[0]}")
        else:
            _say("population")
            return made
    return search.prepare(asked, options)


def _say(text: str) -> None:
    print(f"engine: {text}", flush=True)
