"""A word language model of the training reviews of IMDB, for `imdb.py:pretrained` to start from.

Command: lstm-jax train --config=configs/text/imdb_lm.py --workdir=runs/imdb_lm
Result:  perplexity 105.9 on held-out training reviews, 38 minutes on one core of a busy machine
         (x86-64, Python 3.11, jax 0.10.2, 2026-11-25; experiments/text/imdb/language_model)
Backward: --config=configs/text/imdb_lm.py:backward reads every review from its end
"""

from lstm_jax.training import experiment

# What the classifier that starts from the run does to its texts too.
STEPS = ("remove_markup", "lowercase", "split_punctuation", "one_line")
MODES = ("backward", "smoke", "smoke_backward")


def get_config(mode: str = ""):
    """`:backward` reads from the end; `:smoke` runs the same code in seconds."""
    if mode and mode not in MODES:
        raise ValueError(f"there is no mode {mode!r}; there are: {', '.join(MODES)}")
    reviews = {
        "source": "tfds_text",
        "dataset": "imdb_reviews",
        "train": "train[:98%]",  # texts of the training split alone, their labels unread
        "validation": "train[98%:]",
        "test": "train[98%:]",  # no test review is looked at
    }
    smoke = mode.startswith("smoke")
    config = experiment(
        task="language_model",
        seed=0,  # of initialisation, dropout and samples
        data={
            **({"source": "python_docs"} if smoke else reviews),
            "steps": (*STEPS, "reverse_words") if mode.endswith("backward") else STEPS,
            "tokenizer": {"name": "words", "max_size": 20_000},
            "batch_size": 64,  # streams side by side
            "window": 70,  # words between two updates
            "evaluation_batch_size": 16,
            "baselines": False,
        },
        model={
            "cell": {"name": "lstm", "forget_bias": 1.0},
            "embedding_size": 200,  # size of a word's vector
            "hidden_size": 256,  # memory cells
            "num_layers": 1,
            "regularization": {"input": 0.1, "output": 0.1},  # shares that are dropped
            # Numbers follow frequency: three quarters of what is read is among the first thousand.
            "head": {"name": "adaptive_softmax", "cutoffs": ("1000", "5000")},
        },
        sample={"length": 60, "prompt": "this movie is "},
        optimizer={"name": "adamw", "learning_rate": 3e-3, "b2": 0.99, "weight_decay": 0.0},
        schedule={"name": "warmup_cosine", "warmup": 0.03, "end": 0.02},  # shares of run and peak
        train={
            "duration": "3 epochs",
            "report_every": "50 steps",
            "evaluate_every": "0.5 epochs",
            "checkpoint_every": "200 steps",
            "gradient_clip_norm": 1.0,  # global norm
            "gate_statistics": False,
        },
    )
    if smoke:
        config.data.tokenizer.max_size = 300
        config.data.batch_size = 4
        config.data.window = 16
        config.model.embedding_size = 8
        config.model.hidden_size = 16
        config.model.head.cutoffs = ("50", "200")
        config.train.duration = "20 steps"
        config.train.report_every = "10 steps"
        config.train.evaluate_every = "10 steps"
        config.train.checkpoint_every = "10 steps"
        config.sample.length = 10
    return config
