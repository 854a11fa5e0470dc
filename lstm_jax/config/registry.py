"""Parts by name: the functions that a config may choose between, each of one kind.

    @register("cell")
    def my_cell(hidden_size, *, forget_bias: float = 1.0) -> Cell: ...

`config.model.cell.name = "my_package.my_module:my_cell"` then names it from outside this
library; those of the library have short names. Only registered functions can be named. To import
a module is to run it: names that a file of data holds import nothing (`without_imports`).
"""

import contextlib
import contextvars
import importlib
import os
import sys
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from lstm_jax.errors import ConfigError, did_you_mean

# Where the parts of a kind are defined; imported when one of them is asked for.
_HOMES = {
    "task": "lstm_jax.tasks",
    "cell": "lstm_jax.cells",
    "head": "lstm_jax.models.heads",
    "source": "lstm_jax.data.sources",
    "text_step": "lstm_jax.data.text_steps",
    "tokenizer": "lstm_jax.data.tokenizers",
    "labelled_source": "lstm_jax.data.labelled",
    "pair_source": "lstm_jax.data.pairs",
    "series_source": "lstm_jax.data.series_sources",
    "labelled_series_source": "lstm_jax.data.labelled_series",
    "speech_source": "lstm_jax.data.utterances",
    "labelled_audio_source": "lstm_jax.data.labelled_audio",
    "memory_problem": "lstm_jax.data.memory_problems",
    "frame_source": "lstm_jax.data.frame_sources",
    "clip_source": "lstm_jax.data.clips",
    "video_source": "lstm_jax.data.video_sources",
    "caption_source": "lstm_jax.data.captioned_clips",
    "forecast_head": "lstm_jax.models.forecast_heads",
    "optimizer": "lstm_jax.training.optimizers",
    "schedule": "lstm_jax.training.schedules",
    "averaging": "lstm_jax.training.averaging",
    "run_reader": "lstm_jax.training.trained",
}
_PARTS: dict[str, dict[str, Callable[..., Any]]] = {kind: {} for kind in _HOMES}
_may_import = contextvars.ContextVar("may_import", default=True)

F = TypeVar("F", bound=Callable[..., Any])


def register(kind: str) -> Callable[[F], F]:
    """Decorator: makes a function (or class) a part of this kind, under its own name.

    Raises:
      ValueError: the kind does not exist, or another part of it has this name.
    """
    if kind not in _HOMES:
        raise ValueError(f"no kind of part is called {kind!r}: {did_you_mean(kind, _HOMES)}")

    def add(factory: F) -> F:
        name = factory.__name__
        if not factory.__module__.startswith("lstm_jax."):
            name = f"{factory.__module__}:{name}"
        known = _PARTS[kind].get(name)
        # The same definition comes twice when a module is reloaded, as in a notebook.
        if known is not None and known.__module__ != factory.__module__:
            raise ValueError(f"{kind} {name!r} is already defined in {known.__module__}")
        _PARTS[kind][name] = factory
        return factory

    return add


def names(kind: str) -> list[str]:
    """The names of all parts of a kind that are known now, sorted."""
    importlib.import_module(_HOMES[kind])
    return sorted(_PARTS[kind])


def find(kind: str, name: str) -> Callable[..., Any]:
    """The function that a name stands for.

    Args:
      kind: "cell", "source", "optimizer", ...
      name: a short name, or "module:function" for a registered function of another package.

    Raises:
      ConfigError: no part of this kind has the name, or its module cannot be imported.
    """
    known = names(kind)
    if not isinstance(name, str):
        raise ConfigError(f"a {kind} is chosen by name, got {name!r}")
    if ":" in name and name not in _PARTS[kind]:
        _import(kind, name)
    if name not in _PARTS[kind]:
        raise ConfigError(f"no {kind} is called {name!r}: {did_you_mean(name, known)}")
    return _PARTS[kind][name]


@contextlib.contextmanager
def without_imports() -> Iterator[None]:
    """Inside, `find` imports no module from outside the library: a stranger may have named it."""
    token = _may_import.set(False)
    try:
        yield
    finally:
        _may_import.reset(token)


def import_parts(module: str) -> None:
    """Imports a module of parts, from the current folder too, on the word of who runs the program.

    Raises:
      ConfigError: it cannot be imported.
    """
    # The command is no script of the current folder, where a user's own module often is.
    if os.getcwd() not in sys.path:
        sys.path.append(os.getcwd())
    try:
        importlib.import_module(module)
    except (ImportError, TypeError, ValueError) as error:  # the latter two for "" and ".name"
        raise ConfigError(f"cannot import {module!r} ({error})") from error


def _import(kind: str, name: str) -> None:
    module = name.partition(":")[0]
    if not _may_import.get():
        if module in sys.modules:
            return
        raise ConfigError(
            f"{kind} {name!r} is no part of this library, and a stored config is data that "
            f"imports nothing; if you trust that module, add --parts={module}"
        )
    try:
        import_parts(module)
    except ConfigError as error:
        raise ConfigError(f"{kind} {name!r}: {error}") from error
