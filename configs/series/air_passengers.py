"""Airline passengers by month, the last year of 1949 to 1960: a small autoregressive LSTM.

Command: lstm-jax train --config=configs/series/air_passengers.py \\
             --config.data.path=AirPassengers.csv --workdir=runs/air
Result:  MASE 0.451 on the last twelve months, where the seasonal naive forecast has 1.571 and ETS
         0.661 (experiments/series/air_passengers; one seed, and twelve points are weak evidence)
Time:    64 s on one busy core (x86-64, Python 3.11, jax 0.10.2, 2026-11-25)
Data:    a CSV file with the columns ds and y
"""

from lstm_jax.training import experiment

MODES = ("smoke",)


def get_config(mode: str = ""):
    """`:smoke` runs the same code in seconds, on generated series."""
    if mode and mode not in MODES:
        raise ValueError(f"there is no mode {mode!r}; there are: {', '.join(MODES)}")
    values = {
        "task": "forecasting",
        "seed": 0,  # of initialisation, dropout and samples
        "data": {
            "source": "wide_csv",
            "path": "AirPassengers.csv",
            "frequency": "MS",
            "history": 36,  # months that the network reads
            "horizon": 12,  # months that are forecast
            "lags": ("1", "2", "3", "6", "12"),  # months back, at every step
            "season": 12,
            "stride": 1,  # months between the origins of validation
            "validation_origins": 12,
            "test_origins": 1,  # the last year
            "batch_size": 16,  # windows in a step
        },
        "model": {
            "cell": {"name": "lstm", "forget_bias": 1.0},
            "hidden_size": 40,
            "num_layers": 2,
            "decoder": "autoregressive",
            "head": {"name": "student_t"},
            "residual": "seasonal",  # what is learnt is the difference to the year before
            "scaling": "mean_absolute",
            "dropout": 0.1,
            "paths": 400,  # paths of samples for a forecast
            "spread_rate": 0.5,
        },
        "optimizer": {"name": "adamw", "learning_rate": 3e-3, "weight_decay": 1e-3},
        "schedule": {"name": "warmup_cosine", "warmup": 0.05, "end": 0.01},  # shares of run, peak
        "averaging": {"name": "ema", "decay": 0.99},
        "train": {
            "duration": "600 steps",
            "report_every": "50 steps",
            "evaluate_every": "50 steps",
            "checkpoint_every": "100 steps",
            "gradient_clip_norm": 1.0,  # global norm
            "gate_statistics": False,
        },
    }
    if mode == "smoke":
        _make_small(values)
    return experiment(**values)


def _make_small(values):
    del values["data"]["path"]
    values["data"] |= {"source": "generated_series", "frequency": "MS", "length": 150, "size": 1}
    values["data"] |= {"validation_origins": 3, "baselines": False}
    values["model"] |= {"hidden_size": 8, "paths": 20}
    values["train"] |= {"duration": "20 steps", "evaluate_every": "10 steps"}
