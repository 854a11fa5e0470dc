"""Time series in memory: values with gaps, covariates known ahead, and what is constant."""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np

from lstm_jax.data.calendar import Frequency, parse_frequency
from lstm_jax.errors import UserError


class Series(NamedTuple):
    """One series; its steps are those of the frequency from `start` on.

    Attributes:
      name: of the series, unique in its table.
      start: time of the first step.
      values: float32 [time]; NaN where a value is missing.
      known: covariates that are known ahead, float32 [time or more, covariates]; those behind the
        last value are of steps to forecast.
      statics: what holds for the whole series, float32 [statics].
    """

    name: str
    start: np.datetime64
    values: np.ndarray
    known: np.ndarray
    statics: np.ndarray


class SeriesLayout(NamedTuple):
    """What tables must have in common for one model to read them.

    Attributes:
      frequency: of all series.
      known_names: of the covariates that are known ahead.
      static_names: of what holds for a whole series.
    """

    frequency: Frequency
    known_names: tuple[str, ...]
    static_names: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """As it is kept with a run."""
        return {
            "frequency": str(self.frequency),
            "time_zone": self.frequency.time_zone,
            "known_names": list(self.known_names),
            "static_names": list(self.static_names),
        }

    @classmethod
    def from_json(cls, kept: Mapping[str, Any]) -> "SeriesLayout":
        """What `to_json` made."""
        frequency = parse_frequency(kept["frequency"], kept["time_zone"])
        return cls(frequency, tuple(kept["known_names"]), tuple(kept["static_names"]))


class SeriesTable(NamedTuple):
    """Series of one frequency, with the same covariates.

    Attributes:
      series: one or more, of any length and start.
      frequency: of all of them.
      known_names: of the covariates that are known ahead.
      static_names: of what holds for a whole series; "column=value" where texts became numbers.
      notes: what one should know of how they were read, a sentence each.
    """

    series: Sequence[Series]
    frequency: Frequency
    known_names: tuple[str, ...] = ()
    static_names: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def layout(self) -> SeriesLayout:
        """What other tables need for the same model."""
        return SeriesLayout(self.frequency, self.known_names, self.static_names)

    def times(self, series: Series, first: int, count: int) -> np.ndarray:
        """The times of `count` steps of a series from step `first` on, datetime64[s]."""
        return self.frequency.stamps(series.start, count, first)

    def fingerprint(self) -> str:
        """A digest of everything that a model sees."""
        digest = hashlib.sha256(repr(self.layout).encode())
        for series in self.series:
            digest.update(f"{series.name} {series.start} {len(series.values)}".encode())
            for array in (series.values, series.known, series.statics):
                digest.update(np.ascontiguousarray(array, np.float32).tobytes())
        return digest.hexdigest()


class SeriesSource(Protocol):
    """Where series come from."""

    def __call__(self, file: str | None = None, like: SeriesLayout | None = None, /) -> SeriesTable:
        """Reads the series.

        Args:
          file: another file with the same columns, for a forecast: its last rows may hold
            covariates alone.
          like: the layout of the table that a model was trained on; the one found has the same.

        Raises:
          UserError: they cannot be used.
        """
        ...


def series_of_arrays(
    values: Sequence[np.ndarray],
    frequency: Frequency,
    *,
    starts: Sequence[np.datetime64] | np.datetime64,
    names: Sequence[str] | None = None,
    known: Sequence[np.ndarray] | None = None,
    known_names: Sequence[str] = (),
    statics: Sequence[np.ndarray] | None = None,
    static_names: Sequence[str] = (),
) -> SeriesTable:
    """A table of series that are arrays already.

    >>> from lstm_jax.data.calendar import parse_frequency
    >>> hourly = parse_frequency("h")
    >>> table = series_of_arrays([np.arange(9)], hourly, starts=np.datetime64("2024-01-01T00"))
    >>> table.series[0].name, table.times(table.series[0], 8, 1).tolist()
    ('series_0', [datetime.datetime(2024, 1, 1, 8, 0)])

    Args:
      values: a vector for each series; NaN where a value is missing.
      frequency: of all of them.
      starts: time of the first step, of each or of all.
      names: of the series; series_0, series_1, ... if None.
      known: covariates known ahead, [time or more, covariates] for each series.
      known_names: a name for each of them.
      statics: what holds for the whole series, [statics] for each series.
      static_names: a name for each of them.

    Raises:
      UserError: arrays do not fit together, or hold what is no number.
    """
    count = len(values)
    starts = [starts] * count if isinstance(starts, np.datetime64) else list(starts)
    names = [f"series_{i}" for i in range(count)] if names is None else list(names)
    known = [np.zeros((len(v), 0)) for v in values] if known is None else known
    statics = [np.zeros(0)] * count if statics is None else statics
    for what, given in (("starts", starts), ("names", names), ("known", known)):
        if len(given) != count:
            raise UserError(f"{what}: {len(given)} given for {count} series")
    if len(statics) != count:
        raise UserError(f"statics: {len(statics)} given for {count} series")
    table = SeriesTable(
        [
            Series(
                str(name),
                start.astype("datetime64[s]"),
                np.asarray(v, np.float32),
                np.asarray(k, np.float32),
                np.asarray(s, np.float32),
            )
            for name, start, v, k, s in zip(names, starts, values, known, statics, strict=True)
        ],
        frequency,
        tuple(known_names),
        tuple(static_names),
    )
    require_sound(table)
    return table._replace(notes=missing_notes(table.series))


def missing_notes(series: Sequence[Series]) -> tuple[str, ...]:
    """A sentence that says how much is missing; none if nothing is."""
    total = sum(len(each.values) for each in series)
    missing = sum(int(np.isnan(each.values).sum()) for each in series)
    if not missing:
        return ()
    return (f"{missing:,} of {total:,} values are missing ({missing / total:.1%})",)


def require_sound(table: SeriesTable) -> None:
    """Raises UserError unless shapes fit and every number can be used.

    Values may be NaN, which means missing; nothing may be infinite, and covariates must be known.
    """
    if not table.series:
        raise UserError("data: there is no series")
    names = [series.name for series in table.series]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise UserError(f"data: two series are called {twice!r}")
    for series in table.series:
        _require_shapes(series, table)
        if np.isinf(series.values).any():
            step = int(np.isinf(series.values).argmax())
            raise UserError(
                f"data: series {series.name!r} is infinite at {_when(table, series, step)}"
            )
        for name, array in (
            (table.known_names, series.known),
            (table.static_names, series.statics),
        ):
            if not np.isfinite(array).all():
                place = np.argwhere(~np.isfinite(array))[0]
                when = f" at {_when(table, series, int(place[0]))}" if len(place) > 1 else ""
                raise UserError(
                    f"data: series {series.name!r}: {name[place[-1]]!r} is no number{when}; what "
                    "is known ahead must be known at every step"
                )
        if np.isnan(series.values).all():
            raise UserError(f"data: series {series.name!r} has no value at all")


def _require_shapes(series: Series, table: SeriesTable) -> None:
    what = f"data: series {series.name!r}"
    if series.values.ndim != 1 or not len(series.values):
        raise UserError(f"{what}: values must be a vector, got shape {series.values.shape}")
    known = (len(series.values), len(table.known_names))
    if series.known.ndim != 2 or series.known.shape[1] != known[1] or len(series.known) < known[0]:
        raise UserError(
            f"{what}: covariates known ahead must be of shape ({known[0]} or more, {known[1]}), a "
            f"column for each name, got {series.known.shape}"
        )
    if series.statics.shape != (len(table.static_names),):
        raise UserError(
            f"{what}: needs one number for each of {len(table.static_names)} static covariates, "
            f"got shape {series.statics.shape}"
        )


def _when(table: SeriesTable, series: Series, step: int) -> str:
    return f"step {step} ({table.times(series, step, 1)[0]})"
