"""A search: trials are asked of a study, trained in processes of their own, and told to it."""

import contextlib
import fcntl
import math
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO, Any, NamedTuple

from lstm_jax.errors import ConfigError
from lstm_jax.records import read_metrics
from lstm_jax.sweeps.finished import read_finished
from lstm_jax.sweeps.runs import Planned, start, stop
from lstm_jax.sweeps.space import Space, corners, suggest
from lstm_jax.sweeps.study import Objective, make_sampler, optuna

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


class _Running(NamedTuple):
    trial: Any
    run: Planned
    process: subprocess.Popen[bytes]
    lock: IO[str]
    tries: int


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
            while len(running) < jobs and (found := _next(study, search)) is not None:
                running.append(found)
            if not running:
                return
            time.sleep(_POLL)
            running = [kept for one in running if (kept := _look(study, search, one, tell))]
    finally:
        stop([one.process for one in running])


def _next(study: Any, search: Search) -> _Running | None:
    """An orphan, whose process is gone, or a new trial; None if there are enough."""
    with _alone(search.folder / ".asking"):
        for frozen in study.get_trials(deepcopy=False, states=[_states().RUNNING]):
            lock = _try_lock(_lock_path(search, frozen.number))
            if lock is not None:
                return _begin(study, search, optuna().trial.Trial(study, frozen._trial_id), lock)
        done = study.get_trials(deepcopy=False)
        waiting = any(frozen.state == _states().WAITING for frozen in done)
        if not waiting and len(done) >= search.trials:
            return None
        study.sampler = make_sampler(search.sampler, search.seed, len(done))
        trial = study.ask()
        lock = _try_lock(_lock_path(search, trial.number))
        assert lock is not None
        return _begin(study, search, trial, lock)


def _begin(study: Any, search: Search, trial: Any, lock: IO[str], tries: int = 0) -> _Running:
    overrides = trial.user_attrs.get("overrides")
    if overrides is None:
        overrides = suggest(trial, search.space)
        trial.set_user_attr("overrides", overrides)
    run = search.planned(trial.number, overrides)
    return _Running(trial, run, start(run), lock, tries)


def _look(
    study: Any, search: Search, one: _Running, tell: Callable[[Any], None]
) -> _Running | None:
    """What has become of a trial; None if it has ended."""
    pruned = _report(study, search, one) and one.trial.should_prune()
    if pruned and one.process.poll() is None:
        one.process.send_signal(signal.SIGTERM)
        one.process.wait()
    code = one.process.poll()
    if code is None:
        return one
    finished = read_finished([one.run.folder])
    if pruned and not finished:
        study.tell(one.trial, state=_states().PRUNED)
    elif finished and code == 0:
        _tell_values(study, search, one, finished[0].result)
    elif code != 2 and code not in _STOPPED and one.tries < search.retries:
        return one._replace(process=start(one.run), tries=one.tries + 1)
    else:
        _fail(study, one, one.run.last_line() or f"exit code {code}")
    one.lock.close()
    tell(study.get_trials(deepcopy=False)[one.trial.number])
    return None


def _report(study: Any, search: Search, one: _Running) -> bool:
    """Tells the trial its figures on the validation split; whether there is one to prune by."""
    if len(search.objectives) > 1:
        return False
    name = search.objectives[0].name
    known = study.get_trials(deepcopy=False)[one.trial.number].intermediate_values
    for line in read_metrics(one.run.folder):
        if line["split"] == "validation" and name in line and line["step"] not in known:
            one.trial.report(line[name], line["step"])
    return True


def _tell_values(study: Any, search: Search, one: _Running, result: dict[str, Any]) -> None:
    values = [objective.of(result) for objective in search.objectives]
    for name, value in result.items():
        if "/" in name or name in ("seconds", "parameters", "steps"):
            one.trial.set_user_attr(name, value)
    if all(map(math.isfinite, values)):
        study.tell(one.trial, values)
    else:
        _fail(study, one, "the result is not finite")


def _fail(study: Any, one: _Running, reason: str) -> None:
    one.trial.set_user_attr("error", reason)
    study.tell(one.trial, state=_states().FAIL)


def _states() -> Any:
    return optuna().trial.TrialState


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
