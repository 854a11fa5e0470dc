"""Probabilistic forecasting of time series: one model of one or many series."""

import dataclasses
import functools
import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple

import jax.numpy as jnp
import numpy as np

from lstm_jax.cells import Cell
from lstm_jax.config import (
    LayerCount,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveInt,
    Rate,
    Seed,
    part_of,
    register,
    write_atomically,
)
from lstm_jax.data.backtest import Backtest
from lstm_jax.data.series import SeriesLayout, SeriesSource, SeriesTable
from lstm_jax.data.windows import (
    RollingWindows,
    Scaling,
    TrainingWindows,
    WindowShape,
    WindowStore,
    fit_scaling,
    future,
    rolling,
)
from lstm_jax.errors import ConfigError, UserError, did_you_mean
from lstm_jax.json_files import read_json
from lstm_jax.models.forecast_heads import ForecastHead
from lstm_jax.models.forecaster import Decoder, Forecaster, ValueScaling, apply
from lstm_jax.tasks.forecast_backtest import (
    NETWORK_READS,
    Backtested,
    figures,
    forecast_windows,
    make_forecast,
    seasonal_errors,
    spread,
    spread_by_outcomes,
    truth_of,
)
from lstm_jax.tasks.forecast_baselines import baselines
from lstm_jax.tasks.forecast_figures import draw_coverage, draw_forecasts
from lstm_jax.tasks.forecast_scores import LEVELS, score
from lstm_jax.tasks.sized_cell import sized_cell
from lstm_jax.tasks.task import (
    FLOAT32,
    Array,
    Batch,
    Compute,
    Dataset,
    Learner,
    Metric,
    Sums,
    no_carry,
)

_LAYOUT, _SPREAD = "series.json", "spread.json"
METRICS = (
    Metric("mase", "MASE"),
    Metric("quantile_loss", "weighted quantile loss", decimals=4),
    Metric("smape", "sMAPE, percent", decimals=2),
    Metric("nd", "ND", decimals=4),
    Metric("rmse", "RMSE", decimals=4),
    Metric("coverage", "share inside the 80 % interval", lower_is_better=False),
    Metric("network_coverage", "the same, as the network says", lower_is_better=False),
    Metric("naive_mase", "MASE of the seasonal naive forecast"),
    Metric("loss", "loss"),
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class SeriesData:
    """Where the series come from, and what is forecast from what.

    Attributes:
      source: where series and covariates come from.
      history: steps that the network reads.
      horizon: steps of a forecast.
      lags: steps back at which values are read as well, at every step, such as ("24", "168"); those
        of the frequency that reach back before the horizon, if none is named.
      season: steps of a season, for the naive forecast and for MASE; that of the frequency if None.
      stride: steps between the origins of two forecasts in evaluations; the horizon if None.
      validation_origins: forecasts of every series for validation, before those of the test.
      test_origins: forecasts at the end of every series for the test.
      batch_size: windows in a step.
      evaluation_batch_size: windows in a batch of an evaluation.
      window_seed: of the training windows.
      baselines: whether a result has the seasonal naive forecast beside it, and for a few short
        series ETS of statsmodels.
    """

    source: SeriesSource = part_of("series_source", "long_csv", inline=True)
    history: PositiveInt = 48
    horizon: PositiveInt = 24
    lags: tuple[str, ...] = ()
    season: PositiveInt | None = None
    stride: PositiveInt | None = None
    validation_origins: PositiveInt = 10
    test_origins: PositiveInt = 10
    batch_size: PositiveInt = 32
    evaluation_batch_size: PositiveInt = 64
    window_seed: Seed = 0
    baselines: bool = True

    def __post_init__(self) -> None:
        wrong = [lag for lag in self.lags if not str(lag).strip().isdecimal() or int(lag) < 1]
        if wrong:
            raise ConfigError(f"lags: must be numbers from 1 on, got {wrong[0]!r}")

    @property
    def backtest(self) -> Backtest:
        """Which forecasts are for what."""
        stride = self.stride or self.horizon
        return Backtest(self.horizon, stride, self.validation_origins, self.test_origins)


@dataclasses.dataclass(frozen=True, kw_only=True)
class ForecasterOptions:
    """The network.

    Attributes:
      cell: the recurrent cell of every layer.
      hidden_size: memory cells in each layer.
      num_layers: recurrent layers.
      decoder: how the horizon is forecast: direct, all of it at once, or autoregressive, as paths
        of samples that are fed back.
      head: how a value is distributed.
      patch: steps that are read and predicted at once; for the direct decoder.
      residual: what the network's numbers are added to: nothing, or the value a season ago.
      scaling: what the values of a window are divided by; standard takes their mean away too.
      embedding_size: of a vector for each series of the training data; 0 for none.
      dropout: share of the activations behind each layer that is dropped in training, the same for
        all steps of a window.
      paths: how many the autoregressive decoder draws for a forecast.
      spread_rate: how far the outcome of a forecast widens or narrows the intervals of those that
        begin later (see docs/forecasting.md); 0 for intervals as the network says.
    """

    cell: Callable[[int], Cell] = part_of("cell", "lstm")
    hidden_size: PositiveInt = 64
    num_layers: LayerCount = 2
    decoder: Decoder = "direct"
    head: ForecastHead = part_of("forecast_head", "quantiles")
    patch: PositiveInt = 1
    residual: Literal["none", "seasonal"] = "seasonal"
    scaling: ValueScaling = "standard"
    embedding_size: NonNegativeInt = 0
    dropout: Rate = 0.1
    paths: PositiveInt = 100
    spread_rate: NonNegativeFloat = 0.5

    def __post_init__(self) -> None:
        problems = []
        try:
            sized_cell(self.cell, self.hidden_size)
        except ConfigError as error:
            problems += error.problems
        if self.decoder == "autoregressive" and self.patch > 1:
            problems.append("patch: is for the direct decoder; autoregressive goes step by step")
        if self.head.counts and (self.residual != "none" or self.scaling == "standard"):
            problems.append(
                'head: counts begin at zero: set residual to "none" and scaling to "mean_absolute"'
            )
        if problems:
            raise ConfigError(problems)


class _Sizes(NamedTuple):
    """What a run keeps of its data, beside the parameters.

    Attributes:
      layout: of the tables that it can read.
      scaling: of the covariates.
      names: of the series it was trained on.
    """

    layout: SeriesLayout
    scaling: Scaling
    names: list[str]


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
        table = self.data.source()
        self._require_values(table)
        scaling = fit_scaling(table, self.data.backtest)
        sizes = _Sizes(table.layout, scaling, [series.name for series in table.series])
        store = self._store(table, scaling)
        splits = self._splits(store)
        # A finished run that is only evaluated need not be ours to write to.
        if not (assets / _LAYOUT).exists():
            _save(sizes, assets / _LAYOUT)
        return self._learner(sizes, compute, splits), self._dataset(store, splits)

    def restore(self, assets: Path, compute: Compute = FLOAT32) -> Learner:
        """The learner for series like those of a run."""
        return self._learner(_load(assets / _LAYOUT), compute, None)

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
        sizes = _load(assets / _LAYOUT)
        store = self._store(self.data.source(), sizes.scaling)
        season = self._season(sizes.layout)
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
        sizes = _load(assets / _LAYOUT)
        store = self._store(self.data.source(), sizes.scaling)
        splits = self._splits(store)
        found = self._backtest(sizes, FLOAT32)(params, splits["test"], splits["validation"])
        write_atomically(assets / _SPREAD, json.dumps({"log_spread": found.log_spread}))
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
        sizes = _load(assets / _LAYOUT)
        table = self.data.source(path, sizes.layout)
        store = self._store(table, sizes.scaling)
        windows = future(store, self.data.evaluation_batch_size)
        network = self.network(sizes.layout, len(sizes.names))
        forecast = make_forecast(network, self.model.head, self.model.paths)
        found = forecast_windows(forecast, params, windows, self._numbers(table, sizes))
        log_spread = 0.0
        if self.model.spread_rate and (assets / _SPREAD).exists():
            log_spread = float(read_json(assets / _SPREAD)["log_spread"])
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
        digest = hashlib.sha256()
        for batches in (train, *splits.values()):
            digest.update(batches.fingerprint().encode())
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
            fingerprint=digest.hexdigest(),
            notes=notes,
        )

    def _learner(
        self, sizes: _Sizes, compute: Compute, splits: Mapping[str, RollingWindows] | None
    ) -> Learner:
        network = self.network(sizes.layout, len(sizes.names), compute)
        example = _example(network, sizes)
        run, season = self._backtest(sizes, compute), self._season(sizes.layout)

        def init(key: Array) -> Any:
            return network.init(key, example)["params"]

        def score_split(params: Any, batches: Any) -> dict[str, float]:
            assert splits is not None
            before = splits["validation"] if batches is splits["test"] else None
            return figures(run(params, batches, before), batches, season)

        return Learner(
            init,
            no_carry,
            functools.partial(_loss, network, self.model.head),
            lambda sums: {"loss": sums["cost"] / max(sums["values"], 1)},
            METRICS,
            weight="values",
            score=score_split if splits is not None else None,
            warn=_warn,
        )

    def _backtest(
        self, sizes: _Sizes, compute: Compute
    ) -> Callable[[Any, RollingWindows, RollingWindows | None], Backtested]:
        """A function `(params, windows, before) -> forecasts`, whose intervals follow outcomes.

        Those of some windows begin with what is learnt of the ones before, if there are any.
        """
        network = self.network(sizes.layout, len(sizes.names), compute)
        forecast = make_forecast(network, self.model.head, self.model.paths)
        numbers, rate = np.arange(len(sizes.names)), self.model.spread_rate

        def run(params: Any, windows: RollingWindows, before: RollingWindows | None) -> Backtested:
            log_spread = 0.0
            if before is not None:
                earlier = forecast_windows(forecast, params, before, numbers)
                _, log_spread = spread_by_outcomes(earlier, rate)
            plain = forecast_windows(forecast, params, windows, numbers)
            found, log_spread = spread_by_outcomes(plain, rate, log_spread)
            return Backtested(plain, found, log_spread)

        return run

    def _numbers(self, table: SeriesTable, sizes: _Sizes) -> np.ndarray:
        """The number by which the network knows each series of a table."""
        if not self.model.embedding_size:
            return np.zeros(len(table.series), np.int32)
        known = {name: i for i, name in enumerate(sizes.names)}
        for series in table.series:
            if series.name not in known:
                raise UserError(
                    f"input: the model has a vector for each series it was trained on, and "
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


def _loss(
    network: Forecaster,
    head: ForecastHead,
    params: Any,
    carry: Any,
    batch: Batch,
    key: Array | None,
) -> tuple[Array, Any, Sums]:
    """The mean cost of the values that were observed, the carry as it came, and sums."""
    noise: dict[str, Any] = {"deterministic": key is None}
    if key is not None:
        noise["rngs"] = {"dropout": key}
    read = {name: batch[name] for name in NETWORK_READS}
    raw, frame = apply(network, params, read, **noise)
    steps = raw.shape[1]
    counted = batch["observed"][:, -steps:]
    cost = jnp.where(counted, head.cost(raw, frame, batch["values"][:, -steps:]), 0)
    sums = {"cost": jnp.sum(cost), "values": jnp.sum(counted, dtype=jnp.float32)}
    return sums["cost"] / jnp.maximum(sums["values"], 1), carry, sums


def _warn(values: Mapping[str, float]) -> list[str]:
    """What must not pass in silence: figures worse than those of no model at all."""
    mase, naive = values["mase"], values["naive_mase"]
    # Not "mase >= naive": a figure that is no number is no better either.
    if mase < naive:
        return []
    return [
        f"MASE {METRICS[0].text(mase)} is no better than that of the seasonal naive forecast, "
        f"{METRICS[0].text(naive)}: this forecaster is of no use as it is"
    ]


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


def _example(network: Forecaster, sizes: _Sizes) -> dict[str, Array]:
    """A batch of one window, for its shapes alone."""
    steps = network.history + network.horizon
    features = len(sizes.layout.known_names) + len(sizes.layout.frequency.names)
    values = jnp.zeros((1, max(network.lags, default=0) + steps))
    return {
        "values": values,
        "observed": jnp.ones(values.shape, bool),
        "known": jnp.zeros((1, steps, features)),
        "statics": jnp.zeros((1, len(sizes.layout.static_names))),
        "series": jnp.zeros(1, jnp.int32),
    }


def _save(sizes: _Sizes, path: Path) -> None:
    kept = {
        "layout": sizes.layout.to_json(),
        "scaling": sizes.scaling.to_json(),
        "names": sizes.names,
    }
    write_atomically(path, json.dumps(kept))


def _load(path: Path) -> _Sizes:
    """What a run kept of its data.

    Raises:
      UserError: it is not there, or not what `_save` wrote.
    """
    try:
        kept = read_json(path)
        layout, scaling = SeriesLayout.from_json(kept["layout"]), Scaling.from_json(kept["scaling"])
        return _Sizes(layout, scaling, [str(name) for name in kept["names"]])
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from None
    except (ValueError, KeyError, TypeError, ConfigError) as error:
        raise UserError(f"{path} is not what a run keeps of its series ({error})") from None
