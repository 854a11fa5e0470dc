"""From what a config file says to a config in which every field stands."""

from collections.abc import Callable, Mapping
from typing import Any

import ml_collections
from ml_collections import config_dict

from lstm_jax.config.check import is_section, unknown_problems
from lstm_jax.config.registry import find
from lstm_jax.config.schema import REQUIRED, Field, fields, section_fields
from lstm_jax.errors import ConfigError


def complete(factory: Callable[..., Any], given: Mapping[str, Any]) -> ml_collections.ConfigDict:
    """A section with every field of `factory`: the value given, else its default.

    A part is given by its name alone, or as a mapping with `name` and some of its fields.
    Values are not checked here (`build` does that), names are.

    Raises:
      ConfigError: with every name that does not exist.
    """
    problems: list[str] = []
    config = _complete(factory, given, "", problems)
    if problems:
        raise ConfigError(problems)
    return config


def _complete(
    factory: Callable[..., Any], given: Mapping[str, Any], path: str, problems: list[str]
) -> ml_collections.ConfigDict:
    config = ml_collections.ConfigDict()
    try:
        known = section_fields(factory, _selected(factory, given))
    except ConfigError as error:
        problems += [f"{path}{problem}" for problem in error.problems]
        return config
    problems += unknown_problems(path, known, given)
    for field in known.values():
        value = _value(field, given, f"{path}{field.name}", problems)
        if value is None or value is REQUIRED:
            value = config_dict.placeholder(field.type)
        config[field.name] = value
    return config


def _selected(factory: Callable[..., Any], given: Mapping[str, Any]) -> Mapping[str, Any]:
    """The given values, with defaults for the names of inline parts, also nested ones."""
    selected = dict(given)
    for field in fields(factory).values():
        if field.part is not None and field.part.inline:
            selected.setdefault(field.name, field.default)
            selected = dict(_selected(find(field.part.kind, selected[field.name]), selected))
    return selected


def _value(field: Field, given: Mapping[str, Any], here: str, problems: list[str]) -> Any:
    value = given.get(field.name, field.default)
    if field.section is not None:
        value = {} if field.name not in given else value
        if not is_section(value):
            problems.append(f"{here}: a section of fields is needed, got {value!r}")
            return None
        return _complete(field.section, value, f"{here}.", problems)
    if field.part is None and field.type is tuple and isinstance(value, str):
        return (value,)
    if field.part is None or field.part.inline:
        return value
    if not field.part.several:
        return _part(field.part.kind, value, here, problems)
    items = [value] if isinstance(value, str) else value
    return tuple(
        _part(field.part.kind, item, f"{here}[{i}]", problems) for i, item in enumerate(items)
    )


def _part(kind: str, value: Any, here: str, problems: list[str]) -> Any:
    value = {"name": value} if isinstance(value, str) else value
    if not is_section(value) or "name" not in value:
        problems.append(f"{here}: a {kind} needs a name, got {value!r}")
        return None
    rest = {key: value[key] for key in value if key != "name"}
    try:
        factory = find(kind, value["name"])
    except ConfigError as error:
        problems += [f"{here}.name: {problem}" for problem in error.problems]
        return None
    config = _complete(factory, rest, f"{here}.", problems)
    return ml_collections.ConfigDict({"name": value["name"], **config})
