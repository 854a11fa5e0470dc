"""The trials of a population as the study has them: asked in batches, told in batches.

A process may be killed between telling the study and saving the population. What is told a second
time is left as it was, and a trial that was asked for and is in no slot is taken before a new one.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from lstm_jax.sweeps.search import Search, is_behind, report_figures
from lstm_jax.sweeps.space import suggest
from lstm_jax.sweeps.study import NOT_FINITE, make_sampler, optuna, states, values_of


class Trials:
    """The trials of a study, by number.

    Args:
      study: of Optuna.
      search: what is searched.
      tell: is called with every trial that ends, as the study has it.
    """

    def __init__(self, study: Any, search: Search, tell: Callable[[Any], None]):
        self._study, self._search, self._tell = study, search, tell

    def next(self, held: Collection[int | None]) -> Any:
        """A trial that nobody holds, or a new one; None if there are enough.

        Args:
          held: the numbers of those under way.
        """
        done = self._study.get_trials(deepcopy=False)
        for frozen in done:
            orphan = frozen.state == states().RUNNING and frozen.number not in held
            if orphan and "copy_of" not in frozen.user_attrs:
                return self._chosen(self._live(frozen))
        waiting = any(frozen.state == states().WAITING for frozen in done)
        begun = sum("copy_of" not in frozen.user_attrs for frozen in done)
        if not waiting and begun >= self._search.trials:
            return None
        self._study.sampler = make_sampler(
            self._search.sampler, self._search.seed, len(done), together=True
        )
        return self._chosen(self._study.ask())

    def overrides(self, number: int) -> list[str]:
        """The fields of a trial, as texts."""
        return self._frozen(number).user_attrs["overrides"]

    def copy(self, of: int, overrides: Sequence[str], origin: Mapping[str, Any]) -> Any:
        """A trial that the study did not choose.

        Args:
          of: the trial of which it is a changed copy.
          overrides: its own fields.
          origin: what tells it from all others.
        """
        running = self._study.get_trials(deepcopy=False, states=[states().RUNNING])
        origin = {"copy_of": of, **origin}
        for trial in running:  # made by a process that was killed before it saved
            if all(trial.user_attrs.get(name) == value for name, value in origin.items()):
                return trial
        source, texts = self._frozen(of), dict(text.split("=", 1) for text in overrides)
        params = {
            name: type(value)(texts[name]) if isinstance(value, int | float) else value
            for name, value in source.params.items()
        }
        made = optuna().trial.create_trial(
            state=states().RUNNING,
            params=params,
            distributions=source.distributions,
            user_attrs={"overrides": list(overrides), **origin},
        )
        self._study.add_trial(made)
        return self._study.get_trials(deepcopy=False)[-1]

    def report(self, number: int, step: int, values: Mapping[str, float]) -> None:
        """Tells figures of the validation split on the way; of several objectives none."""
        trial, name = self._frozen(number), self._search.objectives[0].name
        if len(self._search.objectives) == 1 and name in values and not trial.state.is_finished():
            report_figures(self._study, self._live(trial), {step: values[name]})

    def ends_here(self, number: int) -> bool:
        """Whether the study ends the trial early, which is told so."""
        trial = self._frozen(number)
        if not trial.state.is_finished() and is_behind(self._search, self._live(trial)):
            self.prune(number)
        # One that is complete there was told so, and not saved: it goes to its end once more.
        return self._frozen(number).state in (states().PRUNED, states().FAIL)

    def prune(self, number: int) -> None:
        """Tells that a trial ended early."""
        self._end(number, {}, None, states().PRUNED)

    def fail(self, number: int, reason: str) -> None:
        """Tells that a trial failed, and why."""
        self._end(number, {"error": reason}, None, states().FAIL)

    def complete(self, number: int, result: Mapping[str, Any]) -> None:
        """Tells the figures of a trial that came to its end."""
        values = values_of(self._search.objectives, result)
        if values is None:
            self._end(number, {**result, "error": NOT_FINITE}, None, states().FAIL)
        else:
            self._end(number, result, values, states().COMPLETE)

    def best(self) -> set[int]:
        """The numbers of the best ones."""
        return {trial.number for trial in self._study.best_trials}

    def _end(self, number: int, attributes: Mapping[str, Any], values: Any, state: Any) -> None:
        trial = self._frozen(number)
        if trial.state.is_finished():
            return
        for name, value in attributes.items():
            self._live(trial).set_user_attr(name, value)
        self._study.tell(number, values, state=state)
        self._tell(self._frozen(number))

    def _chosen(self, trial: Any) -> Any:
        """The trial, with its fields as texts."""
        if "overrides" not in trial.user_attrs:
            trial.set_user_attr("overrides", suggest(trial, self._search.space))
        return trial

    def _frozen(self, number: int) -> Any:
        return self._study.get_trials(deepcopy=False)[number]

    def _live(self, frozen: Any) -> Any:
        return optuna().trial.Trial(self._study, frozen._trial_id)
