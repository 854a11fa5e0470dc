"""Temporal order: in which order two symbols came (Hochreiter and Schmidhuber, 1997).

Command: lstm-jax train --config=configs/synthetic/temporal_order.py --workdir=runs/order
Result:  an accuracy of 0.996 on the test split after 3,000 steps (experiments/synthetic)
Time:    16 s of training on one core shared with other work (x86-64, Python 3.11, jax 0.10.2)
"""

from memory_training import shorten, training

from lstm_jax.training import experiment


def get_config(mode: str = ""):
    """`:three` asks for three symbols, `:smoke` runs the same code in seconds."""
    config = experiment(
        task="memory",
        seed=0,  # of initialisation
        data={
            "problem": "temporal_order",
            "length": 100,  # steps of the shortest sequences; the longest have 110
            "relevant": 3 if mode == "three" else 2,  # symbols that matter
            "batch_size": 32,
            "evaluation_examples": 500,
        },
        model={"cell": {"name": "lstm", "forget_bias": 3.0}, "hidden_size": 32},
        optimizer={"name": "adam", "learning_rate": 5e-3},
        schedule={"name": "constant"},
        train=training("3000 steps", evaluate_every="100 steps"),
        early_stopping={"target": 0.999},  # accuracy
    )
    if mode == "smoke":
        config.data.length = 20
        shorten(config)
    elif mode not in ("", "three"):
        raise ValueError(f"there is no mode {mode!r}; there are: three, smoke")
    return config
