"""Probabilistic forecasting of time series: one model of one or many series."""

import dataclasses
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from lstm_jax.config import register
from lstm_jax.data.backtest import Backtest
from lstm_jax.data.joint_fingerprint import joint_fingerprint
from lstm_jax.data.series import SeriesLayout, SeriesTable
from lstm_jax.data.windows import (
    RollingWindows,
    Scaling,
    TrainingWindows,
    WindowShape,
    WindowStore,
    fit_scaling,
    future,
    require_room,
    rolling,
)
from lstm_jax.errors import ConfigError, UserError, did_you_mean
from lstm_jax.models.forecaster import Forecaster
from lstm_jax.tasks.forecast_backtest import (
    BacktestFunction,
    figures,
    forecast_windows,
    make_backtest,
    make_forecast,
    seasonal_errors,
    spread,
    truth_of,
)
from lstm_jax.tasks.forecast_baselines import baselines
from lstm_jax.tasks.forecast_figures import draw_coverage, draw_forecasts
from lstm_jax.tasks.forecast_kept import KeptSeries, load_kept, load_spread, save_spread
from lstm_jax.tasks.forecast_learner import forecast_learner
from lstm_jax.tasks.forecast_options import ForecasterOptions, SeriesData
from lstm_jax.tasks.forecast_scores import LEVELS, score
from lstm_jax.tasks.task import FLOAT32, Compute, Dataset, Learner


@register("task")
@dataclasses.dataclass(frozen=True, kw_only=True)
class forecasting:
    """Forecasts of series, as quantiles of every step.

    Attributes:
      data: the series.
      model: the network.
    """

    data: SeriesData
    model: ForecasterOptions

    only_training: ClassVar = ("model.dropout",)

    def __post_init__(self) -> None:
        data, model, problems = self.data, self.model, []
        for name, steps in {"history": data.history, "horizon": data.horizon}.items():
            if steps % model.patch:
                problems.append(f"data.{name}: {steps} is no multiple of model.patch {model.patch}")
        short = [lag for lag in data.lags if int(lag) < data.horizon]
        if short and model.decoder == "direct":
            problems.append(
                f"data.lags: {short[0]} steps before the end of the horizon of {data.horizon} "
                'there is no value yet; name larger ones, or take model.decoder="autoregressive"'
            )
        if problems:
            raise ConfigError(problems)

    def prepare(self, assets: Path, compute: Compute = FLOAT32) -> tuple[Learner, Dataset]:
        """Reads the series, and keeps what a forecast needs of them."""
        table, backtest = self.data.table, self.data.backtest
        self._require_values(table)
        for series in table.series:
            require_room(series, backtest, self._shape(table.layout))
        names = [series.name for series in table.series]
        kept = KeptSeries(table.layout, fit_scaling(table, backtest), names)
        store = self._store(table, kept.scaling)
        splits = self._splits(store)
        _require_season(splits["validation"], self._season(table.layout))
        kept.save(assets)
        return self._learner(kept, compute, splits), self._dataset(store, splits)

    def restore(self, assets: Path, compute: Compute = FLOAT32) -> Learner:
        """The learner for series like those of a run."""
        return self._learner(load_kept(assets), compute, None)

    def network(self, layout: SeriesLayout, names: int, compute: Compute = FLOAT32) -> Forecaster:
        """The Flax module for tables of a layout, trained on some number of series."""
        model = self.model
        return Forecaster(
            cell=model.cell,
            head_size=model.head.size,
            history=self.data.history,
            horizon=self.data.horizon,
            lags=self._lags(layout),
            hidden_size=model.hidden_size,
            num_layers=model.num_layers,
            decoder=model.decoder,
            patch=model.patch,
            residual_lag=self._residual_lag(layout),
            scaling=model.scaling,
            series=names,
            embedding_size=model.embedding_size,
            sees_scale=names > 1,
            dropout=model.dropout,
            dtype=compute.dtype,
            remat=compute.remat,
        )

    def baselines(self, assets: Path) -> dict[str, dict[str, float]]:
        """MASE of the seasonal naive forecast, and of ETS for a few short series."""
        if not self.data.baselines:
            return {}
        kept = load_kept(assets)
        store = self._store(self.data.table, kept.scaling)
        season = self._season(kept.layout)
        found: dict[str, dict[str, float]] = {}
        for split, windows in self._splits(store).items():
            if split == "train":
                continue
            truth, errors = truth_of(windows), seasonal_errors(windows, season)
            forecasts = baselines(store.table, self.data.backtest, split, season)
            for name, quantiles in forecasts.items():
                values = score(truth, quantiles, errors)
                found.setdefault(name, {})[split] = values["mase"]
        return found

    def draw(self, assets: Path, params: Any, figures: Path) -> None:
        """Forecasts of the test beside what came; keeps the spread of intervals for `predict`."""
        kept = load_kept(assets)
        store = self._store(self.data.table, kept.scaling)
        splits = self._splits(store)
        found = self._backtest(kept)(params, splits["test"], splits["validation"])
        save_spread(assets, found.log_spread)
        draw_forecasts(found.forecasts, store.table, self.data.history, figures / "forecasts.png")
        draw_coverage(found, figures / "coverage.png")

    def predict_file(self, assets: Path, params: Any, path: str) -> Iterator[Mapping[str, Any]]:
        """Forecasts of the series of a file from their ends on: a record for each step.

        Args:
          assets: of the run.
          params: the parameters.
          path: a file of the layout that the run was trained on; its last rows may hold covariates
            alone.

        Raises:
          UserError: the file cannot be used.
        """
        kept = load_kept(assets)
        table = self.data.source(path, kept.layout)
        store = self._store(table, kept.scaling)
        windows = future(store, self.data.evaluation_batch_size)
        network = self.network(kept.layout, len(kept.names))
        forecast = make_forecast(network, self.model.head, self.model.paths)
        found = forecast_windows(forecast, params, windows, self._numbers(table, kept))
        log_spread = load_spread(assets) if self.model.spread_rate else 0.0
        for i, series in enumerate(table.series):
            times = table.times(series, len(series.values), self.data.horizon)
            for time, row in zip(times, spread(found.quantiles[i], log_spread), strict=True):
                levels = {f"q{level}": float(q) for level, q in zip(LEVELS, row, strict=True)}
                yield {"unique_id": series.name, "ds": str(time), **levels}

    def show(self, assets: Path, params: Any, seed: int) -> str:
        """Nothing: `draw` draws what there is to see."""
        del assets, params, seed
        return ""

    def commands(self) -> Mapping[str, str]:
        """The commands for a finished run."""
        return {"predict": "forecast the series of a file: --input=file.csv"}

    def _store(self, table: SeriesTable, scaling: Scaling) -> WindowStore:
        return WindowStore(table, self._shape(table.layout), scaling)

    def _splits(self, store: WindowStore) -> dict[str, RollingWindows]:
        backtest, size = self.data.backtest, self.data.evaluation_batch_size
        return {
            "train": _last_of_training(store, backtest, size),
            "validation": rolling(store, backtest, "validation", size),
            "test": rolling(store, backtest, "test", size),
        }

    def _dataset(self, store: WindowStore, splits: Mapping[str, RollingWindows]) -> Dataset:
        data, table = self.data, store.table
        train = TrainingWindows(store, data.backtest, data.batch_size, data.window_seed)
        frequency = table.frequency
        notes = [
            f"{len(table.series):,} series of {store.lengths.min():,} to {store.lengths.max():,} "
            f"steps of {frequency}; forecasts of {data.horizon} from {data.history}, with lags "
            f"{', '.join(map(str, store.shape.lags)) or 'none'}, seasons of "
            f"{self._season(table.layout)} and {', '.join(store.names) or 'no covariates'}",
            f"{data.validation_origins} origins of every series for validation, "
            f"{data.test_origins} for the test",
            *table.notes,
        ]
        return Dataset(
            train=train,
            splits=splits,
            batch_size=data.batch_size,
            evaluation_batch_size=data.evaluation_batch_size,
            units=("windows", data.batch_size),
            fingerprint=joint_fingerprint((train, *splits.values())),
            notes=notes,
        )

    def _learner(
        self, kept: KeptSeries, compute: Compute, splits: Mapping[str, RollingWindows] | None
    ) -> Learner:
        network, head = self.network(kept.layout, len(kept.names), compute), self.model.head
        run, season = self._backtest(kept, compute), self._season(kept.layout)

        def score_split(params: Any, batches: Any) -> dict[str, float]:
            assert splits is not None
            before = splits["validation"] if batches is splits["test"] else None
            return figures(run(params, batches, before), batches, season)

        return forecast_learner(network, head, kept.layout, score_split if splits else None)

    def _backtest(self, kept: KeptSeries, compute: Compute = FLOAT32) -> BacktestFunction:
        network = self.network(kept.layout, len(kept.names), compute)
        forecast = make_forecast(network, self.model.head, self.model.paths)
        return make_backtest(forecast, np.arange(len(kept.names)), self.model.spread_rate)

    def _numbers(self, table: SeriesTable, kept: KeptSeries) -> np.ndarray:
        """The number by which the network knows each series of a table."""
        if not self.model.embedding_size:
            return np.zeros(len(table.series), np.int32)
        known = {name: i for i, name in enumerate(kept.names)}
        for series in table.series:
            if series.name not in known:
                raise UserError(
                    f"--input: the model has a vector for each series it was trained on, and "
                    f"{series.name!r} is none of them; {did_you_mean(series.name, known)}"
                )
        return np.array([known[series.name] for series in table.series], np.int32)

    def _shape(self, layout: SeriesLayout) -> WindowShape:
        return WindowShape(self.data.history, self.data.horizon, self._lags(layout))

    def _season(self, layout: SeriesLayout) -> int:
        return self.data.season or layout.frequency.season

    def _lags(self, layout: SeriesLayout) -> tuple[int, ...]:
        data = self.data
        lags = {int(lag) for lag in data.lags}
        direct = self.model.decoder == "direct"
        if not lags:
            found = layout.frequency.lags(data.history)
            lags = {lag for lag in found if not direct or lag >= data.horizon}
        if not direct:
            lags.add(1)
        return tuple(sorted(lags | {self._residual_lag(layout)} - {0}))

    def _residual_lag(self, layout: SeriesLayout) -> int:
        """Whole seasons, as many as a forecast of all the horizon at once needs."""
        if self.model.residual == "none":
            return 0
        season = self._season(layout)
        if self.model.decoder == "autoregressive":
            return season
        return -(-self.data.horizon // season) * season

    def _require_values(self, table: SeriesTable) -> None:
        if not self.model.head.counts:
            return
        for series in table.series:
            values = series.values[np.isfinite(series.values)]
            if (values < 0).any() or (values != np.round(values)).any():
                raise UserError(
                    f"data: series {series.name!r} holds values that are no counts (0, 1, 2, ...), "
                    "which the head negative_binomial needs; take model.head=student_t"
                )


def _require_season(windows: RollingWindows, season: int) -> None:
    """Raises UserError if no series has a seasonal error, by which MASE would be divided."""
    if np.isnan(seasonal_errors(windows, season)).all():
        raise UserError(
            f"data.season: before validation no series has a value that differs from the one "
            f"{season:,} steps before it, so that there is no error to scale others by (MASE); "
            "name a shorter season"
        )


def _last_of_training(store: WindowStore, backtest: Backtest, batch_size: int) -> RollingWindows:
    """As many forecasts of every series as in validation, the last ones of what is trained on."""
    series, origins = [], []
    for number, length in enumerate(store.lengths.tolist()):
        last = backtest.train_end(length) - backtest.horizon
        found = last - backtest.stride * np.arange(backtest.validation_origins - 1, -1, -1)
        found = found[found >= store.shape.history]
        series.append(np.full(len(found), number))
        origins.append(found)
    return RollingWindows(store, np.concatenate(series), np.concatenate(origins), batch_size)
