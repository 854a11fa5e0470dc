"""`lstm-jax sweep --engine=population`: trials as members of one program."""

import json
from pathlib import Path
from typing import NamedTuple

import pytest

from lstm_jax.cli.main import main
from lstm_jax.sweeps import auto_engine
from lstm_jax.sweeps.admission import admit
from lstm_jax.sweeps.engines import Options
from lstm_jax.sweeps.population import Population
from lstm_jax.sweeps.search import Search
from lstm_jax.sweeps.space import choice, integer, uniform
from lstm_jax.sweeps.study import choose_objectives, load_study, open_study
from lstm_jax.training import load_config
from lstm_jax.training.writers import read_metrics
from tests.runs import command

optuna = pytest.importorskip("optuna")
_SHORT = (
    "--config.train.duration=20 steps",
    "--config.train.evaluate_every=10 steps",
    "--config.train.report_every=10 steps",
    "--config.train.checkpoint_every=5 steps",
    "--config.model.num_layers=1",
    "--config.sample.length=0",
    "--config.data.baselines=false",
)
_RATE = "optimizer.learning_rate"
_SPACE = {_RATE: choice(1e-3, 1e-2, 1e38), "seed": integer(0, 9)}
_CHOSEN = [(1e-3, 1), (1e38, 2), (1e-2, 3), (1e-3, 4)]


def _arguments(workdir, *options):
    _, config, _, *rest = command(workdir, *_SHORT)
    return ["sweep", config, f"--workdir={workdir}", *rest, "--engine=population", *options]


def _load(overrides):
    _, config, _, *rest = command("", *_SHORT)
    return load_config(
        config.removeprefix("--config="),
        [text.removeprefix("--config.") for text in rest] + list(overrides),
    )


def _search(folder, admitted, space=_SPACE, trials=4):
    folder.mkdir(exist_ok=True)
    _, config, _, *rest = command("", *_SHORT)
    overrides = tuple(text.removeprefix("--config.") for text in rest)
    objectives = choose_objectives((), admitted.common.learner.metrics)
    search = Search(
        folder, config.removeprefix("--config="), overrides, (), space, objectives, trials
    )
    return open_study(folder, objectives), search


@pytest.mark.parametrize(
    ("space", "problems"),
    [
        (
            {"data.batch_size": choice(4, 8), "optimizer": choice("adamw", "lion")},
            ["data.batch_size: trials of one program share their data", "optimizer.name: it is no"],
        ),
        pytest.param(
            {
                "model.hidden_size": integer(8, 9),
                "model.dropout": uniform(0, 0.5),
                "sample.temperature": uniform(0.5, 1),
            },
            [
                "model.hidden_size: it shapes the program",
                "model.dropout: not all its values are one program; narrow it, say to above 0",
                "sample.temperature: nothing that is compiled depends on it",
            ],
            marks=pytest.mark.slow,
        ),
    ],
)
def test_what_one_program_cannot_vary_is_told_before_it_is_compiled(tmp_path, space, problems):
    with pytest.raises(Exception, match="--engine=population: ") as told:
        admit(_load, space, tmp_path)
    assert len(told.value.problems) == len(problems)
    for found, problem in zip(told.value.problems, problems, strict=True):
        assert problem in found
        assert "leave it to --engine=process" in found


def test_what_one_program_cannot_do_is_told_too(tmp_path, capsys):
    def told(*options):
        arguments = _arguments(tmp_path / "s", f"--set={_RATE}=loguniform(1e-3,1e-2)", *options)
        assert main(arguments) == 2
        assert not (tmp_path / "s").exists()
        return capsys.readouterr().err

    assert "--jobs: a population has one process" in told("--jobs=2")
    assert "--population: must be 1 or more" in told("--population=0")
    assert "--population: is for --engine=population" in told("--population=2", "--engine=process")
    assert "--pruner: pbt is for --engine=population" in told("--pruner=pbt", "--engine=process")
    err = told("--config.train.evaluate_every=1 minute", "--config.early_stopping.patience=3")
    assert "train.evaluate_every: trials of one program count steps" in err
    assert "early_stopping: a --pruner ends trials early" in err


def test_auto_needs_an_accelerator_and_numbers_alone(tmp_path, capsys, monkeypatch):
    class Search(NamedTuple):
        config: str
        overrides: tuple = ()
        space: dict = {"optimizer": choice("adamw", "lion")}  # noqa: RUF012
        trials: int = 4
        folder: Path = Path("none")

    _, config, *_ = command("")
    search = Search(config.removeprefix("--config="))
    auto_engine.prepare(search, Options())
    assert capsys.readouterr().out.startswith("engine: process, since there is no accelerator; of")
    monkeypatch.setattr("jax.default_backend", lambda: "gpu")
    auto_engine.prepare(search, Options(jobs=2))
    assert capsys.readouterr().out == "engine: process, since --jobs was given\n"
    auto_engine.prepare(search, Options())
    told = "process, since one program cannot serve: --engine=population: optimizer.name: it is no"
    assert told in capsys.readouterr().out


@pytest.fixture(scope="module")
def admitted(tmp_path_factory):
    return admit(_load, _SPACE, tmp_path_factory.mktemp("assets"))


@pytest.fixture(scope="module")
def searched(tmp_path_factory, admitted):
    """A search of four trials in three slots, the second of which diverges; its folder."""
    study, search = _search(tmp_path_factory.mktemp("searched"), admitted)
    _begin(study, search, admitted).run()
    return search.folder


def _begin(study, search, admitted, tell=lambda trial: None):
    for rate, seed in _CHOSEN:
        study.enqueue_trial({_RATE: str(rate), "seed": seed}, skip_if_exists=True)
    return Population(study, search, admitted, 3, tell=tell)


def _found(folder):
    return [
        (t.state.name, t.values, t.intermediate_values, t.user_attrs.get("error"))
        for t in load_study(folder).get_trials(deepcopy=False)
    ]


@pytest.mark.long
def test_a_trial_that_diverges_leaves_its_slot_to_the_next(searched, admitted):
    assert admitted.varied == (_RATE, "seed")
    found = _found(searched)
    assert [state for state, *_ in found] == ["COMPLETE", "FAIL", "COMPLETE", "COMPLETE"]
    assert found[1][3].startswith("loss or gradient are not finite at step ")
    assert all(list(steps) == [10, 20] for state, _, steps, _ in found if state == "COMPLETE")
    lines = [(line["step"], line["split"]) for line in read_metrics(searched / "trial_0003")]
    assert lines == [(10, "train"), (10, "validation"), (20, "train"), (20, "validation")]


@pytest.mark.long
def test_a_killed_population_goes_on_as_if_nothing_had_happened(tmp_path, searched, admitted):
    class Killed(BaseException):
        pass

    study, search = _search(tmp_path / "s", admitted)
    advance, ticks = Population.advance, []

    def advance_until_killed(self):
        advance(self)
        ticks.append(self.tick)
        if len(ticks) in (8, 14):  # behind the checkpoints at 5 and 10
            self._checkpoints.wait()
            raise Killed

    def told(trial):
        if trial.state.name == "COMPLETE":
            raise Killed  # the study knows, and nothing is saved or unpacked

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Population, "advance", advance_until_killed)
        for _ in range(3):
            population = _begin(study, search, admitted, told)
            with pytest.raises(Killed):
                population.run()
            population._lock = None  # which the system takes off a process that ends
    _begin(load_study(search.folder), search, admitted).run()
    best = study.best_trial.number
    assert (search.folder / f"trial_{best:04d}/checkpoints/20").is_dir()
    assert ticks.count(8) == 2  # it had been done before the kill, and was done again
    assert _found(search.folder) == _found(searched)


@pytest.mark.long
def test_the_winner_is_an_ordinary_run(searched, tmp_path, capsys):
    best = load_study(searched).best_trial
    folder = searched / f"trial_{best.number:04d}"
    assert main(["evaluate", f"--workdir={folder}", "--split=validation", "--json"]) == 0
    name = "bits_per_character"
    told = json.loads(capsys.readouterr().out)
    assert told[name] == pytest.approx(best.value, rel=1e-5)
    # Its last step is there, so that `train` has only the result to write.
    assert main(["train", f"--workdir={folder}"]) == 0
    result = json.loads((folder / "result.json").read_text())
    assert result["steps"] == 20
    assert result[f"validation/{name}"] == pytest.approx(best.value, rel=1e-5)
    assert result[f"test/{name}"] == pytest.approx(best.user_attrs[f"test/{name}"], rel=1e-5)
    # The same config trained alone comes to the same.
    alone = tmp_path / "alone"
    assert main(["train", f"--config={folder / 'config.json'}", f"--workdir={alone}"]) == 0
    other = json.loads((alone / "result.json").read_text())
    assert other[f"validation/{name}"] == pytest.approx(best.value, rel=1e-4)


@pytest.mark.long
def test_the_worst_go_on_as_changed_copies_of_the_best(tmp_path, capsys):
    folder = tmp_path / "s"
    options = [f"--set={_RATE}=loguniform(1e-5,1e-2)", "--trials=3", "--pruner=pbt", "--seed=1"]
    assert main(_arguments(folder, *options)) == 0
    out = capsys.readouterr().out
    trials = load_study(folder).get_trials()
    assert [t.state.name for t in trials].count("PRUNED") == 1
    worst = next(t for t in trials if t.state.name == "PRUNED")
    copy = trials[3]
    assert copy.state.name == "COMPLETE"
    assert (copy.user_attrs["replaces"], copy.user_attrs["from_step"]) == (worst.number, 10)
    parent = trials[copy.user_attrs["copy_of"]]
    assert parent.intermediate_values[10] == min(t.intermediate_values[10] for t in trials[:3])
    factor = copy.params[_RATE] / parent.params[_RATE]
    assert (
        factor == pytest.approx(0.8) or factor == pytest.approx(1.2) or copy.params[_RATE] == 0.01
    )
    # It goes on from where its parent was, so that no trial that began anew is ahead of it.
    assert copy.value < worst.intermediate_values[10]
    assert list(copy.intermediate_values) == [20]
    assert f"trial {worst.number}: ended early" in out
    config = json.loads((folder / "trial_0003/config.json").read_text())
    assert config["optimizer"]["learning_rate"] == copy.params[_RATE]
