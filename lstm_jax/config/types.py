"""Types of config fields that say more than their Python type: ranges, patterns, parts."""

import dataclasses
import math
import re
from typing import Annotated, Any


@dataclasses.dataclass(frozen=True)
class Range:
    """Numbers from `low` to `high`; an open end is excluded."""

    low: float | None = None
    high: float | None = None
    open_low: bool = False
    open_high: bool = False

    def __str__(self) -> str:
        if self.high is None:
            return f"{'>' if self.open_low else '>='} {self.low}"
        left, right = "(" if self.open_low else "[", ")" if self.open_high else "]"
        return f"in {left}{self.low}, {self.high}{right}"

    def holds(self, value: float) -> bool:
        """Whether the value lies inside; NaN and infinities lie nowhere."""
        if not math.isfinite(value):
            return False
        above = self.low is None or (value > self.low if self.open_low else value >= self.low)
        below = self.high is None or (value < self.high if self.open_high else value <= self.high)
        return above and below


@dataclasses.dataclass(frozen=True)
class Pattern:
    """Text that matches a regular expression whole; `text` says what that is in words."""

    regex: str
    text: str

    def __str__(self) -> str:
        return self.text

    def holds(self, value: str) -> bool:
        """Whether the whole text matches."""
        return re.fullmatch(self.regex, value) is not None


@dataclasses.dataclass(frozen=True)
class PartOf:
    """The default of a field that names a registered function (see `part_of`)."""

    kind: str
    default: Any
    inline: bool = False
    several: bool = False


def part_of(kind: str, default: str, *, inline: bool = False) -> Any:
    """Default value of a field that holds a part: a registered function chosen by name.

    The part's own fields stand in a section of their own (`model.cell.peepholes`) or, with
    `inline`, beside the name (`data.source`, `data.path`).
    """
    return PartOf(kind, default, inline=inline)


def parts_of(kind: str, default: tuple[str, ...] = ()) -> Any:
    """Default value of a field that holds a sequence of parts, in the order they are applied."""
    return PartOf(kind, default, several=True)


PositiveInt = Annotated[int, Range(1)]
LayerCount = Annotated[int, Range(1, 1000)]  # each is traced and compiled
Seed = Annotated[int, Range(0, 2**32 - 1)]
NonNegativeInt = Annotated[int, Range(0)]
PositiveFloat = Annotated[float, Range(0, open_low=True)]
NonNegativeFloat = Annotated[float, Range(0)]
Fraction = Annotated[float, Range(0, 1)]
PositiveFraction = Annotated[float, Range(0, 1, open_low=True)]
Rate = Annotated[float, Range(0, 1, open_high=True)]
_AMOUNT = (
    r"(?=.*[1-9].* )"
    r"(\d+ (steps?|examples?)|\d+(\.\d+)? (epochs?|seconds?|minutes?|hours?|days?))"
)
Duration = Annotated[
    str,
    Pattern(
        _AMOUNT,
        'a duration such as "2000 steps", "8 epochs", "500000 examples" or "90 minutes"',
    ),
]
Interval = Annotated[
    str,
    Pattern(
        _AMOUNT + r"|(?=.*[1-9])\d+(\.\d+)?( percent|%)",
        'an interval such as "500 steps", "0.5 epochs", "10 minutes" or "5 percent" of the run',
    ),
]
