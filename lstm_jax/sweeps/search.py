"""A search: trials are asked of a study, trained in processes of their own, and told to it."""

import contextlib
import fcntl
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any, NamedTuple

from lstm_jax.errors import ConfigError
from lstm_jax.records import read_metrics
from lstm_jax.sweeps.finished import read_finished
from lstm_jax.sweeps.runs import Planned, start, stop
from lstm_jax.sweeps.space import Space, corners, suggest
from lstm_jax.sweeps.study import NOT_FINITE, Objective, make_sampler, optuna, states, values_of

_POLL = 0.3  # seconds
_STOPPED = (130, 143)  # exit codes of runs that a signal stopped


class Search(NamedTuple):
    """What is searched.

    Attributes:
      folder: of the search.
      config: the config file.
      overrides: of every trial alike.
      parts: modules that the config names.
      space: what changes.
      objectives: what is to be good; trials are pruned by the only one.
      trials: how many there are to be, failed ones too.
      sampler: how trials are chosen.
      seed: of the sampler.
      retries: how often a trial that crashed goes on from its checkpoint.
    """

    folder: Path
    config: str
    overrides: tuple[str, ...]
    parts: tuple[str, ...]
    space: Space
    objectives: Sequence[Objective]
    trials: int
    sampler: str = "tpe"
    seed: int = 0
    retries: int = 1

    def planned(self, number: int, overrides: Sequence[str]) -> Planned:
        """The run of a trial."""
        return Planned(
            f"trial {number}",
            self.folder / f"trial_{number:04d}",
            self.config,
            (*self.overrides, *overrides),
            self.parts,
        )


class Claimed(NamedTuple):
    """A trial that is this process's to train, while it holds the lock.

    Attributes:
      trial: of Optuna.
      run: its training.
      lock: ends with this process.
    """

    trial: Any
    run: Planned
    lock: IO[str]


class Ending(NamedTuple):
    """What a trial's process left.

    Attributes:
      result: of a run that is finished.
      error: the last words of one that is not.
      may_go_on: whether it crashed, so that it may be tried again.
    """

    result: dict[str, Any] | None
    error: str = ""
    may_go_on: bool = False


class _Running(NamedTuple):
    claimed: Claimed
    process: subprocess.Popen[bytes]
    tries: int = 0


def require_space(search: Search, build: Callable[[Sequence[str]], Any]) -> None:
    """Checks both ends of every interval and every option against the config.

    Args:
      search: what is searched.
      build: makes the experiment of overrides, or raises ConfigError.

    Raises:
      ConfigError: with every value that cannot be.
    """
    if not search.space:
        raise ConfigError("--set: nothing changes, so there is nothing to search")
    problems: list[str] = []
    for overrides in corners(search.space):
        try:
            build((*search.overrides, *overrides))
        except ConfigError as error:
            problems += error.problems
    if problems:
        raise ConfigError(list(dict.fromkeys(problems)))


def prepare(search: Search, options: Any) -> Callable[..., None]:
    """Trials are processes of this machine: see `engines`."""
    del search
    jobs = options.jobs or 1
    return lambda study, search, tell: run_search(study, search, jobs, tell)


def run_search(study: Any, search: Search, jobs: int, tell: Callable[[Any], None]) -> None:
    """Trains trials until there are as many as asked for; other processes may do so beside.

    A trial whose process ended with this program goes on from its checkpoint; one that crashed is
    tried again; one that failed is recorded with its last words.

    Args:
      study: of Optuna.
      search: what is searched.
      jobs: trials at a time.
      tell: is called with every trial that ends, as the study has it.
    """
    running: list[_Running] = []
    try:
        while True:
            while len(running) < jobs and (claimed := claim(study, search)) is not None:
                running.append(_Running(claimed, start(claimed.run)))
            if not running:
                return
            time.sleep(_POLL)
            running = [kept for one in running if (kept := _look(study, search, one, tell))]
    finally:
        stop([one.process for one in running])


def claim(study: Any, search: Search) -> Claimed | None:
    """An orphan, whose process is gone, or a new trial; None if there are enough."""
    with _alone(search.folder / ".asking"):
        for frozen in study.get_trials(deepcopy=False, states=[states().RUNNING]):
            lock = _try_lock(_lock_path(search, frozen.number))
            if lock is not None:
                return _claimed(search, optuna().trial.Trial(study, frozen._trial_id), lock)
        done = study.get_trials(deepcopy=False)
        waiting = any(frozen.state == states().WAITING for frozen in done)
        if not waiting and len(done) >= search.trials:
            return None
        study.sampler = make_sampler(search.sampler, search.seed, len(done))
        trial = study.ask()
        lock = _try_lock(_lock_path(search, trial.number))
        assert lock is not None
        return _claimed(search, trial, lock)


def _claimed(search: Search, trial: Any, lock: IO[str]) -> Claimed:
    overrides = trial.user_attrs.get("overrides")
    if overrides is None:
        overrides = suggest(trial, search.space)
        trial.set_user_attr("overrides", overrides)
    return Claimed(trial, search.planned(trial.number, overrides), lock)


def _look(
    study: Any, search: Search, one: _Running, tell: Callable[[Any], None]
) -> _Running | None:
    """What has become of a trial; None if it has ended."""
    trial, run, _ = one.claimed
    report_figures(study, trial, read_figures(search, run))
    pruned = is_behind(search, trial)
    if pruned and one.process.poll() is None:
        one.process.send_signal(signal.SIGTERM)
        one.process.wait()
    code = one.process.poll()
    if code is None:
        return one
    ending = read_ending(run, code)
    if ending.may_go_on and not pruned and one.tries < search.retries:
        return one._replace(process=start(run), tries=one.tries + 1)
    end(study, search, one.claimed, None if pruned and ending.result is None else ending)
    tell(study.get_trials(deepcopy=False)[trial.number])
    return None


def read_figures(search: Search, run: Planned) -> dict[int, float]:
    """The figures on the validation split, by step; none if there are several objectives."""
    if len(search.objectives) > 1:
        return {}
    name = search.objectives[0].name
    lines = [line for line in read_metrics(run.folder) if line["split"] == "validation"]
    return {line["step"]: line[name] for line in lines if name in line}


def read_ending(run: Planned, code: int) -> Ending:
    """What a process left that ended with an exit code."""
    finished = read_finished([run.folder])
    if finished and code == 0:
        return Ending(finished[0].result)
    may_go_on = code != 2 and code not in _STOPPED
    return Ending(None, run.last_line() or f"exit code {code}", may_go_on)


def report_figures(study: Any, trial: Any, figures: Mapping[int, float]) -> None:
    """Tells a trial those of its figures that it does not know."""
    known = study.get_trials(deepcopy=False)[trial.number].intermediate_values
    for step, value in figures.items():
        if step not in known:
            trial.report(value, step)


def is_behind(search: Search, trial: Any) -> bool:
    """Whether a trial is to end early."""
    return len(search.objectives) == 1 and trial.should_prune()


def end(study: Any, search: Search, claimed: Claimed, ending: Ending | None) -> None:
    """Tells the study how a trial ended, and lets it go; None for one that was pruned."""
    if ending is None:
        study.tell(claimed.trial, state=states().PRUNED)
    elif ending.result is None:
        _fail(study, claimed.trial, ending.error)
    else:
        _tell_values(study, search, claimed.trial, ending.result)
    claimed.lock.close()


def _tell_values(study: Any, search: Search, trial: Any, result: Mapping[str, Any]) -> None:
    values = values_of(search.objectives, result)
    for name, value in result.items():
        if "/" in name or name in ("seconds", "parameters", "steps"):
            trial.set_user_attr(name, value)
    if values is None:
        _fail(study, trial, NOT_FINITE)
    else:
        study.tell(trial, values)


def _fail(study: Any, trial: Any, reason: str) -> None:
    trial.set_user_attr("error", reason)
    study.tell(trial, state=states().FAIL)


def _lock_path(search: Search, number: int) -> Path:
    return search.folder / f".trial_{number:04d}"


def _try_lock(path: Path) -> IO[str] | None:
    """A lock that ends with this process; None if another one holds it."""
    file = path.open("a+", encoding="utf-8")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        return None
    return file


@contextlib.contextmanager
def _alone(path: Path) -> Iterator[None]:
    """One process at a time: two that asked at once would make a trial too many."""
    with path.open("a+", encoding="utf-8") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
