"""`lstm-jax sweep` as a user types it."""

import csv
import json

import pytest

from lstm_jax.cli.main import main
from lstm_jax.sweeps.study import load_study
from tests.conftest import REPOSITORY
from tests.runs import command

optuna = pytest.importorskip("optuna")
_SHORT = (
    "--config.train.duration=20 steps",
    "--config.train.evaluate_every=10 steps",
    "--config.train.report_every=10 steps",
    "--config.train.checkpoint_every=10 steps",
    "--config.sample.length=0",
    "--config.data.baselines=false",
)
_RATE = "--set=optimizer.learning_rate=loguniform(1e-3,1e-2)"


def _arguments(workdir, *options, short=_SHORT):
    _, config, _, *rest = command(workdir, *short)
    return ["sweep", config, f"--workdir={workdir}", *rest, *options]


def _states(folder):
    return [trial.state.name for trial in load_study(folder).get_trials(deepcopy=False)]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ((), "--set: nothing changes"),
        (("--set=model.hiden_size=choice(8,16)",), "model.hiden_size: there is no such field"),
        (("--set=model.hidden_size=uniform(8,16)",), "model.hidden_size: must be int"),
        (("--set=model.hidden_size=integer(0,16)",), "model.hidden_size: must be int >= 1"),
        (("--set=optimizer=choice(adamw,adamm)",), "'adamm': did you mean"),
        ((_RATE, "--metric=bleu"), "--metric: the task reports no 'bleu'"),
        ((_RATE, "--sampler=tpee"), "--sampler: there is no 'tpee'; did you mean tpe"),
        ((_RATE, "--engine=proces"), "--engine: there is no 'proces'; did you mean process"),
        ((_RATE, "--trials=0"), "--trials: must be 1 or more"),
        ((_RATE, "--seed=-1"), "--seed: must be 0 or more"),
        ((_RATE, "--sampler=grid"), "a grid needs a choice"),
        ((_RATE, "--config.data.path=nowhere.txt"), "nowhere.txt"),
        ((_RATE, "--metric=perplexity,seconds", "--pruner=asha"), "asha needs a single metric"),
    ],
)
def test_bad_input_is_told_before_anything_is_there(tmp_path, capsys, options, message):
    assert main(_arguments(tmp_path / "s", *options)) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "s").exists()


def test_a_file_of_a_search_says_which_modes_it_has(tmp_path, capsys):
    file = REPOSITORY / "configs/sweeps/char_lm.py"
    assert main(["sweep", f"--sweep={file}:smok", f"--workdir={tmp_path / 's'}"]) == 2
    assert "there is no mode 'smok'; there is: smoke" in capsys.readouterr().err


def test_a_folder_of_something_else_is_refused(tmp_path, capsys):
    (tmp_path / "mine.txt").write_text("")
    assert main(_arguments(tmp_path, _RATE)) == 2
    assert "holds other files and no search" in capsys.readouterr().err
    for action in ("status", "best", "export"):
        assert main(["sweep", action, f"--workdir={tmp_path}"]) == 2
        assert "holds no search" in capsys.readouterr().err
    assert main(["sweep", "stats", f"--workdir={tmp_path}"]) == 2
    assert "there is no 'stats'" in capsys.readouterr().err


@pytest.mark.slow
def test_a_search_tells_what_it_found(tmp_path, capsys):
    folder = tmp_path / "s"
    # No batch is as large, which is found when the data are read: that trial fails.
    arguments = _arguments(folder, "--set=data.batch_size=choice(4,1000000)", "--sampler=grid")
    assert main(arguments) == 0
    told = capsys.readouterr()
    assert _states(folder) == ["COMPLETE", "FAIL"]
    assert "trial 1: failed (" in told.out
    assert "best:\n  trial 0: bits_per_character" in told.out
    assert "1 trials failed" in told.err

    assert main(["sweep", "best", f"--workdir={folder}", f"--output={tmp_path / 'b.json'}"]) == 0
    assert json.loads((tmp_path / "b.json").read_text())["data"]["batch_size"] == 4
    assert main(["sweep", "export", f"--workdir={folder}", f"--output={tmp_path / 'a.csv'}"]) == 0
    with (tmp_path / "a.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["state"] for row in rows] == ["complete", "fail"]
    result = json.loads((folder / "trial_0000/result.json").read_text())
    assert float(rows[0]["test/perplexity"]) == result["test/perplexity"]

    capsys.readouterr()
    assert main(arguments) == 0  # there is nothing left to do
    assert _states(folder) == ["COMPLETE", "FAIL"]
    assert main(_arguments(folder, _RATE)) == 2
    assert "holds another search: its space is" in capsys.readouterr().err
