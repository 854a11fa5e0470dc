"""A search whose trials train as one program, in batches: ask many, tell many.

A population has a fixed number of slots. A trial takes a slot at its own step 0, ends there, and
the slot is taken by the next. All trials read the same batches: one that comes later reads on where
the data stand. `population/` in the folder of the search holds one checkpoint for all.
"""

import dataclasses
import math
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

from lstm_jax.data.loader import endless
from lstm_jax.errors import UserError
from lstm_jax.sweeps.admission import Admitted, number_at
from lstm_jax.sweeps.exploit import choose_parents, perturb
from lstm_jax.sweeps.members import Members, member
from lstm_jax.sweeps.scorers import Scorers
from lstm_jax.sweeps.search import Search
from lstm_jax.sweeps.slots import Slot
from lstm_jax.sweeps.trials import Trials
from lstm_jax.sweeps.unpack import Moment, open_run, unpack
from lstm_jax.training.checkpoints import Checkpoints
from lstm_jax.training.durations import Progress
from lstm_jax.training.experiment import Experiment, build_experiment, load_config
from lstm_jax.training.interruption import Interruption
from lstm_jax.training.lock import Lock
from lstm_jax.training.run import Run
from lstm_jax.training.session import count_parameters
from lstm_jax.training.state import TrainState
from lstm_jax.training.writers import MetricWriter

FOLDER = "population"
_CHECK_EVERY = 100  # steps: the longest that a diverged trial keeps its slot unnoticed
_MOST_SKIPPED = 100  # steps in a row


class Population:
    """The trials under way, from the checkpoint of the search if there is one.

    Args:
      study: of Optuna.
      search: what is searched.
      admitted: what the program is.
      size: how many slots there are.
      exploits: whether the worst go on as changed copies of the best.
      tell: is called with every trial that ends, as the study has it.

    Raises:
      UserError: another process works on it, or its checkpoint is damaged.
    """

    def __init__(
        self,
        study: Any,
        search: Search,
        admitted: Admitted,
        size: int,
        *,
        exploits: bool = False,
        tell: Callable[[Any], None] = lambda trial: None,
    ):
        self._search, self._exploits = search, exploits
        self._trials = Trials(study, search, tell)
        self._common = admitted.common
        self._folder = search.folder / FOLDER
        self._folder.mkdir(exist_ok=True)
        self._lock = Lock(self._folder)
        self._members = Members(admitted.common, admitted.corners, size)
        self._scorers = Scorers(admitted.common, search, size)
        self._data = endless(self._common.dataset.train)
        self._checkpoints = Checkpoints(self._folder / "checkpoints", keep_latest=2, keep_best=1)
        self.slots = [Slot() for _ in range(size)]
        self.tick = 0
        self._writers: dict[int, MetricWriter] = {}
        self._began = time.monotonic()
        first = self._common.first_state(self._common.experiment)
        self.state = self._members.stack([first] * size)
        self.best = self._members.stack([first] * size)
        self._resume()
        self._numbers = self._inputs()

    @property
    def active(self) -> list[bool]:
        """Which slots hold a trial."""
        return [slot.trial is not None for slot in self.slots]

    def run(self) -> None:
        """Trains until there are as many trials as asked for, and all have ended.

        Raises:
          KeyboardInterrupt: by Ctrl-C or SIGTERM; the state is saved.
        """
        with Interruption() as interruption:
            if self._fill():
                self._save()
            while any(self.active):
                self.advance()
                if interruption.signal is not None:
                    self._save()
                    self._checkpoints.wait()
                    raise KeyboardInterrupt
            self._checkpoints.wait()
        self._checkpoints.close()

    def advance(self) -> None:
        """One step of all trials, and what is due behind it."""
        active = self.active
        self.state = self._members.step(self._numbers, active, self.state, next(self._data))
        self.tick += 1
        for slot in self.slots:
            slot.step += slot.trial is not None
        due = {i: self._due(self.slots[i]) for i, is_active in enumerate(active) if is_active}
        report, evaluate, checkpoint = (
            [i for i, whats in due.items() if whats[kind]] for kind in range(3)
        )
        at_rest = bool(report or evaluate or checkpoint)
        if at_rest or self.tick % _CHECK_EVERY == 0:
            self._clock()
            ended = self._diverged()
            if report:
                self._report(report)
            if evaluate:
                ended += self._evaluate([i for i in evaluate if self.slots[i].trial is not None])
            if self._fill() or ended or at_rest:
                self._save()

    def _due(self, slot: Slot) -> tuple[bool, bool, bool]:
        return self._common.plan.due(Progress(slot.step - 1), Progress(slot.step))

    def _clock(self) -> None:
        """Every trial has its share of the time since the last look."""
        jax.block_until_ready(self.state.step)
        now = time.monotonic()
        held = [slot for slot in self.slots if slot.trial is not None]
        for slot in held:
            slot.seconds += (now - self._began) / len(held)
        self._began = now

    def _diverged(self) -> list[int]:
        """Ends trials whose state stands still since their numbers went wrong."""
        guard, ended = jax.device_get(self.state.guard), []
        for i, slot in enumerate(self.slots):
            step, skipped = int(guard.bad_step[i]), int(guard.skipped_in_a_row[i])
            if slot.trial is None or (step < 0 and skipped < _MOST_SKIPPED):
                continue
            reason = f"loss or gradient are not finite at step {step}"
            self._trials.fail(
                slot.trial, reason if step >= 0 else f"{skipped} steps in a row were skipped"
            )
            ended.append(self._leave(i))
        return ended

    def _report(self, due: Sequence[int]) -> None:
        """Writes what was counted since the last report, and counts anew."""
        found = jax.device_get(self.state.sums)
        for i in due:
            if self.slots[i].trial is None:
                continue
            sums = {name: float(values[i]) for name, values in found.items()}
            values: dict[str, float] = {}
            if sums["steps"]:
                values = self._common.learner.summarize(sums)
                norms = (name for name in sums if name.startswith("gradient_norm"))
                values |= {name: sums[name] / sums["steps"] for name in norms}
            self._writers[i].write(self.slots[i].step, "train", values)
        which = [i in due for i in range(len(self.slots))]
        self.state = self._members.count_anew(which, self.state)

    def _evaluate(self, due: Sequence[int]) -> list[int]:
        """Evaluates, keeps what is best, and ends trials that are done or behind."""
        found = self._figures(due, self._members.evaluation_params(self.state), "validation")
        better = [False] * len(self.slots)
        for i in due:
            slot, values = self.slots[i], found[i]
            self._writers[i].write(slot.step, "validation", values)
            metric = self._common.learner.metrics[0]
            score = (1 if metric.lower_is_better else -1) * values[metric.name]
            rule = self._common.experiment.early_stopping
            slot.history, slot.score = rule.observe(slot.history, score), score
            if slot.best is None or score <= slot.best["score"]:  # of equals the latest, as a run
                better[i] = True
                slot.best = {
                    "step": slot.step,
                    "score": score if math.isfinite(score) else math.inf,
                    "values": values,
                    "position": self._data.get_state(),
                    "seconds": slot.seconds,
                }
            self._trials.report(self._number(i), slot.step, values)
        self.best = self._members.chosen(better, self.state, self.best)
        total = self._common.plan.steps
        at_end = [i for i in due if self.slots[i].step >= total]
        going = [i for i in due if self.slots[i].step < total]
        self._finish(at_end)
        behind = [i for i in going if self._trials.ends_here(self._number(i))]
        if self._exploits:
            self._exploit(going)
        return [self._leave(i) for i in [*at_end, *behind]]

    def _figures(self, due: Sequence[int], params: Any, split: str) -> dict[int, dict[str, float]]:
        """What an evaluation of each has found, of parameters of all."""
        batches = self._common.dataset.splits[split]
        found = self._members.evaluate(self._numbers, params, batches)
        for i in due:
            overrides = self._trials.overrides(self._number(i))
            found[i] |= self._scorers.score(overrides, member(params, i), split)
        return {i: found[i] for i in due}

    def _finish(self, ended: Sequence[int]) -> None:
        """Tells trials that are at their end, with the figures of their best evaluation."""
        if not ended:
            return
        params = self._members.evaluation_params(self.best)
        others = {
            split: self._figures(ended, params, split)
            for split in self._common.dataset.splits
            if split not in ("train", "validation")
        }
        parameters = count_parameters(params) // len(self.slots)
        for i in ended:
            slot = self.slots[i]
            assert slot.best is not None
            result = {"steps": slot.step, "best_step": slot.best["step"], "parameters": parameters}
            result["seconds"] = round(slot.seconds, 2)
            result |= {f"validation/{k}": v for k, v in slot.best["values"].items()}
            for split, values in others.items():
                result |= {f"{split}/{k}": v for k, v in values[i].items()}
            self._trials.complete(self._number(i), result)
        winners = self._trials.best()
        for i in ended:
            if self.slots[i].trial in winners:
                self._unpack(i)

    def _unpack(self, i: int) -> None:
        slot = self.slots[i]
        assert slot.best is not None
        best, history = slot.best, slot.history
        moments = [
            Moment(
                best["step"], member(self.best, i), best["position"], best["seconds"],
                {"best": best["score"], "evaluations": 0}, best["score"],
            ),
            Moment(
                slot.step, member(self.state, i), self._data.get_state(), slot.seconds,
                history, slot.score,
            ),
        ]  # fmt: skip
        if best["step"] == slot.step:
            del moments[0]
        unpack(Run.load(self._run_folder(self._number(i))), self._common, self._data, moments)

    def _exploit(self, going: Sequence[int]) -> None:
        """The worst of those of one age go on as changed copies of the best of them."""
        ages: dict[int, dict[int, float]] = {}
        for i in going:
            slot = self.slots[i]
            if slot.trial is not None and slot.score is not None:
                ages.setdefault(slot.step, {})[i] = slot.score
        order = list(range(len(self.slots)))
        for step, scores in ages.items():
            # Of the step, so that a search that goes on chooses as one that went through.
            rng = np.random.default_rng([self._search.seed, self.tick, step])
            for i, parent in choose_parents(scores, rng).items():
                order[i] = parent
                self._copy(i, self.slots[parent], rng)
        if order != list(range(len(order))):
            self.state = self._members.copied(self.state, order)
            self._numbers = self._inputs()

    def _copy(self, i: int, parent: Slot, rng: np.random.Generator) -> None:
        assert parent.trial is not None
        overrides = perturb(self._trials.overrides(parent.trial), self._search.space, rng)
        origin = {"from_step": parent.step, "replaces": self._number(i)}
        self._trials.prune(self._number(i))
        self._leave(i)
        copy = self._trials.copy(parent.trial, overrides, origin)
        self._enter(i, copy.number)
        self.slots[i] = dataclasses.replace(self.slots[i], step=parent.step, score=parent.score)

    def _fill(self) -> list[int]:
        """Puts trials into the empty slots, as long as the search wants more."""
        filled, news = [], []
        for i in range(len(self.slots)):
            while self.slots[i].trial is None:
                trial = self._trials.next([slot.trial for slot in self.slots])
                if trial is None:
                    break
                try:
                    news.append(self._common.first_state(self._enter(i, trial.number)))
                    filled.append(i)
                except UserError as error:
                    self._trials.fail(trial.number, str(error))
                    self._leave(i)
        if filled:
            self.state = self._members.put(self.state, filled, news)
            self._numbers = self._inputs()
        return filled

    def _enter(self, i: int, number: int) -> Experiment:
        """A trial takes a slot; its state is another matter."""
        overrides = (*self._search.overrides, *self._trials.overrides(number))
        config = load_config(self._search.config, overrides)
        experiment = build_experiment(config)
        open_run(self._run_folder(number), config)
        self._writers[i] = MetricWriter(self._run_folder(number), 0, ())
        self.slots[i] = Slot(
            trial=number,
            numbers={field: number_at(config, field) for field in self._members.fields},
            history=experiment.early_stopping.begin(),
        )
        return experiment

    def _leave(self, i: int) -> int:
        if i in self._writers:
            self._writers.pop(i).close()
        self.slots[i] = Slot()
        return i

    def _inputs(self) -> Any:
        base = {f: corners[0] for f, corners in self._members.corners.items()}
        return self._members.numbers([{**base, **slot.numbers} for slot in self.slots])

    def _run_folder(self, number: int) -> Path:
        return self._search.planned(number, ()).folder

    def _number(self, i: int) -> int:
        number = self.slots[i].trial
        assert number is not None
        return number

    def _save(self) -> None:
        trees = {
            "params": self.state.params,
            "training": {
                "rest": self.state._replace(params=())._asdict(),
                "best": self.best._asdict(),
            },
        }
        meta = {
            "slots": [slot.to_json() for slot in self.slots],
            "position": self._data.get_state(),
            "fingerprint": self._common.dataset.fingerprint,
        }
        self._checkpoints.save(self.tick, trees, meta, None)

    def _resume(self) -> None:
        shapes = self._members.shapes(member(self.state, 0))
        like = {
            "params": shapes.params,
            "training": {"rest": shapes._replace(params=())._asdict(), "best": shapes._asdict()},
        }
        restored = self._checkpoints.resume(like)
        if restored is None:
            return
        if restored.meta["fingerprint"] != self._common.dataset.fingerprint:
            raise UserError(f"{self._folder}: the data are not those that the trials began with")
        rest = restored.trees["training"]["rest"]
        self.state = self._members.placed(
            TrainState(**{**rest, "params": restored.trees["params"]})
        )
        self.best = self._members.placed(TrainState(**restored.trees["training"]["best"]))
        self.slots = [Slot.from_json(slot) for slot in restored.meta["slots"]]
        self.tick = restored.step
        self._data.set_state(restored.meta["position"])
        for i, slot in enumerate(self.slots):
            if slot.trial is not None:
                self._writers[i] = MetricWriter(self._run_folder(slot.trial), slot.step, ())
