"""A search as a folder: Optuna's study in a journal, the settings, a run for every trial.

sweep.json          what is searched, and how
journal.log         the study (`optuna.storages.JournalStorage`); the Optuna dashboard opens it
trial_0007/         an ordinary run; trial_0007.log is what it printed
"""

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from lstm_jax.config import write_atomically
from lstm_jax.errors import UserError, did_you_mean
from lstm_jax.json_files import read_json

SETTINGS = "sweep.json"
JOURNAL = "journal.log"
SAMPLERS = ("tpe", "random", "cmaes", "nsga2", "grid")
PRUNERS = ("none", "median", "asha", "hyperband", "pbt")
_NAME = "sweep"


class Objective(NamedTuple):
    """A figure of a run that is to be good.

    Attributes:
      name: a metric of the task, on the validation split; or parameters or seconds.
      lower_is_better: whether less is better.
      decimals: of the figure, for a person.
    """

    name: str
    lower_is_better: bool
    decimals: int

    def of(self, result: Mapping[str, Any]) -> float:
        """The figure of a finished run's result."""
        value = result.get(self.name if self.name in OWN else f"validation/{self.name}")
        return float("nan") if value is None else float(value)


NOT_FINITE = "the result is not finite"


def values_of(objectives: Sequence[Objective], result: Mapping[str, Any]) -> list[float] | None:
    """What a study is told of a result; None if a figure is not finite, which is a failure."""
    values = [objective.of(result) for objective in objectives]
    return values if all(map(math.isfinite, values)) else None


OWN = {"parameters": Objective("parameters", True, 0), "seconds": Objective("seconds", True, 0)}


def optuna() -> Any:
    """The library, quiet.

    Raises:
      UserError: it is not installed.
    """
    try:
        import optuna as library
    except ImportError as error:
        raise UserError(f"a search needs Optuna ({error}): pip install 'lstm_jax[sweep]'") from None
    import warnings

    library.logging.set_verbosity(library.logging.WARNING)
    warnings.filterwarnings("ignore", category=library.exceptions.ExperimentalWarning)
    return library


def states() -> Any:
    """What can become of a trial."""
    return optuna().trial.TrialState


def open_study(folder: Path, objectives: Sequence[Objective], *, pruner: str = "none") -> Any:
    """The study of a folder, made if there is none; several processes may have it open.

    Args:
      folder: of the search.
      objectives: what is to be good.
      pruner: which trials end early.
    """
    library = optuna()
    pruners = {
        "none": library.pruners.NopPruner,
        "pbt": library.pruners.NopPruner,  # trials of one population end one another
        "median": library.pruners.MedianPruner,
        "asha": library.pruners.SuccessiveHalvingPruner,
        "hyperband": library.pruners.HyperbandPruner,
    }
    return library.create_study(
        study_name=_NAME,
        storage=_storage(library, folder),
        pruner=pruners[pruner](),
        directions=["minimize" if o.lower_is_better else "maximize" for o in objectives],
        load_if_exists=True,
    )


def make_sampler(name: str, seed: int, number: int, *, together: bool = False) -> Any:
    """What chooses a trial.

    One that began with the seed alone would choose again, in a second process or one that goes on,
    what the first has chosen: the trial's number goes in.

    Args:
      name: of the method.
      seed: of the search.
      number: of the trial.
      together: whether many are under way, from whom the next should keep away.
    """
    samplers = optuna().samplers
    made = {
        "tpe": samplers.TPESampler,
        "random": samplers.RandomSampler,
        "cmaes": samplers.CmaEsSampler,
        "nsga2": samplers.NSGAIISampler,
        "grid": samplers.RandomSampler,  # its trials are put in the queue
    }
    options = {"constant_liar": True} if name == "tpe" and together else {}
    drawn = int(np.random.SeedSequence([seed, number]).generate_state(1)[0])
    return made[name](seed=drawn, **options)


def load_study(folder: Path) -> Any:
    """The study of a folder, to look at.

    Raises:
      UserError: there is none.
    """
    library = optuna()
    if not (folder / JOURNAL).is_file():
        raise UserError(f"{folder} holds no search: there is no {JOURNAL} in it")
    try:
        return library.load_study(study_name=_NAME, storage=_storage(library, folder))
    except (KeyError, ValueError) as error:
        raise UserError(f"{folder / JOURNAL} holds no study of this program ({error})") from None


def _storage(library: Any, folder: Path) -> Any:
    from optuna.storages.journal import JournalFileBackend

    return library.storages.JournalStorage(JournalFileBackend(str(folder / JOURNAL)))


def keep_settings(folder: Path, settings: Mapping[str, Any]) -> None:
    """Writes what is searched, or holds what is asked against what is there.

    The number of trials may grow; all else is one search's for good.

    Raises:
      UserError: the folder holds another search, or something else.
    """
    path = folder / SETTINGS
    if path.exists():
        stored = read_settings(folder)
        for name, value in json.loads(json.dumps(settings)).items():
            if name != "trials" and stored.get(name) != value:
                raise UserError(
                    f"--workdir: {folder} holds another search: its {name} is "
                    f"{stored.get(name)!r}, here {value!r}; use another --workdir"
                )
    elif folder.exists() and any(folder.iterdir()):
        raise UserError(f"--workdir: {folder} holds other files and no search; use another one")
    folder.mkdir(parents=True, exist_ok=True)
    write_atomically(path, json.dumps(settings, indent=2) + "\n")


def read_settings(folder: Path) -> dict[str, Any]:
    """What a folder's search was asked for.

    Raises:
      UserError: there is none.
    """
    try:
        found = read_json(folder / SETTINGS)
    except FileNotFoundError:
        raise UserError(f"{folder} holds no search: there is no {SETTINGS} in it") from None
    except (OSError, ValueError) as error:
        raise UserError(f"{folder / SETTINGS} cannot be read ({error})") from None
    if not isinstance(found, dict) or not isinstance(found.get("objectives"), list):
        raise UserError(f"{folder / SETTINGS} is not of a search")
    return found


def read_objectives(folder: Path) -> list[Objective]:
    """What a folder's search wants to be good."""
    return [Objective(*each) for each in read_settings(folder)["objectives"]]


def choose_objectives(names: Sequence[str], metrics: Sequence[Any]) -> list[Objective]:
    """The objectives of these names.

    Args:
      names: of metrics of the task, or parameters or seconds; none for the task's first metric.
      metrics: the task's.

    Raises:
      UserError: there is no such metric.
    """
    known = {m.name: Objective(m.name, m.lower_is_better, m.decimals) for m in metrics} | OWN
    for name in names:
        if name not in known:
            raise UserError(f"--metric: the task reports no {name!r}; {did_you_mean(name, known)}")
    return [known[name] for name in names] or [next(iter(known.values()))]
