"""Is a review of a film positive or negative? A bidirectional LSTM on IMDB (official split).

Command: lstm-jax train --config=configs/text/imdb.py --workdir=runs/imdb
Own texts: --config.data.source=csv_file --config.data.path=texts.csv (columns text and label)
"""

from lstm_jax.training import experiment

STEPS = ("remove_markup", "lowercase", "split_punctuation", "one_line")
MODES = ("smoke",)


def get_config(mode: str = ""):
    """`:smoke` runs the same code in seconds, on generated sentences."""
    if mode and mode not in MODES:
        raise ValueError(f"there is no mode {mode!r}; there are: {', '.join(MODES)}")
    reviews = {
        "source": "tfds_labelled",
        "dataset": "imdb_reviews",
        "validation_share": 0.06,  # of the training reviews; the test split is TFDS's own
    }
    smoke = mode.startswith("smoke")
    config = experiment(
        task="text_classification",
        seed=0,  # of initialisation and dropout
        data={
            **({"source": "generated_opinions"} if smoke else reviews),
            "steps": STEPS,
            "tokenizer": {"name": "words", "max_size": 20_000},
            "max_length": 400,  # words of a training review: half from its start, half from its end
            "evaluation_max_length": None,  # held-out reviews are read whole
            "batch_size": 32,
            "evaluation_batch_size": 64,
            "buckets": 6,  # lengths that compile
        },
        model={
            "cell": {"name": "lstm", "forget_bias": 1.0},
            "embedding_size": 128,  # size of a word's vector
            "hidden_size": 128,  # memory cells in each direction
            "bidirectional": True,
            "pooling": ("max", "mean"),
            "dropout": {"words": 0.1, "input": 0.3, "output": 0.5},  # shares
        },
        optimizer={"name": "adamw", "learning_rate": 2e-3, "weight_decay": 0.0},
        schedule={"name": "warmup_cosine", "warmup": 0.05, "end": 0.02},  # shares of run and peak
        averaging={"name": "ema", "decay": 0.995},
        train={
            "duration": "4 epochs",
            "report_every": "50 steps",
            "evaluate_every": "0.5 epochs",
            "checkpoint_every": "200 steps",
            "gradient_clip_norm": 1.0,  # global norm
            "gate_statistics": False,
        },
    )
    if smoke:
        config.data.batch_size = 16
        config.data.buckets = 2
        config.model.embedding_size = 8
        config.model.hidden_size = 16
        config.model.dropout.update({"words": 0.0, "input": 0.0, "output": 0.1})
        config.optimizer.learning_rate = 2e-2
        config.averaging.decay = 0.9
        config.train.duration = "4 epochs"
        config.train.report_every = "10 steps"
        config.train.evaluate_every = "1 epoch"
        config.train.checkpoint_every = "20 steps"
    return config
