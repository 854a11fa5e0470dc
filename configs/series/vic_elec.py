"""Electricity demand of Victoria, half-hourly, a day ahead: a direct LSTM with quantiles.

Command: lstm-jax train --config=configs/series/vic_elec.py:covariates \\
             --config.data.path=vic_elec.csv --workdir=runs/vic_elec
Result:  MASE 0.388 on the last 60 days with temperature and holidays of the day known, and 0.598
         from demand alone (no mode), where the seasonal naive forecast has 0.939; intervals that
         should cover 80 % cover 79.8 and 79.7 (experiments/series/vic_elec; seed 0)
Time:    82 and 108 s on one busy core (x86-64, Python 3.11, jax 0.10.2, 2026-11-25)
Data:    a CSV file with the columns Time (UTC), Demand, Temperature and Holiday
Others:  :autoregressive, MASE 0.615, covers 79.7 %, 293 s on a core (2026-11-26)
"""

from lstm_jax.training import experiment

MODES = ("covariates", "autoregressive", "smoke", "smoke_autoregressive")


def get_config(mode: str = ""):
    """`:covariates` knows temperature and holidays of the day, `:autoregressive` is a DeepAR.

    `:smoke` and `:smoke_autoregressive` run the same code in seconds, on generated series.
    """
    if mode and mode not in MODES:
        raise ValueError(f"there is no mode {mode!r}; there are: {', '.join(MODES)}")
    values = {
        "task": "forecasting",
        "seed": 0,  # of initialisation and dropout
        "data": {
            "source": "wide_csv",
            "path": "vic_elec.csv",
            "time_column": "Time",  # UTC; days begin and end in the time zone
            "columns": ("Demand",),
            "known_columns": ("Temperature", "Holiday") if mode == "covariates" else (),
            "frequency": "30min",
            "time_zone": "Australia/Melbourne",
            "history": 336,  # half-hours that the network reads: a week
            "horizon": 48,  # half-hours that are forecast: a day
            "lags": ("48", "336"),  # half-hours back, at every step
            "season": 336,  # half-hours, of the naive forecast and of MASE
            "validation_origins": 60,  # midnights before those of the test
            "test_origins": 60,  # the last midnights
            "batch_size": 64,  # windows in a step
            "evaluation_batch_size": 60,
        },
        "model": {
            "cell": {"name": "lstm", "forget_bias": 1.0},
            "hidden_size": 64,
            "num_layers": 2,
            "decoder": "direct",
            "head": {"name": "quantiles", "count": 9},
            "patch": 4,  # half-hours that are read and predicted at once
            "residual": "seasonal",  # what is learnt is the difference to the week before
            "scaling": "standard",  # by mean and deviation of the history
            "dropout": 0.1,
            "spread_rate": 0.5,
        },
        "optimizer": {"name": "adamw", "learning_rate": 3e-3, "weight_decay": 1e-4},
        "schedule": {"name": "warmup_cosine", "warmup": 0.05, "end": 0.01},  # shares of run, peak
        "averaging": {"name": "ema", "decay": 0.995},
        "train": {
            "duration": "800 steps",
            "report_every": "50 steps",
            "evaluate_every": "200 steps",
            "checkpoint_every": "400 steps",
            "gradient_clip_norm": 1.0,  # global norm
            "gate_statistics": False,
        },
    }
    if mode.endswith("autoregressive"):
        _sample_paths(values)
    if mode.startswith("smoke"):
        _make_small(values)
    return experiment(**values)


def _sample_paths(values):
    """The DeepAR of D. Salinas et al., arXiv 1704.04110, with Student's t."""
    values["data"]["lags"] = ("1", "2", "48", "336")
    values["model"] |= {
        "decoder": "autoregressive",
        "head": {"name": "student_t"},
        "patch": 1,
        "paths": 100,  # paths of samples for a forecast
    }


def _make_small(values):
    data = values["data"]
    for name in ("path", "time_column", "columns", "known_columns", "time_zone"):
        del data[name]
    data |= {"source": "generated_series", "frequency": "h", "length": 500, "size": 2}
    data |= {"history": 48, "horizon": 24, "season": 24, "batch_size": 16}
    data |= {"validation_origins": 3, "test_origins": 3, "evaluation_batch_size": 8}
    direct = values["model"]["decoder"] == "direct"
    data["lags"] = ("24", "48") if direct else ("1", "24")
    values["model"] |= {"hidden_size": 16, "embedding_size": 2, "paths": 20}
    values["optimizer"]["learning_rate"] = 5e-3
    values["averaging"]["decay"] = 0.9
    values["train"] |= {
        "duration": "40 steps",
        "report_every": "20 steps",
        "evaluate_every": "20 steps",
        "checkpoint_every": "20 steps",
    }
