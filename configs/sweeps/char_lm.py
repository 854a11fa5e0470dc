"""What to search for the character model: rate, size, dropout, and the forget gate's first bias.

Command: lstm-jax sweep --sweep=configs/sweeps/char_lm.py --workdir=runs/char_sweep
"""

from lstm_jax.sweeps import choice, loguniform, sweep, uniform


def get_sweep(mode: str = ""):
    """`:smoke` runs the same in a minute."""
    if mode not in ("", "smoke"):
        raise ValueError(f"there is no mode {mode!r}; there is: smoke")
    smoke = mode == "smoke"
    return sweep(
        "configs/text/char_lm.py:smoke" if smoke else "configs/text/char_lm.py",
        {
            "optimizer.learning_rate": loguniform(1e-3, 3e-2),
            "model.hidden_size": choice(16, 32) if smoke else choice(128, 192, 256),
            "model.regularization.output": uniform(0.0, 0.5),
            "model.cell.forget_bias": uniform(0.0, 3.0),
        },
        trials=3 if smoke else 16,
        sampler="tpe",
        pruner="median",
    )
