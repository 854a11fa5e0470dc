"""What happens in a clip? Digits that move along a path; the class is its shape and direction.

Command: lstm-jax train --config=configs/video/actions.py --workdir=runs/actions
         and with :conv_lstm, or :folders for videos of one's own
Result:  0.985 of the test clips, where the most frequent of eight classes has 0.125. The motions
         are generated, the digits those of MNIST (experiments/video)
Time:    67 s on one core (x86-64, Python 3.11, jax 0.10.2, 2026-11-26)
"""

from lstm_jax.training import experiment


def get_config(mode: str = ""):
    """A CNN for each frame and an LSTM; `:conv_lstm` has a convolutional LSTM in its place.

    `:folders` reads videos in a folder for each class, and needs `--config.data.path`. `:smoke`
    runs the same code in seconds, on generated strokes: it needs no data.
    """
    if mode not in ("", "conv_lstm", "folders", "smoke"):
        raise ValueError(f"there is no mode {mode!r}; there are: conv_lstm, folders, smoke")
    data = {
        "": {"source": "digit_motions", "size": 2000, "held_out": 400, "frames": 16},
        "folders": {"source": "clip_folders", "path": ("videos",), "frames": 16},
        "smoke": {"source": "stroke_motions", "size": 64, "side": 16},
    }
    model = {
        "filters": 8,  # of the first convolution; the others have 16 and 32
        "convolutions": 3,
        "frame_size": 64,  # of a frame's vector
        "cell": {"name": "lstm"},
        "hidden_size": 64,  # memory cells in each layer and direction
        "num_layers": 1,
        "bidirectional": False,
        "pooling": ("last", "mean"),
        "dropout": {"output": 0.2},  # share
    }
    if mode == "conv_lstm":
        model |= {"conv_lstm_size": 32, "num_layers": 0, "convolutions": 3}
    config = experiment(
        task="video_classification",
        seed=0,  # of initialisation and dropout
        data={
            **data.get(mode, data[""]),
            "batch_size": 16,
            "evaluation_batch_size": 40,
        },
        model=model,
        optimizer={"name": "adamw", "learning_rate": 2e-3, "weight_decay": 0.01},
        schedule={"name": "warmup_cosine", "warmup": 0.05, "end": 0.02},  # shares of run and peak
        train={
            "duration": "6 epochs",
            "report_every": "25 steps",
            "evaluate_every": "1 epochs",
            "checkpoint_every": "100 steps",
            "gradient_clip_norm": 1.0,  # global norm
            "writers": (),
            "gate_statistics": False,
        },
    )
    if mode == "smoke":
        config.model.filters = 4
        config.model.frame_size = 16
        config.model.hidden_size = 16
        config.train.duration = "2 epochs"
        config.train.report_every = "4 steps"
        config.train.evaluate_every = "1 epochs"
        config.train.checkpoint_every = "4 steps"
    return config
