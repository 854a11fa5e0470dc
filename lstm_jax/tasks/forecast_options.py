"""The sections of a forecaster's config: the series, and the network."""

import dataclasses
import functools
from collections.abc import Callable
from typing import Literal

from lstm_jax.cells import Cell
from lstm_jax.config import (
    LayerCount,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveInt,
    Rate,
    Seed,
    part_of,
)
from lstm_jax.data.backtest import Backtest
from lstm_jax.data.series import SeriesSource, SeriesTable
from lstm_jax.errors import ConfigError
from lstm_jax.models.forecast_heads import ForecastHead
from lstm_jax.models.forecaster import Decoder, ValueScaling
from lstm_jax.tasks.sized_cell import sized_cell


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

    @functools.cached_property
    def table(self) -> SeriesTable:
        """The series, which a command reads once."""
        return self.source()

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
