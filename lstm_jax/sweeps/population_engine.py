"""`--engine=population`: the trials of a search as one program."""

import contextlib
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lstm_jax.errors import UserError
from lstm_jax.sweeps.admission import admit
from lstm_jax.sweeps.population import FOLDER, Population
from lstm_jax.sweeps.search import Search
from lstm_jax.sweeps.unpack import write_result
from lstm_jax.training.checkpoints import Checkpoints
from lstm_jax.training.experiment import load_config
from lstm_jax.training.verified import Damaged, read_meta

_MOST = 64  # trials at once, where nothing is said


def prepare(search: Search, options: Any) -> Callable[..., None]:
    """Trials are members of one program: see `engines`.

    Raises:
      UserError: one program cannot serve the search.
    """
    if options.jobs is not None:
        raise UserError("--jobs: a population has one process; --population says how many trials")
    size = _size(search, options.population)
    # What the learner is made of; kept as long as the runner that reads it.
    assets = tempfile.TemporaryDirectory(prefix="population_")
    admitted = admit(
        lambda texts: load_config(search.config, (*search.overrides, *texts)),
        search.space,
        Path(assets.name),
    )

    def run(study: Any, search: Search, tell: Callable[[Any], None]) -> None:
        with assets:
            population = Population(
                study, search, admitted, size, exploits=options.pruner == "pbt", tell=tell
            )
            population.run()
            for trial in study.best_trials:
                write_result(search.planned(trial.number, ()).folder)

    return run


def _size(search: Search, asked: int | None) -> int:
    """How many trials train at a time; one that goes on has the slots that it began with."""
    folder = search.folder / FOLDER / "checkpoints"
    for step in reversed(Checkpoints(folder).steps()):
        with contextlib.suppress(Damaged):
            there = len(read_meta(folder / str(step))["slots"])
            if asked not in (None, there):
                raise UserError(f"--population: {search.folder} began with {there}, got {asked}")
            return there
    return asked or min(search.trials, _MOST)
