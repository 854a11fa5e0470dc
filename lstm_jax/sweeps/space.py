"""What a search may change: fields of a config, each with an interval or a choice.

    loguniform(1e-4, 1e-2)   uniform(0, 0.5)   integer(16, 256)   log_integer(16, 1024)
    choice("lstm", "gru")

A space is a mapping from fields to these. An option of a choice may bring a space of its own
(`option`), or set several fields at once.
"""

import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Union

from lstm_jax.errors import ConfigError, did_you_mean


class Interval(NamedTuple):
    """Numbers from `low` to `high`, both included.

    Attributes:
      low: the least.
      high: the greatest.
      log: whether orders of magnitude are equally likely.
      whole: whether they are integers.
    """

    low: float
    high: float
    log: bool = False
    whole: bool = False


class Option(NamedTuple):
    """One option of a choice.

    Attributes:
      label: its name among the others.
      values: fields it sets; of None, the field of the choice to the label.
      then: what else may change where it is chosen.
    """

    label: str
    values: Mapping[str, Any] | None = None
    then: "Space" = {}  # noqa: RUF012


class Choice(NamedTuple):
    """One of several options."""

    options: tuple[Option, ...]


Dimension = Union[Interval, Choice]  # noqa: UP007
Space = Mapping[str, Dimension]


def uniform(low: float, high: float) -> Interval:
    """Numbers of an interval, all as likely."""
    return _checked(Interval(float(low), float(high)))


def loguniform(low: float, high: float) -> Interval:
    """Numbers of an interval, whose logarithms are all as likely."""
    return _checked(Interval(float(low), float(high), log=True))


def integer(low: int, high: int) -> Interval:
    """Integers, all as likely."""
    return _checked(Interval(_whole(low), _whole(high), whole=True))


def log_integer(low: int, high: int) -> Interval:
    """Integers, the smaller the likelier, as sizes are."""
    return _checked(Interval(_whole(low), _whole(high), log=True, whole=True))


def choice(*options: Any) -> Choice:
    """One of several values, or `option`s.

    >>> choice("adamw", option("sgd", then={"optimizer.momentum": uniform(0.5, 0.99)})).options[0]
    Option(label='adamw', values=None, then={})

    Raises:
      ConfigError: there is none, or one stands twice.
    """
    made = tuple(o if isinstance(o, Option) else Option(str(o)) for o in options)
    labels = [o.label for o in made]
    if not made:
        raise ConfigError("choice(): there is nothing to choose from")
    if len(set(labels)) < len(labels):
        raise ConfigError(f"choice({', '.join(labels)}): an option stands twice")
    return Choice(made)


def option(
    label: Any, *, values: Mapping[str, Any] | None = None, then: Space | None = None
) -> Option:
    """An option with fields that it sets, or a space of its own.

    Args:
      label: its name; the field's value, where no `values` are given.
      values: fields set together, so that lists go in step.
      then: what else may change where this is chosen.
    """
    return Option(str(label), values, then or {})


def zipped(fields: Mapping[str, Sequence[Any]]) -> Choice:
    """Fields that change together: the first values of all, the second ones, ...

    >>> zipped({"model.hidden_size": [64, 128], "model.num_layers": [2, 1]}).options[1].values
    {'model.hidden_size': 128, 'model.num_layers': 1}

    Raises:
      ConfigError: the lists are of unequal length.
    """
    if len({len(values) for values in fields.values()}) != 1:
        raise ConfigError(f"zipped: the lists of {', '.join(fields)} are of unequal length")
    rows = zip(*fields.values(), strict=True)
    return choice(
        *(
            option(", ".join(map(str, row)), values=dict(zip(fields, row, strict=True)))
            for row in rows
        )
    )


_MAKERS: dict[str, Callable[..., Dimension]] = {
    "uniform": uniform,
    "loguniform": loguniform,
    "integer": integer,
    "log_integer": log_integer,
    "choice": choice,
}


def parse_dimension(text: str) -> tuple[str, Dimension]:
    """A field and its dimension from `optimizer.learning_rate=loguniform(1e-4,1e-2)`.

    Raises:
      ConfigError: the text is none.
    """
    field, _, said = text.partition("=")
    match = re.fullmatch(r"\s*(\w+)\s*\((.*)\)\s*", said)
    if not field or match is None:
        raise ConfigError(
            f"--set: must be as optimizer.learning_rate=loguniform(1e-4,1e-2), got {text!r}"
        )
    name, inside = match.groups()
    if name not in _MAKERS:
        raise ConfigError(f"--set {field}: {did_you_mean(name, _MAKERS)}")
    arguments: list[Any] = [part.strip() for part in inside.split(",") if part.strip()]
    if name != "choice":
        if len(arguments) != 2:
            raise ConfigError(f"--set {field}: {name} takes a low and a high, got {inside!r}")
        try:
            arguments = [float(argument) for argument in arguments]
        except ValueError:
            raise ConfigError(f"--set {field}: {name} takes two numbers, got {inside!r}") from None
    try:
        return field, _MAKERS[name](*arguments)
    except ConfigError as error:
        raise ConfigError(f"--set {field}: {error.problems[0]}") from None


def suggest(trial: Any, space: Space) -> list[str]:
    """The overrides of a trial of Optuna, as `field=value` texts."""
    overrides: list[str] = []
    for field, dimension in space.items():
        if isinstance(dimension, Choice):
            label = trial.suggest_categorical(field, [o.label for o in dimension.options])
            chosen = next(o for o in dimension.options if o.label == label)
            overrides += _sets(field, chosen) + suggest(trial, chosen.then)
        elif dimension.whole:
            low, high = int(dimension.low), int(dimension.high)
            overrides.append(f"{field}={trial.suggest_int(field, low, high, log=dimension.log)}")
        else:
            value = trial.suggest_float(field, dimension.low, dimension.high, log=dimension.log)
            overrides.append(f"{field}={value!r}")
    return overrides


def corners(space: Space) -> Iterator[list[str]]:
    """Overrides that reach both ends of every interval and every option, one at a time."""
    for field, dimension in space.items():
        if isinstance(dimension, Interval):
            kind = int if dimension.whole else float
            yield from ([f"{field}={kind(end)!r}"] for end in (dimension.low, dimension.high))
            continue
        for chosen in dimension.options:
            sets = _sets(field, chosen)
            yield sets
            yield from ([*sets, *more] for more in corners(chosen.then))


def first_point(space: Space) -> list[str]:
    """Overrides that set every field of a space: the low ends, and the first options.

    >>> first_point({"a": uniform(1, 2), "b": choice(option("x", then={"c": integer(3, 4)}), "y")})
    ['a=1.0', 'b=x', 'c=3']
    """
    overrides: list[str] = []
    for field, dimension in space.items():
        if isinstance(dimension, Interval):
            low = int(dimension.low) if dimension.whole else float(dimension.low)
            overrides.append(f"{field}={low!r}")
        else:
            chosen = dimension.options[0]
            overrides += _sets(field, chosen) + first_point(chosen.then)
    return overrides


def grid(space: Space) -> list[dict[str, str]]:
    """Every combination of options, as labels by field.

    >>> grid({"a": choice(1, 2), "b": choice("x", option("y", then={"c": choice(3, 4)}))})[-2:]
    [{'a': '2', 'b': 'y', 'c': '3'}, {'a': '2', 'b': 'y', 'c': '4'}]

    Raises:
      ConfigError: an interval has no end of points.
    """
    found: list[dict[str, str]] = [{}]
    for field, dimension in space.items():
        if isinstance(dimension, Interval):
            raise ConfigError(f"{field}: a grid needs a choice, an interval has no end of points")
        found = [
            {**point, field: chosen.label, **more}
            for point in found
            for chosen in dimension.options
            for more in grid(chosen.then)
        ]
    return found


def fields_of(space: Space) -> list[str]:
    """The names of all dimensions, those of options too."""
    found: list[str] = []
    for field, dimension in space.items():
        found.append(field)
        if isinstance(dimension, Choice):
            for chosen in dimension.options:
                found += fields_of(chosen.then)
    return list(dict.fromkeys(found))


def describe_space(space: Space) -> dict[str, Any]:
    """The space as JSON holds it, so that two can be compared."""
    return {
        field: (
            [[o.label, o.values, describe_space(o.then)] for o in dimension.options]
            if isinstance(dimension, Choice)
            else dimension._asdict()
        )
        for field, dimension in space.items()
    }


def _sets(field: str, chosen: Option) -> list[str]:
    values = {field: chosen.label} if chosen.values is None else chosen.values
    return [f"{name}={value}" for name, value in values.items()]


def _whole(value: float) -> int:
    if not math.isfinite(value) or value != int(value):
        raise ConfigError(f"an integer is needed, got {value!r}")
    return int(value)


def _checked(interval: Interval) -> Interval:
    low, high = interval.low, interval.high
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise ConfigError(f"low must be below high, got {low!r} and {high!r}")
    if interval.log and low <= 0:
        raise ConfigError(f"a logarithmic interval begins above 0, got {low!r}")
    return interval
