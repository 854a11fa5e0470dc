"""Populations of tasks that score their evaluations outside of the compiled program."""

import json
from pathlib import Path
from types import SimpleNamespace

import pytest

from lstm_jax.cli.main import main
from lstm_jax.sweeps import scorers
from lstm_jax.sweeps.scorers import Scorers
from lstm_jax.sweeps.study import load_study
from tests.conftest import REPOSITORY

pytest.importorskip("optuna")
_RATE, _DROPOUT = "optimizer.learning_rate", "model.dropout"


def test_trials_are_scored_by_their_own_tasks_on_their_own_splits(monkeypatch):
    prepared = []

    def learnt(texts):
        """A task's learner, whose figures say what the task was made of, and its splits."""
        splits = {"validation": object()}

        def score(params, batches):
            assert batches is splits["validation"]
            return {"made of": texts, "params": params}

        return SimpleNamespace(score=score), SimpleNamespace(splits=splits)

    def build(texts):
        prepared.append(texts)
        return SimpleNamespace(prepare=lambda assets: learnt(texts))

    monkeypatch.setattr(scorers, "load_config", lambda config, overrides: (config, *overrides))
    monkeypatch.setattr(scorers, "build_experiment", build)
    learner, dataset = learnt("common")
    task = SimpleNamespace(only_training=("loss", "model.token_dropout"))
    experiment = SimpleNamespace(task=task)
    common = SimpleNamespace(learner=learner, dataset=dataset, assets=Path(), experiment=experiment)
    search = SimpleNamespace(config="a.py", overrides=("model.cell=gru",))
    score = Scorers(common, search, 2).score  # pyright: ignore[reportArgumentType]
    for alike in ([f"{_RATE}=1", "seed=2"], ["loss.smoothing=0.1", "model.token_dropout=0.1"]):
        assert score(alike, 7, "validation") == {"made of": "common", "params": 7}
    for rate, dropout in ((1, 0.1), (2, 0.2), (3, 0.1)):
        own = ("a.py", "model.cell=gru", f"{_DROPOUT}={dropout}")
        found = score([f"{_RATE}={rate}", f"{_DROPOUT}={dropout}"], rate, "validation")
        assert found == {"made of": own, "params": rate}
    assert len(prepared) == 2
    common.learner.score = None
    assert score([], 7, "validation") == {}


@pytest.mark.long
@pytest.mark.parametrize(
    ("config", "duration"),
    [
        ("series/air_passengers.py", "12 steps"),
        ("text/translate_en_de.py", "12 steps"),
        ("audio/asr_ctc.py", "6 steps"),
        ("video/captions.py", "6 steps"),
    ],
)
def test_a_trial_of_a_population_scores_what_it_scores_alone(tmp_path, config, duration):
    folder = tmp_path / "search"
    config = REPOSITORY / "configs" / config
    arguments = [f"--config={config}:smoke", f"--config.train.duration={duration}"]
    arguments.append("--config.train.evaluate_every=3 steps")
    dimensions = [f"--set={_RATE}=uniform(1e-3,3e-3)", f"--set={_DROPOUT}=uniform(0.05,0.3)"]
    search = ["sweep", f"--workdir={folder}", "--engine=population", "--trials=2", *dimensions]
    assert main([*search, *arguments]) == 0
    for trial in load_study(folder).get_trials(deepcopy=False):
        own, alone = folder / f"trial_{trial.number:04d}", tmp_path / f"alone_{trial.number}"
        assert main(["train", f"--config={own / 'config.json'}", f"--workdir={alone}"]) == 0
        result = json.loads((alone / "result.json").read_text())
        figures = {k: v for k, v in trial.user_attrs.items() if k.startswith(("valid", "test"))}
        assert len(figures) > 4
        assert {name: result[name] for name in figures} == pytest.approx(figures, rel=1e-4)
