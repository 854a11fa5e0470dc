"""Fields of a config section, read from the signature of the function or class it configures.

Keyword-only parameters are fields; positional ones are given by the program. A parameter whose
annotation is a dataclass is a section, one whose default is `part_of(...)` names a part.
"""

import dataclasses
import functools
import inspect
import re
import types
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal, NamedTuple, Union, get_args, get_origin, get_type_hints

from lstm_jax.config.registry import find
from lstm_jax.config.types import PartOf, Pattern, Range
from lstm_jax.errors import ConfigError

REQUIRED = inspect.Parameter.empty


class Field(NamedTuple):
    """One field: what it may hold, what it holds by default, and what it is for."""

    name: str
    type: Callable[..., Any]
    default: Any
    comment: str
    optional: bool = False
    checks: tuple[Range | Pattern, ...] = ()
    choices: tuple[Any, ...] = ()
    part: PartOf | None = None
    section: Callable[..., Any] | None = None
    item: "Field | None" = None  # of a tuple of numbers: what each may be

    @property
    def describes(self) -> str:
        """The type in words, as error messages and `lstm-jax config` print it."""
        if self.part is not None:
            return f"{self.part.kind}s, a tuple" if self.part.several else self.part.kind
        text = " | ".join(map(repr, self.choices)) or getattr(self.type, "__name__", "")
        if self.type is tuple:
            what = "texts" if self.item is None else f"numbers ({self.item.describes})"
            text = f"{what} separated by commas"
        text = "" if any(isinstance(check, Pattern) for check in self.checks) else text
        text = " ".join([text, *map(str, self.checks)]).strip()
        return f"{text}, optional" if self.optional else text


@functools.cache
def fields(factory: Callable[..., Any]) -> Mapping[str, Field]:
    """The fields of a function or dataclass, by name, in the order of its signature."""
    hints = get_type_hints(factory, include_extras=True)
    comments = argument_comments(inspect.getdoc(factory) or "")
    return {
        name: _field(name, hints[name], parameter.default, comments.get(name, ""))
        for name, parameter in inspect.signature(factory).parameters.items()
        if parameter.kind is parameter.KEYWORD_ONLY
    }


def section_fields(factory: Callable[..., Any], values: Mapping[str, Any]) -> dict[str, Field]:
    """The fields of a section as it stands, with those of its inline parts as chosen now."""
    result = {}
    for field in fields(factory).values():
        result[field.name] = field
        if field.part is not None and field.part.inline:
            inner = section_fields(find(field.part.kind, values[field.name]), values)
            _require_distinct(field, values[field.name], inner, fields(factory))
            result |= inner
    return result


def _require_distinct(
    field: Field, name: str, inner: Mapping[str, Field], own: Mapping[str, Field]
) -> None:
    """One value in a config cannot be two fields'."""
    shared = sorted(inner.keys() & own.keys())
    if shared:
        raise ConfigError(
            f"{field.name}: the {field.part.kind if field.part else ''} {name!r} has a field "
            f"{shared[0]!r}, and so has the section it stands in; rename that of the part"
        )


def needs_program(factory: Callable[..., Any]) -> bool:
    """Whether the program gives arguments (a cell's size, say) beyond those of the config."""
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return any(p.kind in positional for p in inspect.signature(factory).parameters.values())


def _field(name: str, hint: Any, default: Any, comment: str) -> Field:
    if isinstance(default, PartOf):
        return Field(
            name, tuple if default.several else str, default.default, comment, part=default
        )
    checks: tuple[Any, ...] = ()
    optional = False
    if get_origin(hint) in (Union, types.UnionType):
        inner = [a for a in get_args(hint) if a is not type(None)]
        optional = len(inner) < len(get_args(hint))
        hint = inner[0]
    if get_origin(hint) is Annotated:
        hint, *found = get_args(hint)
        checks = tuple(c for c in found if isinstance(c, Range | Pattern))
    if get_origin(hint) is Literal:
        choices = get_args(hint)
        return Field(name, type(choices[0]), default, comment, optional, checks, choices)
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        return Field(name, dict, default, comment, section=hint)
    base: Any = get_origin(hint) or hint
    found = Field(name, base, default, comment, optional, checks)
    if base is tuple and get_args(hint):
        item = _field(name, get_args(hint)[0], REQUIRED, "")
        found = found._replace(item=item if item.type in (int, float) else None)
    return found


def argument_comments(doc: str) -> dict[str, str]:
    """The descriptions under `Args:` or `Attributes:` of a docstring, each on one line."""
    match = re.search(r"^(?:Args|Attributes):\n((?:[ ]+.*\n?|\n)*)", doc, re.MULTILINE)
    comments: dict[str, str] = {}
    name, indent = None, None
    for line in match.group(1).splitlines() if match else ():
        depth = len(line) - len(line.lstrip())
        indent = depth if indent is None else indent
        entry = re.match(r"\s*(\w+): (.*)", line) if depth == indent else None
        if entry:
            name = entry.group(1)
            comments[name] = entry.group(2).strip()
        elif name and line.strip():
            comments[name] += " " + line.strip()
    return comments
