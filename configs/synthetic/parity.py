"""Parity, trained on 3 to 40 steps and tested on up to 256 (M. Beck et al., arXiv 2405.04517).

Command: lstm-jax train --config=configs/synthetic/parity.py:lstm --workdir=runs/parity_lstm
         and with slstm, mlstm, min_lstm in place of lstm
Result:  of 500 sequences of 256 steps the last answer is right for 1.000 (lstm), 1.000 (slstm),
         0.476 (mlstm) and 0.474 (min_lstm) (experiments/synthetic)
Time:    17, 50, 124 and 25 s on one busy core (x86-64, Python 3.11, jax 0.10.2)
"""

from memory_training import shorten, training

from lstm_jax.training import experiment

CELLS = ("lstm", "slstm", "mlstm", "min_lstm")


def get_config(mode: str = ""):
    """The mode is the cell, lstm if none; `:smoke` runs the same code in seconds."""
    if mode not in ("", "smoke", *CELLS):
        raise ValueError(f"there is no mode {mode!r}; there are: {', '.join(CELLS)}, smoke")
    config = experiment(
        task="memory",
        seed=0,  # of initialisation
        data={
            "problem": "parity",
            "min_length": 3,  # steps of the shortest sequences of training and validation
            "max_length": 40,
            "lengths": ("40", "64", "128", "256"),  # of the splits length_40, length_64, ...
            "batch_size": 64,
            "evaluation_examples": 500,
        },
        model={
            "cell": {"name": mode if mode in CELLS else "lstm"},
            "hidden_size": 32,
            "num_layers": 2,
        },
        optimizer={"name": "adam", "learning_rate": 5e-3},
        schedule={"name": "warmup_cosine", "warmup": 0.05, "end": 0.02},  # shares of run and peak
        train=training("3000 steps", evaluate_every="500 steps", checkpoint_every="1000 steps"),
    )
    if mode == "smoke":
        config.data.max_length = 8
        config.data.lengths = ("8", "12")
        config.model.hidden_size = 8
        shorten(config)
    return config
