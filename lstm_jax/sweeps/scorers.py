"""Figures that a task computes outside of the compiled program: of one trial after the other.

A translation is searched for and compared as text, a forecast is one of many drawn paths: such an
evaluation is no sum over batches that a population could compute for all members at once. Each
trial is scored by the task that its own config makes, as a run alone is.
"""

import functools
from collections.abc import Mapping, Sequence
from typing import Any

from lstm_jax.data.loader import RandomAccess
from lstm_jax.sweeps.admission import only_training
from lstm_jax.sweeps.members import Common
from lstm_jax.sweeps.search import Search
from lstm_jax.tasks import Learner
from lstm_jax.training.experiment import build_experiment, load_config


class Scorers:
    """What scores each trial.

    Args:
      common: what all trials have in common.
      search: what is searched.
      size: how many trials there are at a time.
    """

    def __init__(self, common: Common, search: Search, size: int):
        self._common, self._search = common, search
        # Trials whose tasks are one share it, with what it has compiled.
        self._prepared = functools.lru_cache(size)(self._prepare)

    def score(self, overrides: Sequence[str], params: Any, split: str) -> dict[str, float]:
        """The figures of a trial, as an evaluation of its own run has them; none of most tasks.

        Args:
          overrides: the fields of the trial, as texts.
          params: its parameters.
          split: of the data.
        """
        if self._common.learner.score is None:
            return {}
        task = self._common.experiment.task
        of_task = (t for t in overrides if not only_training(task, t.partition("=")[0]))
        learner, splits = self._prepared(tuple(of_task))
        assert learner.score is not None
        return learner.score(params, splits[split])

    def _prepare(self, of_task: tuple[str, ...]) -> tuple[Learner, Mapping[str, RandomAccess]]:
        """The learner, and the splits that belong to it: a task may know its own again."""
        if not of_task:
            return self._common.learner, self._common.dataset.splits
        config = load_config(self._search.config, (*self._search.overrides, *of_task))
        learner, dataset = build_experiment(config).prepare(self._common.assets)
        return learner, dataset.splits
