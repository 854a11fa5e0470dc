"""A character language model: two LSTM layers on Python's own documentation.

Command: lstm-jax train --config=configs/text/char_lm.py --workdir=runs/char_lm
Result:  1.83 bits per character on the held-out test topics, where xz -9 needs 2.33 (1.89 after the
         training text) and a Kneser-Ney 5-gram 1.93; experiments/text/char_lm
Time:    26 s on 2 CPU cores, compilation and evaluations included (Python 3.11, jax 0.10.2)
Own text: --config.data.source=text_file --config.data.path=book.txt
"""

from lstm_jax.training import experiment


def get_config(mode: str = ""):
    """`:smoke` runs the same code in seconds."""
    config = experiment(
        task="language_model",
        seed=0,  # of initialisation, dropout and samples
        data={
            "source": "python_docs",  # embedded in every CPython: no download
            "tokenizer": "characters",  # what a symbol is
            "batch_size": 16,  # streams side by side
            "window": 64,  # symbols between two updates
        },
        model={
            "cell": {"name": "lstm", "forget_bias": 1.0},
            "embedding_size": 64,  # size of a symbol's vector
            "hidden_size": 160,  # memory cells a layer
            "num_layers": 2,
            "dropout": 0.1,  # share of activations between layers
        },
        optimizer={"name": "adamw", "learning_rate": 8e-3, "b2": 0.99, "weight_decay": 0.0},
        schedule={"name": "warmup_cosine", "warmup": 0.05, "end": 0.02},  # shares of run and peak
        train={
            "duration": "8 epochs",
            "report_every": "50 steps",
            "evaluate_every": "1 epoch",
            "checkpoint_every": "100 steps",
            "gradient_clip_norm": 1.0,  # global norm
        },
    )
    if mode == "smoke":
        config.data.batch_size = 4
        config.data.window = 16
        config.data.evaluation_batch_size = 16
        config.model.hidden_size = 16
        config.model.embedding_size = 8
        config.train.duration = "40 steps"
        config.train.report_every = "10 steps"
        config.train.evaluate_every = "20 steps"
        config.train.checkpoint_every = "10 steps"
        config.sample.length = 40
    elif mode:
        raise ValueError(f"there is no mode {mode!r}; there is: smoke")
    return config
