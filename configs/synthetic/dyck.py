"""Dyck words, two kinds of brackets, up to eight deep: which may be closed (arXiv 2010.07515).

Command: lstm-jax train --config=configs/synthetic/dyck.py --workdir=runs/dyck
Result:  0.9998 of the answers are right on the test split (4 to 64 steps), 0.994 at 256 steps
         (experiments/synthetic)
Time:    26 s of training on one core shared with other work (x86-64, Python 3.11, jax 0.10.2)
"""

from memory_training import shorten, training

from lstm_jax.training import experiment


def get_config(mode: str = ""):
    """`:smoke` runs the same code in seconds."""
    config = experiment(
        task="memory",
        seed=0,  # of initialisation
        data={
            "problem": "dyck",
            "kinds": 2,  # of brackets
            "max_depth": 8,  # the most brackets open at a time
            "min_length": 4,  # steps of the shortest sequences of training and validation
            "max_length": 64,
            "lengths": ("64", "128", "256"),  # of the splits length_64, length_128, ...
            "batch_size": 64,
            "evaluation_examples": 500,
        },
        model={"cell": {"name": "lstm"}, "hidden_size": 64},
        optimizer={"name": "adam", "learning_rate": 5e-3},
        schedule={"name": "warmup_cosine", "warmup": 0.05, "end": 0.02},  # shares of run and peak
        train=training("2000 steps", evaluate_every="200 steps", checkpoint_every="1000 steps"),
    )
    if mode == "smoke":
        config.data.max_length = 8
        config.data.lengths = ("8", "12")
        config.model.hidden_size = 8
        shorten(config)
    elif mode:
        raise ValueError(f"there is no mode {mode!r}; there is: smoke")
    return config
