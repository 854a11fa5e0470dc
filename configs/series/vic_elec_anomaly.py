"""Is the demand for electricity what a day-ahead forecast expects? Anomalies put into vic_elec.

Command: lstm-jax train --config=configs/series/vic_elec_anomaly.py --workdir=runs/vic_anomaly \\
             --config.data.path=vic_elec.csv
Result:  area under the ROC curve of half-hours 0.938, precision 0.842, recall 0.617; found are all
         shifted levels, 27 of 28 spikes, 19 of 27 flat and 17 of 27 swapped segments
         (experiments/series/anomalies)
Time:    25 s on one core of a busy machine (x86-64, Python 3.11, jax 0.10.2)
"""

from lstm_jax.training import experiment


def get_config(mode: str = ""):
    """`:smoke` runs the same code in seconds, on generated waves of which one shape is normal."""
    if mode not in ("", "smoke"):
        raise ValueError(f"there is no mode {mode!r}; there is: smoke")
    values = {
        "task": "anomaly_detection",
        "seed": 0,  # of initialisation and dropout
        "data": {
            "source": "injected_csv",
            "path": "vic_elec.csv",
            "time_column": "Time",
            "time_zone": "Australia/Melbourne",
            "value_column": "Demand",
            "known_columns": ("Temperature", "Holiday"),
            "piece": 144,  # three days of half-hours: two of context, and one for an anomaly
            "stride": 48,
            "first": 96,
            "shortest": 8,  # four hours
            "longest": 24,
            "size": 1.0,  # of a shifted level, in deviations of the demand
            "validation_share": 0.1,
            "test_share": 0.2,
            "batch_size": 32,
            "buckets": 1,
        },
        "model": {
            "cell": {"name": "lstm"},
            "hidden_size": 64,
            "targets": 1,  # the demand; what else there is is known ahead
            "horizon": 48,  # half-hours ahead
            "dropout": 0.1,
        },
        # Of the half-hours of validation.
        "score": {"of": "steps", "smoothing": 3, "false_alarms": 0.01},
        "optimizer": {"name": "adamw", "learning_rate": 5e-3, "weight_decay": 0.01},
        "schedule": {"name": "warmup_cosine", "warmup": 0.05, "end": 0.02},
        "train": {
            "duration": "40 epochs",
            "report_every": "5 epochs",
            "evaluate_every": "5 epochs",
            "checkpoint_every": "20 epochs",
            "gradient_clip_norm": 1.0,  # global norm
            "gate_statistics": False,
        },
    }
    if mode == "smoke":
        _make_small(values)
    return experiment(**values)


def _make_small(values):
    values["data"] = {
        "source": "generated_shapes",
        "normal": ("sine",),
        "batch_size": 16,
        "buckets": 1,
    }
    values["model"] |= {"hidden_size": 16, "horizon": 2}
    values["train"] |= {
        "duration": "20 epochs",
        "report_every": "20 steps",
        "evaluate_every": "10 epochs",
        "checkpoint_every": "50 steps",
    }
