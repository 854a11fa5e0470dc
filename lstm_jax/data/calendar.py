"""Frequencies of time series: steps of time, seasons, lags and calendar features."""

import dataclasses
import datetime
import re
import zoneinfo
from typing import Literal, NamedTuple

import numpy as np

from lstm_jax.errors import ConfigError

Unit = Literal["s", "min", "h", "D", "B", "W", "MS", "ME", "QS", "QE", "YS", "YE"]
SECONDS = {"s": 1, "min": 60, "h": 3600, "D": 86400, "W": 604800}
_MONTHS = {"MS": 1, "ME": 1, "QS": 3, "QE": 3, "YS": 12, "YE": 12}
_OLDER = {"S": "s", "sec": "s", "T": "min", "H": "h", "d": "D", "M": "ME", "Q": "QE", "Y": "YE"}
_OLDER |= {"A": "YE", "AS": "YS"}
_DAY, _WEEK = 86400, 604800


class _Cycle(NamedTuple):
    """What comes back after some steps, how often lags follow it, and from when."""

    length: int
    times: int


@dataclasses.dataclass(frozen=True)
class Frequency:
    """The steps of a regular series.

    >>> half_hours = parse_frequency("30min")
    >>> half_hours.season, half_hours.lags(50)
    (48, (1, 2, 3, 4, 5, 6, 7, 47, 48, 49))
    >>> half_hours.names[:3]
    ('time_of_day', 'time_of_day_sin', 'time_of_day_cos')
    >>> parse_frequency("MS").stamps(np.datetime64("1960-11-01"), 3).astype("datetime64[M]")
    array(['1960-11', '1960-12', '1961-01'], dtype='datetime64[M]')

    Attributes:
      unit: s, min, h, D, B (Monday to Friday), W, and months, quarters and years with stamps on
        the day of the first one (MS, QS, YS) or on the last day (ME, QE, YE), as pandas names them.
      count: units in a step.
      time_zone: an IANA name such as "Europe/Berlin" when stamps are UTC and days begin and end
        there; None to take stamps as they are written.
    """

    unit: Unit
    count: int = 1
    time_zone: str | None = None

    def __post_init__(self) -> None:
        if self.time_zone is None:
            return
        try:
            zoneinfo.ZoneInfo(self.time_zone)
        except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
            raise ConfigError(
                f'time_zone: no time zone is called {self.time_zone!r}; names are such as "UTC" or '
                '"Europe/Berlin" (on Windows they need: pip install tzdata)'
            ) from None

    def __str__(self) -> str:
        return f"{self.count if self.count > 1 else ''}{self.unit}"

    @property
    def season(self) -> int:
        """Steps in a season: of a day within days, of a week of days, of a year beyond.

        48 for 30min, 24 for h, 7 for D, 5 for B, 52 for W, 12 for MS, 4 for QS, and 1 where a
        season is no whole number of steps.
        """
        cycles = self._cycles()
        return cycles[0].length if cycles else 1

    def lags(self, limit: int) -> tuple[int, ...]:
        """Steps back at which values tell of the next one: the last seven, and around seasons.

        A day, week and year before, and multiples of them, each with its two neighbours: the
        scheme of D. Salinas et al., "DeepAR", arXiv 1704.04110, section 3.

        Args:
          limit: the largest lag that is taken.
        """
        found = set(range(1, 8))
        for cycle in self._cycles():
            for times in range(1, cycle.times + 1):
                found |= {times * cycle.length + near for near in (-1, 0, 1)}
        return tuple(sorted(lag for lag in found if 0 < lag <= limit))

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the columns of `features`."""
        turns = ("", "_sin", "_cos")
        return tuple(f"{name}{turn}" for name in self._calendar_cycles() for turn in turns)

    def features(self, start: np.datetime64, count: int) -> np.ndarray:
        """The calendar at `count` steps from `start` on, as `features_of` gives it."""
        return self.features_of(self.stamps(start, count))

    def features_of(self, stamps: np.ndarray) -> np.ndarray:
        """The calendar at some times, float32 [times, features].

        Of each cycle (time of day, day of the week, ...) the position in it, and its sine and
        cosine, all within [-0.5, 0.5].
        """
        local = self._local(stamps)
        columns = []
        for name in self._calendar_cycles():
            # The position of the last step of a cycle is 0.5, and one step on it begins anew.
            position, last, length = _POSITIONS[name](local)
            angle = 2 * np.pi * position / length
            columns += [position / last - 0.5, np.sin(angle) / 2, np.cos(angle) / 2]
        if not columns:
            return np.zeros((len(stamps), 0), np.float32)
        return np.stack(columns, axis=-1).astype(np.float32)

    def stamps(self, start: np.datetime64, count: int, first: int = 0) -> np.ndarray:
        """The times of steps `first` to `first + count` from `start` on, datetime64[s]."""
        begin = start.astype("datetime64[s]")
        steps = np.arange(first, first + count) * self.count
        if self.unit in SECONDS:
            return begin + steps * SECONDS[self.unit]
        day = begin.astype("datetime64[D]")
        within = begin - day
        if self.unit == "B":
            return np.busday_offset(day, steps, roll="forward").astype("datetime64[s]") + within
        months = day.astype("datetime64[M]") + steps * _MONTHS[self.unit]
        last = (months + 1).astype("datetime64[D]") - 1
        if self.unit.endswith("E"):
            return last.astype("datetime64[s]") + within
        day_of_month = day - day.astype("datetime64[M]").astype("datetime64[D]")
        days = np.minimum(months.astype("datetime64[D]") + day_of_month, last)
        return days.astype("datetime64[s]") + within

    def positions(self, start: np.datetime64, stamps: np.ndarray) -> np.ndarray:
        """The number of each time as a step from `start` on, int64; -1 for what is no step."""
        begin = start.astype("datetime64[s]")
        stamps = stamps.astype("datetime64[s]")
        if self.unit in SECONDS:
            steps = (stamps - begin).astype(np.int64) // (SECONDS[self.unit] * self.count)
        elif self.unit == "B":
            between = np.busday_count(begin.astype("datetime64[D]"), stamps.astype("datetime64[D]"))
            steps = between // self.count
        else:
            between = stamps.astype("datetime64[M]") - begin.astype("datetime64[M]")
            steps = between.astype(np.int64) // (_MONTHS[self.unit] * self.count)
        if not len(steps):
            return steps
        low = min(0, int(steps.min()))
        grid = self.stamps(begin, int(steps.max()) - low + 1, low)
        return np.where((steps >= 0) & (grid[steps - low] == stamps), steps, -1)

    def _cycles(self) -> list[_Cycle]:
        if self.unit in SECONDS:
            step = SECONDS[self.unit] * self.count
            lengths = ((_DAY, 7), (_WEEK, 4), (52 * _WEEK, 2))
        else:
            step = _MONTHS.get(self.unit, 1) * self.count
            lengths = ((5, 4), (260, 2)) if self.unit == "B" else ((12, 3),)
        return [
            _Cycle(length // step, times)
            for length, times in lengths
            if length % step == 0 and length > step
        ]

    def _calendar_cycles(self) -> list[str]:
        if self.unit in _MONTHS:
            return [] if _MONTHS[self.unit] * self.count % 12 == 0 else ["month_of_year"]
        step = _DAY if self.unit == "B" else SECONDS[self.unit] * self.count
        limits = {
            "time_of_hour": 900,
            "time_of_day": _DAY,
            "day_of_week": _WEEK,
            "day_of_month": 2 * _WEEK,
            "day_of_year": 53 * _WEEK,
        }
        return [name for name, limit in limits.items() if step < limit]

    def _local(self, stamps: np.ndarray) -> np.ndarray:
        """The times by the clock of the time zone."""
        if self.time_zone is None or self.unit not in ("s", "min", "h"):
            return stamps
        # Clocks are put forward and back at whole quarters of an hour.
        quarters, where = np.unique(stamps.astype(np.int64) // 900, return_inverse=True)
        zone = zoneinfo.ZoneInfo(self.time_zone)
        epoch = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
        moments = [epoch + datetime.timedelta(seconds=900 * int(quarter)) for quarter in quarters]
        offsets = [moment.astimezone(zone).utcoffset() for moment in moments]
        seconds = np.array([int(offset.total_seconds()) if offset else 0 for offset in offsets])
        return stamps + seconds[where]


_Position = tuple[np.ndarray, float, float]  # position in the cycle, its last one, its length


def _time_of_hour(local: np.ndarray) -> _Position:
    return local.astype(np.int64) % 3600 / 3600, 1, 1


def _time_of_day(local: np.ndarray) -> _Position:
    return local.astype(np.int64) % _DAY / _DAY, 1, 1


def _day_of_week(local: np.ndarray) -> _Position:
    return (local.astype("datetime64[D]").astype(np.int64) + 3) % 7, 6, 7  # Monday is 0


def _day_of_month(local: np.ndarray) -> _Position:
    return _days_since(local, "datetime64[M]"), 30, 31


def _day_of_year(local: np.ndarray) -> _Position:
    return _days_since(local, "datetime64[Y]"), 365, 365.25


def _month_of_year(local: np.ndarray) -> _Position:
    return local.astype("datetime64[M]").astype(np.int64) % 12, 11, 12


def _days_since(local: np.ndarray, what: str) -> np.ndarray:
    days = local.astype("datetime64[D]")
    return (days - days.astype(what).astype("datetime64[D]")).astype(np.int64)


_POSITIONS = {
    "time_of_hour": _time_of_hour,
    "time_of_day": _time_of_day,
    "day_of_week": _day_of_week,
    "day_of_month": _day_of_month,
    "day_of_year": _day_of_year,
    "month_of_year": _month_of_year,
}


def parse_frequency(text: str, time_zone: str | None = None) -> Frequency:
    """A frequency by its name in pandas: "30min", "h", "D", "B", "W", "MS", "QE", "YS".

    The day behind a dash ("W-SUN", "QS-OCT") is that of the first time stamp, whatever it says.

    >>> str(parse_frequency("2h")), str(parse_frequency("W-SUN")), parse_frequency("15T").season
    ('2h', 'W', 96)

    Args:
      text: the name.
      time_zone: that of `Frequency`.

    Raises:
      ConfigError: it is no frequency, or there is no such time zone.
    """
    match = re.fullmatch(r"([0-9]{1,6})?([A-Za-z]+)(-[A-Za-z]{3})?", text.strip())
    unit = _OLDER.get(match[2], match[2]) if match else ""
    if match is None or unit not in (*SECONDS, "B", *_MONTHS) or int(match[1] or 1) < 1:
        raise ConfigError(
            f"frequency: {text!r} is none; it is a number and one of {', '.join(SECONDS)}, B, "
            f'{", ".join(_MONTHS)}, such as "30min" or "MS"'
        )
    return Frequency(unit, int(match[1] or 1), time_zone)  # pyright: ignore[reportArgumentType]
