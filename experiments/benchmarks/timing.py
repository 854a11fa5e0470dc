"""Contestants timed in turns."""

import argparse
import math
import statistics
import time
from collections.abc import Mapping

from contestants import CannotServeError, Contestant, Layer, Run

Times = dict[str, list[float]]  # of every contestant: milliseconds by size

_LEAST = 0.02  # seconds of timed calls in a turn


def measure(contestants: Mapping[str, Contestant], options: argparse.Namespace) -> dict[str, Times]:
    """Median milliseconds, with gradients and without; NaN where a contestant cannot serve.

    Every round gives every contestant one turn, so that a busy moment of the machine hits all
    alike. A turn is a rest, an untimed call, then calls for at least 20 ms. Idle threads of torch
    and of XLA spin for some milliseconds after a call: without the rest, torch after XLA took 12 to
    20 % longer than by itself. And the first call after a rest wakes threads and caches, which took
    torch 30 % and more at the smallest size; where layers are used they are called again and again.
    """
    found: dict[str, Times] = {}
    for title, gradient in (("value and gradient", True), ("forward", False)):
        layers = [Layer(size, gradient, options.dtype) for size in options.sizes]
        by_size = [_medians(contestants, layer, options) for layer in layers]
        found[title] = {name: [medians[name] for medians in by_size] for name in contestants}
    return found


def _medians(contestants, layer: Layer, options: argparse.Namespace) -> dict[str, float]:
    runs = {name: _compiled(make, layer) for name, make in contestants.items()}
    times: Times = {name: [] for name in runs}
    for _ in range(options.rounds):
        for name, run in runs.items():
            times[name].append(math.nan if run is None else _turn(run, options.pause))
    return {name: statistics.median(taken) for name, taken in times.items()}


def _compiled(make: Contestant, layer: Layer) -> Run | None:
    try:
        run = make(layer)
    except CannotServeError:
        return None
    run()
    return run


def _turn(run: Run, pause: float) -> float:
    time.sleep(pause)
    run()
    calls, taken, began = 0, 0.0, time.perf_counter()
    while taken < _LEAST:
        run()
        calls, taken = calls + 1, time.perf_counter() - began
    return taken / calls * 1e3
