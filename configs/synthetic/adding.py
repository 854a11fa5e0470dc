"""The adding problem: the sum of two marked numbers among 600 (Hochreiter and Schmidhuber, 1997).

Command: lstm-jax train --config=configs/synthetic/adding.py --workdir=runs/adding
Result:  a mean squared error of 0.0013 on the test split after 900 steps, where always the mean has
         0.158 (experiments/synthetic)
Time:    4 minutes on a core shared with other work (x86-64, Python 3.11, jax 0.10.2)
"""

from memory_training import shorten, training

from lstm_jax.training import experiment


def get_config(mode: str = ""):
    """`:long` goes on from the run above with sequences of 65,536 steps.

    `:smoke` runs the same code in seconds.
    """
    config = experiment(
        task="memory",
        seed=0,  # of initialisation
        data={
            "problem": "adding",
            "length": 600,  # steps of a sequence
            "batch_size": 32,
            "evaluation_examples": 500,  # of validation, of test, and of every split of `lengths`
        },
        model={
            # Memories of all lengths up to that of the problem, from the start (arXiv 1804.11188).
            "cell": {"name": "lstm", "chrono_max": 600},
            "hidden_size": 64,
        },
        optimizer={"name": "adam", "learning_rate": 5e-3},
        schedule={"name": "constant"},
        train=training("6000 steps", evaluate_every="100 steps"),
        early_stopping={"target": 2e-3},  # mean squared error; always answering 1 has 0.167
    )
    if mode == "long":
        config.init_from.workdir = "runs/adding"
        config.data.length = 65_536
        config.data.batch_size = 4
        config.data.evaluation_batch_size = 4
        config.data.evaluation_examples = 16
        config.data.epoch_batches = 10
        config.optimizer.learning_rate = 1e-3
        config.train.remat = "sqrt"  # memory as the root of the length
        config.train.duration = "60 steps"
        config.train.report_every = "5 steps"
        config.train.evaluate_every = "20 steps"
    elif mode == "smoke":
        config.data.length = 12
        config.data.lengths = ("20",)
        config.model.cell.chrono_max = 12
        config.model.hidden_size = 12
        shorten(config)
    elif mode:
        raise ValueError(f"there is no mode {mode!r}; there are: long, smoke")
    return config
