"""From a complete config to the objects that it describes, checked on the way."""

import dataclasses
import functools
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import ml_collections

from lstm_jax.config.check import field_problems, is_section, unknown_problems
from lstm_jax.config.registry import find
from lstm_jax.config.schema import Field, fields, needs_program, section_fields
from lstm_jax.errors import ConfigError

Section = Mapping[str, Any] | ml_collections.ConfigDict


def values_of(section: Any) -> dict[str, Any]:
    """The fields of a section that was built, by name, for a function that takes the same.

    `dataclasses.asdict` would take sections inside it apart.
    """
    return {field.name: getattr(section, field.name) for field in dataclasses.fields(section)}


def build(factory: Callable[..., Any], values: Section) -> Any:
    """The object that a section describes, with every part in it built too.

    A part that needs arguments of the program becomes a function of them; others are called.

    Raises:
      ConfigError: with every problem of the section and of all below it.
    """
    problems: list[str] = []
    built = _build(factory, values, "", problems)
    if problems:
        raise ConfigError(problems)
    return built


def _build(
    factory: Callable[..., Any],
    values: Any,
    path: str,
    problems: list[str],
    *,
    beside: Iterable[str] | None = (),
) -> Any:
    """Builds one section; `beside` names fields that are not its own, None means any may be."""
    before = len(problems)
    if beside is not None:
        problems += _unknown(factory, values, path, beside)
    arguments = {
        field.name: _build_field(field, values, path, problems)
        for field in fields(factory).values()
    }
    if len(problems) > before:
        return None
    if needs_program(factory):
        return functools.partial(factory, **arguments)
    try:
        return factory(**arguments)
    except ConfigError as error:
        problems += [f"{path}{problem}" for problem in error.problems]
        return None


def _unknown(
    factory: Callable[..., Any], values: Any, path: str, beside: Iterable[str]
) -> list[str]:
    try:
        known = section_fields(factory, values)
    except (ConfigError, KeyError):
        return []  # an inline part that does not exist, or is missing: told when it is built
    return unknown_problems(path, [*known, *beside], values)


def _build_field(field: Field, values: Any, path: str, problems: list[str]) -> Any:
    here = f"{path}{field.name}"
    if field.name not in values:
        problems.append(f"{here}: the field is missing")
        return None
    value = values[field.name]
    if field.section is not None:
        return _build_section(field.section, value, here, problems)
    if field.part is None:
        problems += [f"{here}: {problem}" for problem in field_problems(field, value)]
        return tuple(value) if isinstance(value, list) else value
    if field.part.several:
        return [
            _build_part(field.part.kind, item, f"{here}[{i}]", problems)
            for i, item in enumerate(value or ())
        ]
    if not field.part.inline:
        return _build_part(field.part.kind, value, here, problems)
    factory = _find(field.part.kind, value, here, problems)
    return factory and _build(factory, values, path, problems, beside=None)


def _build_section(section: Callable[..., Any], value: Any, here: str, problems: list[str]) -> Any:
    if not is_section(value):
        problems.append(f"{here}: a section of fields is needed, got {value!r}")
        return None
    return _build(section, value, f"{here}.", problems)


def _build_part(kind: str, value: Any, here: str, problems: list[str]) -> Any:
    if not is_section(value) or "name" not in value:
        problems.append(f"{here}: a {kind} needs a name, got {value!r}")
        return None
    factory = _find(kind, value["name"], f"{here}.name", problems)
    return factory and _build(factory, value, f"{here}.", problems, beside=("name",))


def _find(kind: str, name: Any, here: str, problems: list[str]) -> Callable[..., Any] | None:
    try:
        return find(kind, name)
    except ConfigError as error:
        problems += [f"{here}: {problem}" for problem in error.problems]
        return None
