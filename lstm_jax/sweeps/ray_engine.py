"""A search on a cluster: Ray Tune places the trials, the study on disk chooses and ends them.

Tune starts a trial where there is room for it, and again elsewhere if its node is lost; the
training goes on from its own checkpoint, in the folder that all nodes share. What Tune's
`OptunaSearch` and `ASHAScheduler` would do is done by the sampler and the pruner of the study, put
in through Tune's interfaces for searchers and schedulers, and not by these two: they keep in memory
what was asked and where trials stand, so that a driver that is killed would leave trials that
nobody goes on with and halvings that begin anew. With the journal the same command goes on, with
this engine or another one, and `status`, `best` and `export` read what they always read. `asha` is
the same method in both (L. Li et al., A System for Massively Parallel Hyperparameter Tuning, 2018).
"""

import contextlib
import logging
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from lstm_jax.sweeps.ray_cluster import choose_resources, connect, tune
from lstm_jax.sweeps.ray_trial import ClusterTrial, pack, unpack
from lstm_jax.sweeps.search import Claimed, Ending, Search, claim, end, is_behind, report_figures

_LOSSES = 5  # times that a trial goes on elsewhere
# Read by Tune. Ours are the figures, the signals and the words.
_SETTINGS = {
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
    "TUNE_PRINT_ALL_TRIAL_ERRORS": "0",
    "RAY_AIR_NEW_OUTPUT": "0",
}


def prepare(search: Search, options: Any) -> Callable[..., None]:
    """Joins the cluster: see `engines`.

    Raises:
      UserError: Ray is not installed, nobody answers, or no node has the resources.
    """
    del search
    resources = choose_resources(options.resources, connect(options.address))
    return lambda study, search, tell: _run(study, search, tell, resources, options.jobs)


class Ledger:
    """The trials under way, by the names that Tune gives them, and the study that knows them.

    Args:
      study: of Optuna.
      search: what is searched.
      tell: is called with every trial that ends, as the study has it.
    """

    def __init__(self, study: Any, search: Search, tell: Callable[[Any], None]):
        self._study, self._search, self._tell = study, search, tell
        self._claimed: dict[str, Claimed] = {}
        self._words: dict[str, str] = {}

    def ask(self, name: str) -> dict[str, Any] | None:
        """The number and the overrides of the next trial; None if there are enough."""
        claimed = claim(self._study, self._search)
        if claimed is None:
            return None
        self._claimed[name] = claimed
        return {
            "number": claimed.trial.number,
            "overrides": claimed.trial.user_attrs["overrides"],
        }

    def should_stop(self, name: str, figures: dict[int, float]) -> bool:
        """Takes new figures of a trial; whether it is to end early."""
        trial = self._claimed[name].trial
        report_figures(self._study, trial, figures)
        return is_behind(self._search, trial)

    def lost(self, name: str, words: str) -> None:
        """The worker of a trial is gone, with these words of Ray."""
        trial = self._claimed[name].trial
        trial.set_user_attr("lost", trial.user_attrs.get("lost", 0) + 1)
        self._words[name] = words
        print(f"trial {trial.number}: its worker is gone ({words})", flush=True)

    def given_up(self, name: str) -> None:
        """The worker of a trial was lost too often."""
        words = self._words.get(name)
        self.ended(name, {}, Ending(None, f"its worker was lost {_LOSSES + 1} times: {words}"))

    def ended(self, name: str, figures: dict[int, float], ending: Ending | None) -> None:
        """Takes how a trial ended; None for one that was stopped early."""
        claimed = self._claimed.pop(name)
        report_figures(self._study, claimed.trial, figures)
        end(self._study, self._search, claimed, ending)
        self._tell(self._study.get_trials(deepcopy=False)[claimed.trial.number])


def _run(
    study: Any,
    search: Search,
    tell: Callable[[Any], None],
    resources: dict[str, int],
    jobs: int | None,
) -> None:
    search = search._replace(folder=search.folder.absolute())
    ledger = Ledger(study, search, tell)
    os.environ.update(_SETTINGS)
    logging.getLogger("ray.tune").setLevel(logging.CRITICAL)  # what it says, the study says
    with _asked_to_stop() as asked:
        tune().run(
            tune().with_resources(
                _trainable(search, Path.cwd()), tune().PlacementGroupFactory([resources])
            ),
            search_alg=_searcher(ledger),
            scheduler=_scheduler(ledger),
            num_samples=-1,  # until the searcher has no more
            max_concurrent_trials=jobs,
            max_failures=_LOSSES,
            raise_on_failed_trial=False,
            stop=_stopper(asked),
            storage_path=str(search.folder),
            name=".tune",
            verbose=0,
        )
    if asked:
        raise KeyboardInterrupt


@contextlib.contextmanager
def _asked_to_stop() -> Iterator[list[int]]:
    """The signals that ask this process to end; Tune is to end its trials first."""
    asked: list[int] = []

    def note(number: int, frame: Any) -> None:
        del frame
        if asked:  # twice: at once
            raise KeyboardInterrupt
        asked.append(number)

    numbers = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(number, note) for number in numbers]
    try:
        yield asked
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)


def _trainable(search: Search, origin: Path) -> Any:
    class Trial(tune().Trainable):
        def setup(self, config: dict[str, Any]) -> None:
            self._trial = ClusterTrial(search, config["number"], config["overrides"], origin)

        def step(self) -> dict[str, Any]:
            figures, ending = self._trial.turn()
            return {"turn": pack(figures, ending), "done": ending is not None}

        def cleanup(self) -> None:
            self._trial.stop()

    return Trial


def _searcher(ledger: Ledger) -> Any:
    from ray.tune.search import Searcher

    class StudySearcher(Searcher):
        def suggest(self, trial_id: str) -> Any:
            found = ledger.ask(trial_id)
            return Searcher.FINISHED if found is None else found

        def on_trial_complete(
            self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
        ) -> None:
            if error or result is None:
                ledger.given_up(trial_id)
            else:
                ledger.ended(trial_id, *unpack(result["turn"]))

        def save(self, checkpoint_path: str) -> None:
            Path(checkpoint_path).touch()  # the study is on disk already

        def restore(self, checkpoint_path: str) -> None:
            pass

    return StudySearcher()


def _scheduler(ledger: Ledger) -> Any:
    from ray.tune.schedulers import FIFOScheduler

    class StudyScheduler(FIFOScheduler):
        def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
            figures, _ = unpack(result["turn"])
            stops = ledger.should_stop(trial.trial_id, figures)
            return self.STOP if stops else self.CONTINUE

        def on_trial_error(self, tune_controller: Any, trial: Any) -> None:
            ledger.lost(trial.trial_id, _last_line(Path(trial.error_file)))

    return StudyScheduler()


def _last_line(path: Path) -> str:
    lines = path.read_text(encoding="utf-8", errors="replace").split("\n")
    return next((line.strip() for line in reversed(lines) if line.strip()), "")


def _stopper(asked: list[int]) -> Any:
    class Signals(tune().Stopper):
        def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
            return False

        def stop_all(self) -> bool:
            return bool(asked)

    return Signals()
