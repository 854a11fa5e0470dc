"""A population as one program against the same trials in turn: seconds of a step, and of compiling.

    python experiments/sweeps/population_speed.py --output=experiments/sweeps/population_speed.md

Rounds of the population and of a single trial alternate, so that what else the machine does falls
on both; the table has medians. "In turn" is a single trial times their number: a trial of a search
compiles its own step, since its numbers are constants there.
"""

import argparse
import platform
import statistics
import tempfile
import time
from pathlib import Path

import jax

from lstm_jax.sweeps.members import Common, Members, prepare
from lstm_jax.training import build_experiment, load_config
from lstm_jax.training.state import StepOptions, make_train_step

ROOT = Path(__file__).resolve().parents[2]
RATE = "optimizer.learning_rate"
TEXT = ("data.source=python_docs", "data.baselines=false")
CASES = {
    "char_lm:smoke, hidden 16": ("configs/text/char_lm.py:smoke", TEXT),
    "char_lm, hidden 64": ("configs/text/char_lm.py", (*TEXT, "model.hidden_size=64")),
    "char_lm, hidden 160": ("configs/text/char_lm.py", TEXT),
    "japanese_vowels:smoke, hidden 16": ("configs/series/japanese_vowels.py:smoke", ()),
    "japanese_vowels:smoke, hidden 64": (
        "configs/series/japanese_vowels.py:smoke",
        ("model.hidden_size=64",),
    ),
}


class Trainer:
    """Trains something for some steps again and again, from where it stands.

    Args:
      step: `(state, batch) -> state`.
      state: the first one.
      batches: cycled through.
    """

    def __init__(self, step, state, batches):
        self._step, self._state = step, state
        self._batches = [batches[i] for i in range(min(len(batches), 4))]
        began = time.perf_counter()
        for batch in self._batches:  # lengths of series differ, and each is compiled
            self._state = jax.block_until_ready(step(self._state, batch))
        self.compiled = time.perf_counter() - began
        self.rounds = []

    def round(self, steps):
        """Does some steps, and notes the seconds of each."""
        began = time.perf_counter()
        for i in range(steps):
            self._state = self._step(self._state, self._batches[i % len(self._batches)])
        jax.block_until_ready(self._state)
        self.rounds.append((time.perf_counter() - began) / steps)

    @property
    def seconds(self):
        """The median of a step."""
        return statistics.median(self.rounds)


def population(common: Common, size: int) -> Trainer:
    """Trials that differ in their rate, as one program."""
    members = Members(common, {RATE: (1e-3, 1e-2)}, size)
    numbers = members.numbers([{RATE: 1e-3 * (1 + 9 * i / size)} for i in range(size)])
    state = members.stack([common.first_state(common.experiment)] * size)
    active = [True] * size
    return Trainer(
        lambda state, batch: members.step(numbers, active, state, batch),
        state,
        common.dataset.train,
    )


def alone(common: Common) -> Trainer:
    """A trial as an ordinary run trains it."""
    options, own = StepOptions(), common.experiment
    learner = own.task.restore(common.assets, own.train.compute)
    step = make_train_step(learner, common.optimizer(own), options)
    return Trainer(step, common.first_state(own), common.dataset.train)


def measure(name: str, sizes, rounds: int, seconds: float):
    """A trial alone and populations of some sizes, by size, timed in turn."""
    config, overrides = CASES[name]
    experiment = build_experiment(load_config(str(ROOT / config), overrides))
    with tempfile.TemporaryDirectory() as assets:
        common = prepare(experiment, Path(assets))
        trainers = {1: alone(common), **{size: population(common, size) for size in sizes}}
        for one in trainers.values():
            one.round(2)
        steps = {s: max(2, int(seconds / one.seconds)) for s, one in trainers.items()}
        for one in trainers.values():
            one.rounds.clear()
        for _ in range(rounds):
            for size, one in trainers.items():
                one.round(steps[size])
    return trainers


def main() -> None:
    """Measures and prints a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", default="8,64")
    parser.add_argument("--cases", default="", help="words in the names of the cases")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=1.0, help="of a round")
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    sizes = [int(size) for size in options.sizes.split(",")]
    device = jax.devices()[0]
    lines = [
        f"{platform.machine()}, {device.platform}: {device.device_kind}, jax {jax.__version__}; "
        f"medians of {options.rounds} rounds of about {options.seconds} s, interleaved",
        "",
        "| network | trials | in turn, ms a step of all | population, ms | times as fast "
        "| compiling one, s | compiling the population, s |",
        "|---|---|---|---|---|---|---|",
    ]
    print("\n".join(lines), flush=True)
    for name in CASES:
        if options.cases and not any(word in name for word in options.cases.split(",")):
            continue
        trainers = measure(name, sizes, options.rounds, options.seconds)
        single = trainers.pop(1)
        for size, one in trainers.items():
            turn = size * single.seconds
            lines.append(
                f"| {name} | {size} | {1e3 * turn:.1f} | {1e3 * one.seconds:.1f} | "
                f"{turn / one.seconds:.2f} | {single.compiled:.1f} | {one.compiled:.1f} |"
            )
            print(lines[-1], flush=True)
    if options.output is not None:
        options.output.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
