"""What is wrong with a value of a field, in words."""

from collections.abc import Iterable, Mapping
from typing import Any

import ml_collections

from lstm_jax.config.schema import REQUIRED, Field
from lstm_jax.errors import did_you_mean

NEEDS_VALUE = "has no default and needs a value"
_LARGEST = 2**32 - 1  # of a seed; a size of an array may be half of that


def field_problems(field: Field, value: Any) -> list[str]:
    """Sentences that say why the value cannot stand in the field; none when it can."""
    if value is None:
        if field.optional:
            return []
        needed = NEEDS_VALUE if field.default is REQUIRED else "is None"
        return [f"{needed} ({field.describes})"]
    if not _is_of_type(field, value):
        return [f"must be {field.describes}, got {value!r} ({type(value).__name__})"]
    if field.item is not None:
        wrong = [item for item in value if field_problems(field.item, item)]
        return [f"must be {field.describes}, got {wrong[0]!r} among them"] if wrong else []
    if field.type is int and abs(value) > _LARGEST:
        return [f"is larger than any integer here ({_LARGEST:,}), got {value}"]
    if field.choices and value not in field.choices:
        return [f"must be one of {', '.join(map(repr, field.choices))}, got {value!r}"]
    return [f"must be {field.describes}, got {value!r}" for c in field.checks if not c.holds(value)]


def unknown_problems(path: str, known: Iterable[str], given: Iterable[str]) -> list[str]:
    """A sentence for every field that does not exist, with the nearest that do."""
    known = list(known)
    return [
        f"{path}{name}: there is no such field; {did_you_mean(name, known)}"
        for name in given
        if name not in known
    ]


def is_section(value: Any) -> bool:
    """Whether a value holds fields."""
    return isinstance(value, Mapping | ml_collections.ConfigDict)


def _is_of_type(field: Field, value: Any) -> bool:
    if field.type is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    if field.type is int:
        return isinstance(value, int) and not isinstance(value, bool)
    if field.type is tuple:
        return isinstance(value, tuple | list)
    return isinstance(field.type, type) and isinstance(value, field.type)
