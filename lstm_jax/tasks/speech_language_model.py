"""A run of language modelling, kept beside a recognizer for its search."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np

from lstm_jax.config import find
from lstm_jax.data.tokenizers import Tokenizer
from lstm_jax.errors import UserError
from lstm_jax.models.text_scorers import Scorer, recurrent_scorer
from lstm_jax.tasks.language_model import language_model
from lstm_jax.tasks.task import TrainedRun

_FIELD = "search.language_model"
_CONFIG, _FOLDERS = "config.json", ("assets", "checkpoints")  # what the use of a network needs
_BETWEEN = "\n"  # what parts two texts in those that language models learn from


def keep_language_model(workdir: str, tokenizer: Tokenizer, kept: Path) -> None:
    """Copies what the search needs of a run, so that the recognizer needs its folder no more.

    Args:
      workdir: the folder of the run.
      tokenizer: of the recognizer.
      kept: the folder to make.

    Raises:
      UserError: it is no run of a language model that knows the symbols, or cannot be copied.
    """
    source = Path(workdir).expanduser()
    _numbers(_read(source), tokenizer)
    try:
        kept.mkdir(exist_ok=True)
        for name in _FOLDERS:
            shutil.copytree(source / name, kept / name, dirs_exist_ok=True)
        shutil.copy2(source / _CONFIG, kept / _CONFIG)
    except OSError as error:
        raise UserError(f"{_FIELD}: {source} cannot be copied to {kept} ({error})") from None


def language_model_scorer(kept: Path, tokenizer: Tokenizer) -> Scorer:
    """The scorer of texts by what `keep_language_model` has kept.

    Raises:
      UserError: it cannot be read, or does not know the symbols.
    """
    trained = _read(kept)
    task: Any = trained.task
    network = task.network(task.vocabulary(trained.assets))
    return recurrent_scorer(network, trained.params, _numbers(trained, tokenizer))


def _read(folder: Path) -> TrainedRun:
    try:
        trained: TrainedRun = find("run_reader", "best_of_run")(workdir=str(folder))
    except UserError as error:
        raise UserError(f"{_FIELD}: {error}") from None
    if not isinstance(trained.task, language_model):
        raise UserError(
            f"{_FIELD}: {folder} is a run of another task; one of language_model is needed"
        )
    return trained


def _numbers(trained: TrainedRun, tokenizer: Tokenizer) -> np.ndarray:
    """What the language model calls the end of a text and each symbol of the recognizer."""
    task: Any = trained.task
    theirs: Tokenizer = task.vocabulary(trained.assets)
    if (theirs.units, tokenizer.units) != ("characters", "characters"):
        raise UserError(
            f"{_FIELD}: both tokenizers must be characters; the language model's are "
            f"{theirs.units}, and data.tokenizer has {tokenizer.units}"
        )
    symbols = [_BETWEEN, *(tokenizer.decode([i]) for i in range(1, len(tokenizer)))]
    numbers = theirs.encode("".join(symbols)).ids
    if not numbers.all():
        unknown = "".join(s for s, n in zip(symbols, numbers, strict=True) if not n)
        raise UserError(f"{_FIELD}: the language model does not know {unknown!r}")
    return numbers
