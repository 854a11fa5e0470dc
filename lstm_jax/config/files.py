"""Config files: Python to launch from, JSON beside a run, and the difference between two."""

import json
import os
import sys
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import ml_collections

from lstm_jax.errors import ConfigError, UserError
from lstm_jax.json_files import read_json


def load_python(spec: str) -> ml_collections.ConfigDict:
    """The config of `path.py` or `path.py:mode`, as its `get_config(mode)` returns it.

    A config file is a program and is run: launch only files that you trust.

    Raises:
      ConfigError: the file is missing, fails, or has no `get_config` that returns a ConfigDict.
    """
    config = run_python("--config", spec, "get_config")
    if not isinstance(config, ml_collections.ConfigDict):
        path = spec.partition(":")[0]
        raise ConfigError(
            f"{path}: get_config must return a ConfigDict, got {type(config).__name__}"
        )
    return config


def run_python(option: str, spec: str, function: str) -> Any:
    """What a function of a file gives, called with the mode behind `path.py:`, if there is one.

    Args:
      option: that named the file, for messages.
      spec: `path.py` or `path.py:mode`.
      function: the name of the function.

    Raises:
      ConfigError: the file is missing, fails, or has no such function.
    """
    path, _, mode = spec.partition(":")
    try:
        source = Path(path).read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{option}: cannot read {path!r} ({error.strerror})") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{option}: {path!r} is not a Python file in UTF-8") from None
    folder = str(Path(path).resolve().parent)
    if folder not in sys.path:
        sys.path.append(folder)  # parts of one's own stand beside the config
    namespace: dict[str, Any] = {"__name__": "lstm_jax_config", "__file__": path}
    try:
        exec(compile(source, path, "exec"), namespace)
        if function not in namespace:
            raise ConfigError(f"the file defines no {function}()")
        return namespace[function](mode) if mode else namespace[function]()
    except ConfigError as error:
        raise ConfigError([f"{path}: {problem}" for problem in error.problems]) from None
    except Exception as error:
        raise ConfigError(f"{path}{_line_in(path, error)}: {_in_words(error)}") from error


def _line_in(path: str, error: Exception) -> str:
    if isinstance(error, SyntaxError):
        return f":{error.lineno}"
    lines = [f.lineno for f in traceback.extract_tb(error.__traceback__) if f.filename == path]
    return f":{lines[-1]}" if lines else ""


def _in_words(error: Exception) -> str:
    return (
        f"{type(error).__name__}: {str(error).strip(chr(34)).splitlines()[0] if str(error) else ''}"
    )


def to_json(config: ml_collections.ConfigDict) -> str:
    """The config as JSON text; keys are sorted, so that equal configs are equal texts."""
    return json.dumps(_plain(config), indent=2, sort_keys=True) + "\n"


def load_json(path: Path) -> dict[str, Any]:
    """What a run's `config.json` holds.

    Raises:
      UserError: there is none, or it is not JSON.
    """
    try:
        found = read_json(path)
    except FileNotFoundError:
        raise UserError(f"{path.parent} holds no run: there is no {path.name}") from None
    except (OSError, ValueError) as error:
        raise UserError(f"{path} cannot be read as a config ({error})") from None
    if not isinstance(found, dict):
        raise UserError(f"{path} cannot be read as a config (it holds no object)")
    return found


def write_atomically(path: Path, text: str) -> None:
    """Writes a file so that a crash leaves the old one or the new one, never a part."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    with temporary.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def difference(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """Every field in which two configs differ, as `path: old -> new`."""
    a, b = _leaves(old), _leaves(new)
    absent = "(absent)"
    return [
        f"{path}: {a.get(path, absent)!r} -> {b.get(path, absent)!r}"
        for path in sorted(a.keys() | b.keys())
        if a.get(path, absent) != b.get(path, absent)
    ]


def _leaves(value: Any, path: str = "") -> dict[str, Any]:
    if isinstance(value, Mapping | ml_collections.ConfigDict):
        items = [(f"{path}.{key}" if path else key, value[key]) for key in value]
    elif isinstance(value, list | tuple) and value:
        items = [(f"{path}[{i}]", item) for i, item in enumerate(value)]
    else:
        return {path: list(value) if isinstance(value, tuple) else value}
    return {leaf: v for name, item in items for leaf, v in _leaves(item, name).items()}


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping | ml_collections.ConfigDict):
        return {key: _plain(value[key]) for key in value}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value
