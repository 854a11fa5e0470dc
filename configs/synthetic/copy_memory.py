"""Copy memory: ten symbols, asked for 1000 steps later (M. Arjovsky et al., arXiv 1511.06464).

Command: lstm-jax train --config=configs/synthetic/copy_memory.py --workdir=runs/copy_1000
         and with :slower, which goes on from there; with :standard, for a forget bias of 1 in
         place of the chrono initialisation
Result:  0.0022 nats a step on the test split after 40,000 steps, 0.939 of the symbols recalled;
         :slower goes on to 0.0010 and 0.977. Without a memory 0.0204 and 0.125; :standard 0.0198
         and 0.138 after 11,525 steps, and overflows in longer runs (experiments/synthetic)
Time:    18 and 9 minutes on one core with priority (x86-64, jax 0.10.2, 2026-11-26)
"""

from memory_training import shorten, training

from lstm_jax.training import experiment

MODES = ("slower", "standard", "smoke")


def get_config(mode: str = ""):
    """`:slower` goes on from `runs/copy_1000` at a third of the rate.

    `:standard` starts with a forget bias of 1 in place of the chrono initialisation.

    `:smoke` runs the same code in seconds.
    """
    if mode and mode not in MODES:
        raise ValueError(f"there is no mode {mode!r}; there are: {', '.join(MODES)}")
    config = experiment(
        task="memory",
        seed=0,  # of initialisation
        data={
            "problem": "copy_memory",
            "delay": 1000,  # steps between what is shown and what is asked
            "batch_size": 8,
            "evaluation_examples": 200,
        },
        model={
            "cell": {
                "name": "lstm",
                # Memories of all lengths up to 3/2 of the delay, as in C. Tallec and Y. Ollivier,
                # arXiv 1804.11188.
                "chrono_max": None if mode == "standard" else 1500,
                "initializer": "lecun_orthogonal",  # symbols weigh twice what they do with glorot
            },
            "hidden_size": 64,
        },
        # The longer the delay, the smaller the gradient: an eps of 1e-8 is large beside 3e-8.
        optimizer={
            "name": "muon",
            "learning_rate": 0.03,
            "eps": 1e-12,
            "weight_decay": 0.03,  # larger matrices make the gradient overflow
            "adam_learning_rate": 0.01,  # of biases
            "adam_b2": 0.99,
        },
        schedule={"name": "warmup_cosine", "warmup": 0.01, "end": 0.02},  # shares of run and peak
        train=training("40000 steps", evaluate_every="5 percent") | {"on_nonfinite": "skip"},
        early_stopping={"target": 1e-3},  # nats a step; without a memory one has 0.0204
    )
    if mode == "slower":
        config.init_from.workdir = "runs/copy_1000"
        config.optimizer.learning_rate = 0.01
        config.optimizer.adam_learning_rate = 0.003
        config.train.duration = "25000 steps"
    if mode == "smoke":
        config.data.delay = 8
        config.data.copied = 3
        config.model.cell.chrono_max = 12
        config.model.hidden_size = 16
        shorten(config)
    return config
