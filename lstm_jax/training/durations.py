"""Durations of a config in steps."""


def to_steps(duration: str, steps_per_epoch: int) -> int:
    """The number of steps, at least one.

    >>> to_steps("300 steps", 40), to_steps("2.5 epochs", 40)
    (300, 100)
    """
    number, unit = duration.split()
    per_unit = steps_per_epoch if unit.startswith("epoch") else 1
    return max(1, round(float(number) * per_unit))
