"""Does a video go on as it did? A ConvLSTM forecasts each next frame; what it misses is anomalous.

Command: lstm-jax train --config=configs/video/anomaly.py --workdir=runs/video_anomaly \\
             --config.data.path=vtest.avi
Result:  on OpenCV's vtest.avi with nine anomalies put into its last 278 frames, the area under the
         ROC curve of steps is 0.865 (frozen 1.000, pasted 0.978, reversed 0.587), five of the nine
         alarm; a copy of the frame before alone: 0.861, three (experiments/video/anomaly)
Time:    50 s on one core (x86-64, Python 3.11, jax 0.10.2, 2026-11-26)
"""

from lstm_jax.training import experiment


def get_config(mode: str = ""):
    """`:smoke` runs the same code in seconds, on a generated stroke that flies about."""
    if mode not in ("", "smoke"):
        raise ValueError(f"there is no mode {mode!r}; there is: smoke")
    data = {
        "source": "video_file",
        "path": "vtest.avi",
        "height": 48,  # pixels
        "width": 64,
        "color": "grey",
        "validation_share": 0.15,  # its frames set the threshold
        "test_share": 0.35,
        "window": 16,  # frames
        "context": 4,
        "batch_size": 8,
        "evaluation_batch_size": 8,
        "anomalies": 9,  # three of each kind, put into the test
        "shortest": 8,  # frames of an anomaly
        "longest": 16,
    }
    config = experiment(
        task="video_anomaly_detection",
        seed=0,  # of initialisation
        data=data,
        model={
            "cell": {"name": "conv_lstm", "kernel_size": 3},  # places of the plane
            "hidden_size": 32,  # memory cells of each layer at every place
            "num_layers": 1,
            "patch": 4,  # pixels
            "residual": True,  # it says what changes
        },
        score={"sides": "both", "smoothing": 3, "false_alarms": 0.05},
        optimizer={"name": "adam", "learning_rate": 2e-3},
        schedule={"name": "warmup_cosine", "warmup": 0.05, "end": 0.02},  # shares of run and peak
        train={
            "duration": "200 steps",
            "report_every": "25 steps",
            "evaluate_every": "50 steps",
            "checkpoint_every": "50 steps",
            "gradient_clip_norm": 10.0,  # global norm; the loss is a sum over 3,072 pixels
            "writers": (),
            "gate_statistics": False,
        },
    )
    if mode == "smoke":
        for name in ("path", "height", "width", "color"):
            del data[name]
        data |= {"source": "stroke_video", "frames": 300, "side": 16, "window": 8, "context": 3,
                 "anomalies": 3, "shortest": 6, "longest": 8}  # fmt: skip
        config = _small(config, data)
    return config


def _small(config, data):
    return experiment(
        task=config.task,
        data=data,
        model={**config.model.to_dict(), "hidden_size": 6},
        optimizer={"name": "adam", "learning_rate": 1e-2},
        train={
            "duration": "40 steps",
            "report_every": "10 steps",
            "evaluate_every": "20 steps",
            "checkpoint_every": "20 steps",
            "writers": (),
            "gate_statistics": False,
        },
    )
