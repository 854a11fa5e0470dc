"""Windows of time series: history, horizon, and what is known of both, as batches."""

import functools
import hashlib
import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.lib.stride_tricks import as_strided

from lstm_jax.data.backtest import Backtest
from lstm_jax.data.series import Series, SeriesTable
from lstm_jax.errors import UserError

Batch = dict[str, np.ndarray]


class WindowShape(NamedTuple):
    """What a window holds.

    Attributes:
      history: steps before the forecast begins, which the network reads.
      horizon: steps of a forecast.
      lags: how far back the network looks at every step.
    """

    history: int
    horizon: int
    lags: tuple[int, ...] = ()

    @property
    def largest_lag(self) -> int:
        """Steps before the history that a window holds for its lags."""
        return max(self.lags, default=0)


class Scaling(NamedTuple):
    """Mean and deviation of the covariates, of what is trained on; the network sees both as 0, 1.

    Attributes:
      known_mean: of the covariates known ahead, float32 [covariates].
      known_deviation: the same, 1 where a covariate does not change.
      static_mean: of the static covariates, float32 [statics].
      static_deviation: the same, 1 where a covariate does not change.
    """

    known_mean: np.ndarray
    known_deviation: np.ndarray
    static_mean: np.ndarray
    static_deviation: np.ndarray

    def to_json(self) -> dict[str, list[float]]:
        """As lists, to be kept with a run."""
        return {name: array.tolist() for name, array in self._asdict().items()}

    @classmethod
    def from_json(cls, lists: Mapping[str, Any]) -> "Scaling":
        """What `to_json` made."""
        return cls(*(np.array(lists[name], np.float32) for name in cls._fields))


def fit_scaling(table: SeriesTable, backtest: Backtest) -> Scaling:
    """The scaling of a table's covariates, by the steps that are trained on alone."""
    known = [series.known[: backtest.train_end(len(series.values))] for series in table.series]
    statics = np.stack([series.statics for series in table.series])
    return Scaling(*_moments(np.concatenate(known)), *_moments(statics))


def _moments(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    rows = rows.astype(np.float64)
    deviation = rows.std(axis=0)
    # Rounding gives a constant a deviation that would blow it up.
    deviation[deviation < 1e-6 * np.abs(rows).max(axis=0, initial=1e-30)] = 1
    return rows.mean(axis=0).astype(np.float32), deviation.astype(np.float32)


class WindowStore:
    """All series behind one another, so that a batch of windows is a few look-ups.

    A batch of B windows, with L the largest lag, is a dict:
      values: float32 [B, L + history + horizon] as they are, 0 where one is missing.
      observed: bool of the same shape, where one is not.
      known: float32 [B, history + horizon, features], covariates known ahead, by `scaling`, and
        behind them the calendar.
      statics: float32 [B, statics], by `scaling`.
      series: int32 [B], the number of the series.
      origin: int32 [B], the step of the series at which the horizon begins.
      valid: bool [B], false for what fills up a batch.

    Attributes:
      table: the series.
      shape: what a window holds.
      scaling: of the covariates.
    """

    def __init__(self, table: SeriesTable, shape: WindowShape, scaling: Scaling):
        self.table, self.shape, self.scaling = table, shape, scaling
        before, after = shape.largest_lag + shape.history, shape.horizon
        lengths = self.lengths + before + after
        # Every series with room before and behind, so that no window reaches into its neighbour.
        self._begin = np.concatenate([[0], np.cumsum(lengths)[:-1]]) + before
        values = np.full(int(lengths.sum()), np.nan, np.float32)
        known = np.tile(scaling.known_mean, (len(values), 1))
        for begin, series in zip(self._begin.tolist(), table.series, strict=True):
            end = begin + len(series.values)
            values[begin:end] = series.values
            ahead = series.known[: len(series.values) + after]
            known[begin : begin + len(ahead)] = ahead
        self._observed = np.isfinite(values)
        self._values = np.where(self._observed, values, 0)
        self._known = (known - scaling.known_mean) / scaling.known_deviation
        statics = np.stack([series.statics for series in table.series])
        self._statics = (statics - scaling.static_mean) / scaling.static_deviation
        self._calendar, self._calendar_begin = self._make_calendar()

    @functools.cached_property
    def lengths(self) -> np.ndarray:
        """Steps of every series, int64."""
        return np.array([len(series.values) for series in self.table.series], np.int64)

    @property
    def names(self) -> tuple[str, ...]:
        """The columns of `known`."""
        return (*self.table.known_names, *self.table.frequency.names)

    def batch(self, series: np.ndarray, origins: np.ndarray, size: int) -> Batch:
        """Windows by series and origin, filled up to a size."""
        count = len(series)
        series, origins = (np.resize(numbers, size) for numbers in (series, origins))
        history, horizon = self.shape.history, self.shape.horizon
        valid = np.arange(size) < count
        first = self._begin[series] + origins - history
        before, width = first - self.shape.largest_lag, self.shape.largest_lag + history + horizon
        values = _cut(self._values, before, width)
        observed = _cut(self._observed, before, width) & valid[:, None]
        covariates = _cut(self._known, first, history + horizon)
        days = self._calendar_begin[series] + origins - history
        calendar = _cut(self._calendar, days, history + horizon)
        return {
            "values": values,
            "observed": observed,
            "known": np.concatenate([covariates, calendar], axis=-1),
            "statics": self._statics[series],
            "series": series.astype(np.int32),
            "origin": origins.astype(np.int32),
            "valid": valid,
        }

    def fingerprint(self) -> str:
        """A digest of the series and of what a window holds."""
        scaling = repr(self.scaling.to_json())
        text = f"{self.table.fingerprint()} {self.shape} {scaling}"
        return hashlib.sha256(text.encode()).hexdigest()

    def _make_calendar(self) -> tuple[np.ndarray, np.ndarray]:
        """The calendar of all series, and where each begins in it: those of one grid share it."""
        frequency, table = self.table.frequency, self.table.series
        before, after = self.shape.history, self.shape.horizon
        first = min(series.start for series in table)
        at = frequency.positions(first, np.array([series.start for series in table]))
        if (at >= 0).all():
            grid = frequency.stamps(first, before + int((at + self.lengths).max()) + after, -before)
            return frequency.features_of(grid), at + before
        # Series that do not stand on one grid, as weeks that begin on other days.
        lengths = self.lengths + before + after
        grids = [
            frequency.stamps(series.start, int(length), -before)
            for series, length in zip(table, lengths, strict=True)
        ]
        begin = np.concatenate([[0], np.cumsum(lengths)[:-1]]) + before
        return frequency.features_of(np.concatenate(grids)), begin


def _cut(array: np.ndarray, first: np.ndarray, count: int) -> np.ndarray:
    """`count` steps of an array [time, ...] from each of some first ones, [first, count, ...].

    As rows of a view, which are copied whole: several times as fast as step by step.
    """
    size = math.prod(array.shape[1:])
    rows = len(array) - count + 1
    strides = (size * array.itemsize, array.itemsize)
    view = as_strided(array, (rows, count * size), strides, writeable=False)
    return view[first].reshape(len(first), count, *array.shape[1:])


class TrainingWindows:
    """Windows of all series at origins drawn anew for every epoch.

    An epoch forecasts every step that is trained on about once: as many windows as possible
    origins, of all series together, fill without overlap, rounded up to whole batches, and one
    drawn at random from each of as many equal parts. A batch is a function of seed, epoch and
    index alone.
    """

    def __init__(self, store: WindowStore, backtest: Backtest, batch_size: int, seed: int):
        """Finds the origins there can be.

        Args:
          store: the series.
          backtest: which says where training ends.
          batch_size: windows in a batch.
          seed: of the origins.

        Raises:
          UserError: a series has no room for a window before its validation.
        """
        self.store, self.batch_size = store, batch_size
        self._seed, self._drawn = seed, (-1, np.zeros(0, np.int64))
        history, horizon = store.shape.history, store.shape.horizon
        for series in store.table.series:
            require_room(series, backtest, store.shape)
        room = store.lengths - backtest.held_out - history - horizon + 1
        self._first = history
        self._ends = np.cumsum(room)
        wanted = -(-int(self._ends[-1]) // horizon)
        self._batches = -(-wanted // batch_size)

    def __len__(self) -> int:
        return self._batches

    def __getitem__(self, index: int) -> Batch:
        return self.at(0, index)

    def at(self, epoch: int, index: int) -> Batch:
        """A batch of an epoch."""
        if self._drawn[0] != epoch:
            self._drawn = (epoch, self._draw(epoch))
        places = self._drawn[1][index * self.batch_size : (index + 1) * self.batch_size]
        series = np.searchsorted(self._ends, places, side="right")
        begins = np.concatenate([[0], self._ends[:-1]])
        return self.store.batch(series, places - begins[series] + self._first, self.batch_size)

    def fingerprint(self) -> str:
        """A digest of the windows of every epoch."""
        text = f"{self.store.fingerprint()} {self._ends.tolist()} {self.batch_size} {self._seed}"
        return hashlib.sha256(text.encode()).hexdigest()

    def _draw(self, epoch: int) -> np.ndarray:
        random = np.random.default_rng((self._seed, epoch))
        total, parts = int(self._ends[-1]), self._batches * self.batch_size
        places = (np.arange(parts) + random.random(parts)) * (total / parts)
        return random.permutation(np.minimum(places.astype(np.int64), total - 1))


class RollingWindows:
    """Windows at given origins, in order; the last batch is filled up.

    Attributes:
      store: the series.
      series: number of the series of every window, int64.
      origins: the step at which its horizon begins, int64.
      batch_size: windows in a batch.
    """

    def __init__(
        self,
        store: WindowStore,
        series: Sequence[int] | np.ndarray,
        origins: Sequence[int] | np.ndarray,
        batch_size: int,
    ):
        self.store, self.batch_size = store, batch_size
        self.series, self.origins = np.asarray(series), np.asarray(origins)

    def __len__(self) -> int:
        return -(-len(self.series) // self.batch_size)

    def __getitem__(self, index: int) -> Batch:
        rows = slice(index * self.batch_size, (index + 1) * self.batch_size)
        return self.store.batch(self.series[rows], self.origins[rows], self.batch_size)

    def fingerprint(self) -> str:
        """A digest of the windows."""
        places = hashlib.sha256(np.stack([self.series, self.origins]).tobytes()).hexdigest()
        text = f"{self.store.fingerprint()} {places} {self.batch_size}"
        return hashlib.sha256(text.encode()).hexdigest()


def rolling(store: WindowStore, backtest: Backtest, split: str, batch_size: int) -> RollingWindows:
    """The forecasts of a split: all origins of the first series, then those of the next.

    Raises:
      UserError: a series has no room for them.
    """
    for series in store.table.series:
        require_room(series, backtest, store.shape)
    origins = [backtest.origins(split, int(length)) for length in store.lengths]
    series = np.repeat(np.arange(len(origins)), [len(o) for o in origins])
    return RollingWindows(store, series, np.concatenate(origins), batch_size)


def future(store: WindowStore, batch_size: int) -> RollingWindows:
    """One window for every series, whose horizon begins behind its last value.

    Raises:
      UserError: a series is shorter than the history, or its covariates end before the horizon.
    """
    history, horizon = store.shape.history, store.shape.horizon
    for series in store.table.series:
        length = len(series.values)
        if length < history:
            raise UserError(
                f"series {series.name!r} has {length:,} steps, and the forecast reads {history:,}"
            )
        if store.table.known_names and len(series.known) < length + horizon:
            raise UserError(
                f"series {series.name!r}: the covariates ({', '.join(store.table.known_names)}) "
                f"are known for {len(series.known) - length} steps behind the last value, and the "
                f"forecast is of {horizon}: add rows with them and no value"
            )
    return RollingWindows(store, np.arange(len(store.lengths)), store.lengths, batch_size)


def require_room(series: Series, backtest: Backtest, shape: WindowShape) -> None:
    """Raises UserError if a series is too short for a training window and the held-out ones."""
    needed = shape.history + shape.horizon + backtest.held_out
    if len(series.values) < needed:
        raise UserError(
            f"series {series.name!r} has {len(series.values):,} steps, and {needed:,} are needed: "
            f"a window of {shape.history:,} + {shape.horizon:,} (history and horizon), and "
            f"{backtest.held_out:,} behind it for validation and test ("
            f"{backtest.validation_origins} + {backtest.test_origins} forecasts, {backtest.stride} "
            "steps apart)"
        )
