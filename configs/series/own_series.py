r"""Series of your own, from a CSV file: a direct LSTM with quantiles, to begin with.

Command: lstm-jax train --config=configs/series/own_series.py --workdir=runs/sales \
             --config.data.path=sales.csv --config.data.history=28 --config.data.horizon=14
Data:    a row for each value, with the columns unique_id, ds and y; other names and layouts, and
         covariates, are in docs/series_data.md. Frequency, season and lags are found from the times
Result:  MASE beside that of the seasonal naive forecast; a forecaster that is no better says so
"""

from lstm_jax.training import experiment


def get_config(mode: str = ""):
    """`:smoke` runs the same code in seconds, on generated series."""
    if mode not in ("", "smoke"):
        raise ValueError(f"there is no mode {mode!r}; there is: smoke")
    values = {
        "task": "forecasting",
        "seed": 0,  # of initialisation and dropout
        "data": {
            "source": "long_csv",
            "path": "series.csv",
            "history": 48,  # steps that the network reads
            "horizon": 24,  # steps that are forecast
            "validation_origins": 5,  # forecasts of every series, before those of the test
            "test_origins": 5,  # forecasts at the end of every series
            "batch_size": 32,  # windows in a step
        },
        "model": {
            "cell": {"name": "lstm", "forget_bias": 1.0},
            "hidden_size": 64,
            "num_layers": 2,
            "head": {"name": "quantiles", "count": 9},
            "residual": "seasonal",  # what is learnt is the difference to the season before
            "dropout": 0.1,
        },
        "optimizer": {"name": "adamw", "learning_rate": 3e-3, "weight_decay": 1e-4},
        "schedule": {"name": "warmup_cosine", "warmup": 0.05, "end": 0.01},  # shares of run, peak
        "averaging": {"name": "ema", "decay": 0.99},
        "train": {
            "duration": "500 steps",
            "report_every": "50 steps",
            "evaluate_every": "100 steps",
            "checkpoint_every": "250 steps",
            "gradient_clip_norm": 1.0,  # global norm
            "gate_statistics": False,
        },
    }
    if mode == "smoke":
        _make_small(values)
    return experiment(**values)


def _make_small(values):
    del values["data"]["path"]
    values["data"] |= {"source": "generated_series", "size": 1, "horizon": 12, "baselines": False}
    values["model"] |= {"hidden_size": 8, "num_layers": 1}
    values["averaging"]["decay"] = 0.8
    values["train"] |= {"duration": "20 steps", "evaluate_every": "10 steps"}
