"""Modular counting: the sum of digits modulo five, tested on longer sequences (arXiv 2207.02098).

Command: lstm-jax train --config=configs/synthetic/modular_counting.py --workdir=runs/counting
Result:  every answer is right, on the test split (3 to 40 steps) and up to 256 steps
         (experiments/synthetic)
Time:    75 s on one core shared with other work (x86-64, Python 3.11, jax 0.10.2)
"""

from memory_training import shorten, training

from lstm_jax.training import experiment


def get_config(mode: str = ""):
    """`:smoke` runs the same code in seconds."""
    config = experiment(
        task="memory",
        seed=0,  # of initialisation
        data={
            "problem": "modular_counting",
            "modulus": 5,
            "min_length": 3,  # steps of the shortest sequences of training and validation
            "max_length": 40,
            "lengths": ("40", "64", "128", "256"),  # of the splits length_40, length_64, ...
            "batch_size": 64,
            "evaluation_examples": 500,
        },
        model={"cell": {"name": "lstm"}, "hidden_size": 64},
        optimizer={"name": "adam", "learning_rate": 5e-3},
        schedule={"name": "warmup_cosine", "warmup": 0.05, "end": 0.02},  # shares of run and peak
        train=training("6000 steps", evaluate_every="200 steps", checkpoint_every="1000 steps"),
    )
    if mode == "smoke":
        config.data.max_length = 8
        config.data.lengths = ("8", "12")
        config.model.hidden_size = 8
        shorten(config)
    elif mode:
        raise ValueError(f"there is no mode {mode!r}; there is: smoke")
    return config
