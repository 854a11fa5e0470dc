"""Moving MNIST: ten frames are seen and the next ten forecast, by a ConvLSTM (arXiv 1506.04214).

Command: lstm-jax train --config=configs/video/moving_mnist.py --workdir=runs/moving_mnist
Result:  on 256 test sequences a squared error of 106.5 a frame and a similarity (SSIM) of 0.610; a
         copy of the last frame seen has 279.1 and 0.656, black frames 169.1 and 0.778, the mean of
         all test frames 148.9 (experiments/video/moving_mnist); still falling
Time:    22 minutes on one core (x86-64, Python 3.11, jax 0.10.2, 2026-11-26)
"""

from lstm_jax.training import experiment


def get_config(mode: str = ""):
    """`:two` has an encoder and a forecaster of their own, as the paper has them.

    `:smoke` runs the same code in seconds, on generated strokes: it needs no data.
    """
    if mode not in ("", "two", "smoke"):
        raise ValueError(f"there is no mode {mode!r}; there are: two, smoke")
    config = experiment(
        task="frame_prediction",
        seed=0,  # of initialisation
        data={
            "source": "moving_blobs" if mode == "smoke" else "moving_mnist",
            "seen": 10,  # frames
            "forecast": 10,
            "batch_size": 4,
            "evaluation_batch_size": 32,
            "evaluation_examples": 256,  # of validation and of test, always the same
            "epoch_batches": 100,
        },
        model={
            "cell": {"name": "conv_lstm", "kernel_size": 3},  # places of the plane
            "hidden_size": 32,  # memory cells of each layer at every place
            "num_layers": 2,
            "patch": 4,  # pixels
            # One network that reads its own forecasts; False for the two of the paper.
            "feedback": mode != "two",
        },
        optimizer={"name": "adam", "learning_rate": 2e-3},
        schedule={"name": "warmup_cosine", "warmup": 0.02, "end": 0.02},  # shares of run and peak
        train={
            "duration": "5000 steps",
            "report_every": "20 steps",
            "evaluate_every": "50 percent",
            "checkpoint_every": "100 steps",
            "gradient_clip_norm": 10.0,  # global norm; the loss is a sum over 4,096 pixels
            "writers": (),
            "gate_statistics": False,
        },
    )
    if mode == "smoke":
        config.data.side = 16  # pixels
        config.data.seen = 4
        config.data.forecast = 3
        config.data.evaluation_batch_size = 4
        config.data.evaluation_examples = 6
        config.model.hidden_size = 4
        config.train.duration = "20 steps"
        config.train.report_every = "5 steps"
        config.train.evaluate_every = "10 steps"
        config.train.checkpoint_every = "10 steps"
    return config
