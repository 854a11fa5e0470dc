"""`--config.model.hidden_size=512`: single fields of a config set from text, each by its type."""

import ast
import re
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import ml_collections

from lstm_jax.config.complete import complete
from lstm_jax.config.registry import find
from lstm_jax.config.schema import Field, fields, section_fields
from lstm_jax.errors import ConfigError, did_you_mean

_WORDS = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}


class _Target(NamedTuple):
    """A field, the section it stands in, and the function that section configures."""

    section: Any
    factory: Callable[..., Any]
    field: Field


def apply_overrides(
    factory: Callable[..., Any], config: ml_collections.ConfigDict, overrides: Sequence[str]
) -> ml_collections.ConfigDict:
    """A copy of the config with `path=value` texts applied.

    Names of parts are set first, whatever their place, so that the fields of a part that is
    chosen in the same command exist: `optimizer.momentum=0.9 optimizer=sgd`.

    Raises:
      ConfigError: with every path that does not exist and every value of another type.
    """
    config = config.copy_and_resolve_references().unlock()
    problems: list[str] = []
    pairs = [text.partition("=")[::2] for text in overrides]
    for chooses in (True, False):
        for path, text in pairs:
            try:
                target = _locate(factory, config, path, chooses)
                if target is not None and (target.field.part is not None) == chooses:
                    _set(target, path, text)
            except ConfigError as error:
                problems += error.problems
    if problems:
        raise ConfigError(list(dict.fromkeys(problems)))
    return config.lock()


def _locate(factory: Callable[..., Any], config: Any, path: str, choosing: bool) -> _Target | None:
    """The field of a path; None when it is not there yet and a part may still bring it."""
    *parents, last = path.split(".")
    section, here = config, factory
    try:
        for name in parents:
            section, here = _enter(section, here, name, path)
        if last == "name" and here is not factory and "name" in section:
            return _locate(factory, config, ".".join(parents), choosing)
        known = section_fields(here, section)
        if last not in known:
            where = f" in {'.'.join(parents)}" if parents else ""
            raise ConfigError(f"{path}: there is no such field{where}; {did_you_mean(last, known)}")
    except ConfigError:
        if choosing:
            return None
        raise
    return _Target(section, here, known[last])


def _enter(section: Any, factory: Any, name: str, path: str) -> tuple[Any, Any]:
    match = re.fullmatch(r"(\w+)\[(\d+)\]", name)
    name, index = match.groups() if match else (name, None)
    known = section_fields(factory, section)
    if name not in known:
        raise ConfigError(f"{path}: there is no section {name!r}; {did_you_mean(name, known)}")
    field, value = known[name], section[name]
    if field.section is not None:
        return value, field.section
    if field.part is not None and field.part.several and index is not None:
        if int(index) >= len(value):
            raise ConfigError(f"{path}: {name} has {len(value)} parts, counted from 0")
        return value[int(index)], find(field.part.kind, value[int(index)]["name"])
    if field.part is not None and not field.part.inline and not field.part.several:
        return value, find(field.part.kind, value["name"])
    raise ConfigError(f"{path}: {name!r} is a value and has no fields")


def _set(target: _Target, path: str, text: str) -> None:
    section, _, field = target
    if field.section is not None:
        raise ConfigError(f"{path}: is a section; set one of {', '.join(fields(field.section))}")
    if field.part is not None:
        _choose(target, path, text)
        return
    with section.ignore_type():
        section[field.name] = parse(field, path, text)


def _choose(target: _Target, path: str, text: str) -> None:
    """Puts the named part in place, with its own defaults; the same name changes nothing."""
    section, factory, field = target
    assert field.part is not None
    if not field.part.inline:
        value = text
        if field.part.several:
            value = tuple(item for item in text.strip("()").split(",") if item.strip())
        elif section[field.name].get("name") == text:
            return
        chosen = _completed(factory, field, value, path)
        with section.ignore_type():
            section[field.name] = chosen
        return
    if section[field.name] == text:
        return
    old = section_fields(find(field.part.kind, section[field.name]), section)
    new = complete(find(field.part.kind, text), {})
    with section.ignore_type():
        for name in old:
            del section[name]
        section[field.name] = text
        section.update(new)


def _completed(factory: Any, field: Field, value: Any, path: str) -> Any:
    try:
        return complete(factory, {field.name: value})[field.name]
    except ConfigError as error:
        raise ConfigError(
            [f"{path}: {p.partition(': ')[2] or p}" for p in error.problems]
        ) from None


def parse(field: Field, path: str, text: str) -> Any:
    """The text as a value of the field's type.

    Raises:
      ConfigError: the text is no such value.
    """
    if field.optional and text.lower() in ("none", ""):
        return None
    try:
        if field.type is bool:
            return _WORDS[text.lower()]
        if field.type is tuple and field.item is not None:
            return tuple(map(field.item.type, text.strip("()[] ").rstrip(",").split(",")))
        if field.type is tuple:
            return _items(text)
        return field.type(text)
    except (KeyError, ValueError, SyntaxError, TypeError):
        raise ConfigError(f"{path}: must be {field.describes}, got {text!r}") from None


def _items(text: str) -> tuple[str, ...]:
    """The items of a Python tuple, or what stands between commas; those in brackets part nothing.

    So regular expressions can be given as they are: `(embedding|bias),layer_[0,1]/.*`.
    """
    try:
        value = ast.literal_eval(text)
        if isinstance(value, tuple | list) and all(isinstance(item, str) for item in value):
            return tuple(item for item in value if item)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        pass
    items, depth = [""], 0
    for letter in text:
        depth += (letter in "([{") - (letter in ")]}")
        if letter == "," and depth <= 0:
            items.append("")
        else:
            items[-1] += letter
    return tuple(item for item in items if item)
