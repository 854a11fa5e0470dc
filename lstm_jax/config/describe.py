"""Every field of a config with its type, value and comment, for a person to read."""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from lstm_jax.config.registry import find, names
from lstm_jax.config.schema import Field, section_fields


class Description(NamedTuple):
    """One line: where the field is, what it holds, what it may hold, what it is for."""

    path: str
    value: Any
    type: str
    comment: str


def describe(factory: Callable[..., Any], config: Any, path: str = "") -> Iterator[Description]:
    """Describes the fields of a config in the order in which they are declared."""
    for field in section_fields(factory, config).values():
        yield from _describe_field(field, config[field.name], f"{path}{field.name}")


def _describe_field(field: Field, value: Any, here: str) -> Iterator[Description]:
    if field.section is not None:
        yield from describe(field.section, value, f"{here}.")
    elif field.part is None:
        yield Description(here, value, field.describes, field.comment)
    else:
        allowed = f"{field.part.kind}: {', '.join(names(field.part.kind))}"
        if field.part.inline:
            yield Description(here, value, allowed, field.comment)
            return
        chosen = value if field.part.several else (value,)
        shown = tuple(item["name"] for item in chosen)
        yield Description(here, shown if field.part.several else shown[0], allowed, field.comment)
        for i, item in enumerate(chosen):
            place = f"{here}[{i}]." if field.part.several else f"{here}."
            yield from describe(find(field.part.kind, item["name"]), item, place)
