"""Digits of MNIST read pixel by pixel, 784 steps (Q. V. Le et al., arXiv 1504.00941).

Command: lstm-jax train --config=configs/synthetic/sequential_mnist.py --workdir=runs/smnist
         and with :permuted, or :rows for 28 steps of a row each, which is far easier
Result:  on the test split 0.9855 in order, 0.939 :permuted; :rows 0.980 in 1,531 steps
         (experiments/synthetic)
Time:    12 and 17 minutes on one core (x86-64, Python 3.11, jax 0.10.2, 2026-11-26)
"""

from memory_training import shorten, training

from lstm_jax.training import experiment

MODES = ("permuted", "rows", "smoke")


def get_config(mode: str = ""):
    """`:permuted` reads the pixels in an order drawn once, `:rows` a row at a step.

    `:smoke` runs the same code in seconds, on generated sequences: it needs no data.
    """
    if mode and mode not in MODES:
        raise ValueError(f"there is no mode {mode!r}; there are: {', '.join(MODES)}")
    rows = mode == "rows"
    pixels = {
        "problem": "sequential_mnist",
        "permuted": mode == "permuted",
        "read": "rows" if rows else "pixels",
    }
    muon = {"name": "muon", "learning_rate": 0.02, "adam_learning_rate": 5e-3}  # Adam: biases
    config = experiment(
        task="memory",
        seed=0,  # of initialisation
        data={
            **({"problem": "temporal_order", "length": 20} if mode == "smoke" else pixels),
            "batch_size": 64 if rows else 32,
            "evaluation_batch_size": 200,
        },
        model={
            "cell": {"name": "lstm", "chrono_max": None if rows else 784},
            "hidden_size": 128 if rows else 64,
        },
        optimizer={"name": "adam", "learning_rate": 2e-3} if rows else muon,
        schedule={"name": "warmup_cosine", "warmup": 0.05, "end": 0.02},  # shares of run and peak
        train=training("3 epochs" if rows else "8 epochs", evaluate_every="1 epoch"),
    )
    if mode == "smoke":
        config.model.cell.chrono_max = 20
        config.model.hidden_size = 8
        shorten(config)
    return config
