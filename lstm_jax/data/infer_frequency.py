"""The frequency that time stamps seem to have."""

from collections.abc import Sequence

import numpy as np

from lstm_jax.data.calendar import SECONDS, Frequency, Unit


def infer_frequency(stamps: Sequence[np.ndarray], time_zone: str | None = None) -> Frequency | None:
    """The frequency that time stamps seem to have; None if no series has two of them.

    Where some are no steps of any frequency it is the step between most neighbours.

    >>> days = np.array(["2024-01-31", "2024-02-29", "2024-03-31"], "datetime64[s]")
    >>> str(infer_frequency([days]))
    'ME'

    Args:
      stamps: the times of each series, datetime64[s], rising.
      time_zone: that of `Frequency`.
    """
    candidates = _candidates(stamps, time_zone)
    for frequency in candidates:
        if all((frequency.positions(times[0], times) >= 0).all() for times in stamps if len(times)):
            return frequency
    return candidates[-1] if candidates else None


def _candidates(stamps: Sequence[np.ndarray], time_zone: str | None) -> list[Frequency]:
    gaps = np.concatenate([np.diff(times).astype(np.int64) for times in stamps])
    if not len(gaps):
        return []
    found = _by_months(stamps, time_zone) if gaps.min() >= 28 * SECONDS["D"] else []
    days = np.concatenate(list(stamps)).astype("datetime64[D]")
    weekends = np.ptp(days.astype(np.int64)) >= 7 and np.is_busday(days).all()
    if gaps.min() == SECONDS["D"] and weekends:
        found.append(Frequency("B", 1, time_zone))
    # The gap that most neighbours have: a few rows that are missing, or too many, change nothing.
    values, counts = np.unique(gaps, return_counts=True)
    step = int(values[counts.argmax()])
    unit: Unit = "s"
    for larger in ("min", "h", "D", "W"):
        if step % SECONDS[larger] == 0:
            unit = larger
    return [*found, Frequency(unit, step // SECONDS[unit], time_zone)]


def _by_months(stamps: Sequence[np.ndarray], time_zone: str | None) -> list[Frequency]:
    months = [times.astype("datetime64[M]").astype(np.int64) for times in stamps]
    step = int(np.gcd.reduce(np.concatenate([np.diff(number) for number in months])))
    days = np.concatenate(list(stamps)).astype("datetime64[D]")
    last = (days + 1).astype("datetime64[M]") != days.astype("datetime64[M]")
    letter, length = next(pair for pair in (("Y", 12), ("Q", 3), ("M", 1)) if step % pair[1] == 0)
    unit: Unit = f"{letter}{'E' if last.all() else 'S'}"  # pyright: ignore[reportAssignmentType]
    return [Frequency(unit, step // length, time_zone)] if step else []
