"""Which heartbeats are not normal? A forecaster that has seen normal ones alone, on ECG5000.

Command: lstm-jax train --config=configs/series/ecg5000_anomaly.py --workdir=runs/ecg5000_anomaly \\
             --config.data.path=ECG5000_TRAIN.tsv --config.data.test_path=ECG5000_TEST.tsv
Result:  area under the ROC curve 0.970, F1 0.908 at the threshold of validation; the distance to
         the nearest normal beat has an area of 0.992 (experiments/series/anomalies)
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
            "source": "archive_files",
            "path": ("ECG5000_TRAIN.tsv",),
            "test_path": ("ECG5000_TEST.tsv",),
            "validation_share": 0.2,  # its normal series set the threshold
            "normal": ("1",),
            "normalization": "training",
            "batch_size": 16,
            "evaluation_batch_size": 250,
            "buckets": 1,
        },
        "model": {"cell": {"name": "lstm"}, "hidden_size": 64, "horizon": 4},
        "score": {"of": "series", "false_alarms": 0.05},  # share of normal validation series
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
        "normalization": "training",
        "batch_size": 16,
        "buckets": 1,
    }
    values["model"]["hidden_size"] = 16
    values["train"] |= {
        "duration": "30 epochs",
        "report_every": "20 steps",
        "evaluate_every": "10 epochs",
        "checkpoint_every": "50 steps",
    }
