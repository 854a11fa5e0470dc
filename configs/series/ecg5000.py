r"""Is a heartbeat normal, or of which kind? A convolution and a bidirectional LSTM on ECG5000.

Command: lstm-jax train --config=configs/series/ecg5000.py --workdir=runs/ecg5000 \
             --config.data.path=ECG5000_TRAIN.tsv --config.data.test_path=ECG5000_TEST.tsv
Result:  0.9428 of the test series are judged right, deviation 0.0014 over five seeds; the nearest
         training series has 0.9244 (experiments/series/ecg5000)
Time:    14 s on one core of a busy machine (x86-64, Python 3.11, jax 0.10.2)
"""

from lstm_jax.training import experiment


def get_config(mode: str = ""):
    """`:smoke` runs the same code in seconds, on generated waves."""
    if mode not in ("", "smoke"):
        raise ValueError(f"there is no mode {mode!r}; there is: smoke")
    values = {
        "task": "series_classification",
        "seed": 0,  # of initialisation, dropout and augmentation
        "data": {
            "source": "archive_files",
            "path": ("ECG5000_TRAIN.tsv",),
            "test_path": ("ECG5000_TEST.tsv",),
            "validation_share": 0.1,  # of the training series, of every class alike
            "normalization": "series",
            "batch_size": 50,
            "evaluation_batch_size": 250,
            "buckets": 1,  # all series are equally long
        },
        "model": {
            "filters": 64,
            "width": 16,  # steps that a filter sees
            "stride": 4,  # steps between two places of a filter
            "cell": {"name": "lstm"},
            "hidden_size": 64,  # memory cells in each direction
            "bidirectional": True,
            "pooling": ("mean", "max"),
            "dropout": {"output": 0.5},  # share
        },
        # Deviations, of shares of the length (shift, warping) and of values of deviation 1.
        "augmentation": {"noise": 0.1, "scaling": 0.1, "shift": 0.02, "warping": 0.02},
        "optimizer": {"name": "adamw", "learning_rate": 3e-3, "weight_decay": 0.01},
        "schedule": {"name": "warmup_cosine", "warmup": 0.05, "end": 0.02},
        "averaging": {"name": "ema", "decay": 0.98},
        "train": {
            "duration": "40 epochs",
            "report_every": "5 epochs",
            # The average at the end is what is used: to choose among checkpoints by the few series
            # held out would be to follow their noise.
            "evaluate_every": "40 epochs",
            "checkpoint_every": "20 epochs",
            "gradient_clip_norm": 1.0,  # global norm
            "gate_statistics": False,
        },
    }
    if mode == "smoke":
        _make_small(values)
    return experiment(**values)


def _make_small(values):
    values["data"] |= {"source": "generated_shapes", "batch_size": 16, "evaluation_batch_size": 48}
    for name in ("path", "test_path", "validation_share"):
        del values["data"][name]
    values["model"] |= {"hidden_size": 16, "filters": 16, "width": 8, "stride": 2}
    values["optimizer"]["learning_rate"] = 1e-2
    values["averaging"]["decay"] = 0.9
    values["train"] |= {
        "duration": "10 epochs",
        "report_every": "10 steps",
        "evaluate_every": "5 epochs",
        "checkpoint_every": "20 steps",
    }
