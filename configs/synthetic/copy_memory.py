"""Copy memory: ten symbols, asked for 1000 steps later (M. Arjovsky et al., arXiv 1511.06464).

Command: lstm-jax train --config=configs/synthetic/copy_memory.py --workdir=runs/copy
         and with :standard, for a forget bias of 1 in place of the chrono initialisation
Result:  not run at this delay. With a delay of 200, 11,000 steps: 0.070 nats a step, 0.345 of the
         symbols recalled; :standard 0.095 and 0.136, which is no memory (experiments/synthetic)
Time:    2 to 4 minutes for those on one core shared with other work (x86-64, jax 0.10.2)
"""

from lstm_jax.training import experiment

MODES = ("standard", "smoke")


def get_config(mode: str = ""):
    """`:standard` starts with a forget bias of 1 in place of the chrono initialisation.

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
            "batch_size": 16,
            "evaluation_examples": 200,
        },
        model={
            # Memories of all lengths up to 3/2 of the delay, as in C. Tallec and Y. Ollivier,
            # arXiv 1804.11188.
            "cell": {"name": "lstm", "chrono_max": None if mode == "standard" else 1500},
            "hidden_size": 64,
        },
        optimizer={"name": "adam", "learning_rate": 3e-3},
        schedule={"name": "constant"},
        train={
            "duration": "10000 steps",
            "report_every": "50 steps",
            "evaluate_every": "200 steps",
            "checkpoint_every": "500 steps",
            "gradient_clip_norm": 1.0,  # global norm
            "writers": (),
            "gate_statistics": False,  # pictures at the end show the gates
        },
        early_stopping={"target": 1e-3},  # nats a step; without a memory one has 0.0204
    )
    if mode == "smoke":
        config.data.delay = 8
        config.data.copied = 3
        config.data.evaluation_examples = 64
        config.model.cell.chrono_max = 12
        config.model.hidden_size = 16
        config.train.duration = "40 steps"
        config.train.report_every = "10 steps"
        config.train.evaluate_every = "20 steps"
    return config
