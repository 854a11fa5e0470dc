"""What a forecaster learns, which figures it is judged by, and what must not pass in silence."""

import functools
from collections.abc import Callable, Mapping
from typing import Any

import jax.numpy as jnp

from lstm_jax.data.loader import RandomAccess
from lstm_jax.data.series import SeriesLayout
from lstm_jax.models.forecast_heads import ForecastHead
from lstm_jax.models.forecaster import Forecaster, apply
from lstm_jax.tasks.forecast_backtest import NETWORK_READS
from lstm_jax.tasks.task import Array, Batch, Learner, Metric, Sums, no_carry

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


def forecast_learner(
    network: Forecaster,
    head: ForecastHead,
    layout: SeriesLayout,
    score: Callable[[Any, RandomAccess], dict[str, float]] | None,
) -> Learner:
    """The functions that are compiled.

    Args:
      network: the forecaster.
      head: how a value is distributed.
      layout: of the tables that are read.
      score: the figures of a split, from the parameters and its windows; None if there are no data.
    """

    def init(key: Array) -> Any:
        return network.init(key, _example(network, layout))["params"]

    return Learner(
        init,
        no_carry,
        functools.partial(_loss, network, head),
        lambda sums: {"loss": sums["cost"] / max(sums["values"], 1)},
        METRICS,
        weight="values",
        score=score,
        warn=_warn,
    )


def _example(network: Forecaster, layout: SeriesLayout) -> dict[str, Array]:
    """A batch of one window, for its shapes alone."""
    steps = network.history + network.horizon
    features = len(layout.known_names) + len(layout.frequency.names)
    values = jnp.zeros((1, max(network.lags, default=0) + steps))
    return {
        "values": values,
        "observed": jnp.ones(values.shape, bool),
        "known": jnp.zeros((1, steps, features)),
        "statics": jnp.zeros((1, len(layout.static_names))),
        "series": jnp.zeros(1, jnp.int32),
    }


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
