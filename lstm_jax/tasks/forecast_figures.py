"""Pictures of forecasts: bands beside what came, and how often what came lies below a quantile."""

from pathlib import Path
from typing import Any

import numpy as np

from lstm_jax.data.series import SeriesTable
from lstm_jax.tasks.forecast_backtest import MEDIAN, Backtested, Forecasts
from lstm_jax.tasks.forecast_scores import LEVELS

_SHOWN = 6  # forecasts in a picture
_BEFORE = 3  # horizons of history that are shown before a forecast
_COLOR = "tab:blue"


def draw_forecasts(forecasts: Forecasts, table: SeriesTable, history: int, path: Path) -> None:
    """Draws some of the forecasts, spread over all of them, from a good one to the worst.

    Args:
      forecasts: the quantiles and what came.
      table: the series.
      history: steps that the network reads; a part of them is shown.
      path: of the picture.
    """
    chosen = _chosen(forecasts)
    columns = min(2, len(chosen))
    rows = -(-len(chosen) // columns)
    figure = _figure((6.5 * columns, 0.6 + 2.7 * rows))
    axes = np.atleast_1d(figure.subplots(rows, columns, squeeze=False)).ravel()
    for ax in axes[len(chosen) :]:
        ax.set_axis_off()
    for ax, i in zip(axes, chosen, strict=False):
        _draw_one(ax, forecasts, table, history, i)
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=4, fontsize="small")
    figure.savefig(path, dpi=110)


def draw_coverage(found: Backtested, path: Path) -> None:
    """Draws the share of values below each quantile, beside the level that it should be.

    Args:
      found: forecasts with and without intervals that follow earlier outcomes.
      path: of the picture.
    """
    figure = _figure((5.2, 5))
    ax = figure.subplots()
    ax.plot((0, 1), (0, 1), color="0.6", linewidth=1, label="as it should be")
    for label, forecasts in {
        "as the network says": found.plain,
        "following earlier outcomes": found.forecasts,
    }.items():
        seen = np.isfinite(forecasts.truth)
        below = (forecasts.truth[..., None] <= forecasts.quantiles)[seen].mean(axis=0)
        ax.plot(LEVELS, below, marker="o", label=label)
    ax.set(xlabel="level", ylabel="share of values below the quantile", xlim=(0, 1), ylim=(0, 1))
    ax.set_aspect("equal")
    ax.legend(fontsize="small")
    figure.savefig(path, dpi=110)


def _chosen(forecasts: Forecasts) -> list[int]:
    """Windows by rising error relative to their size, evenly from the best to the worst."""
    error = np.nanmean(np.abs(forecasts.truth - forecasts.median), axis=1)
    error = error / np.maximum(np.nanmean(np.abs(forecasts.truth), axis=1), 1e-12)
    order = [int(i) for i in np.argsort(error) if np.isfinite(error[i])]
    if not order:  # nothing came; the forecasts can be shown all the same
        order = list(range(len(error)))
    places = np.linspace(0, len(order) - 1, min(_SHOWN, len(order)))
    return list(dict.fromkeys(order[int(place)] for place in places))


def _draw_one(ax: Any, forecasts: Forecasts, table: SeriesTable, history: int, i: int) -> None:
    series, origin = table.series[forecasts.series[i]], int(forecasts.origins[i])
    horizon = forecasts.truth.shape[1]
    before = min(history, _BEFORE * horizon, origin)
    times = table.times(series, origin - before, before + horizon)
    values = np.concatenate([series.values[origin - before : origin], forecasts.truth[i]])
    ahead, quantiles = times[before:], forecasts.quantiles[i]
    for low, alpha in ((0, 0.2), (2, 0.35)):
        label = f"{round(100 * (LEVELS[-1 - low] - LEVELS[low]))} % interval"
        band = (quantiles[:, low], quantiles[:, -1 - low])
        ax.fill_between(ahead, *band, color=_COLOR, alpha=alpha, linewidth=0, label=label)
    ax.plot(ahead, quantiles[:, MEDIAN], color=_COLOR, linewidth=1.5, label="median")
    ax.plot(times, values, color="black", linewidth=1, label="what came")
    ax.axvline(ahead[0], color="0.6", linewidth=0.8, linestyle=":")
    error = np.nanmean(np.abs(forecasts.truth[i] - forecasts.median[i]))
    ax.set_title(f"{series.name} from {ahead[0]}, mean error {error:.4g}", fontsize="small")
    ax.tick_params(axis="x", labelrotation=20, labelsize="small")


def _figure(size: tuple[float, float]) -> Any:
    # Not through pyplot, which keeps every figure, and whose backend is the caller's.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=size, layout="constrained")
    FigureCanvasAgg(figure)
    return figure
