"""The search itself, with trials that do as they are told in place of trainings."""

import subprocess
import sys
import textwrap

import pytest

from lstm_jax.errors import ConfigError
from lstm_jax.sweeps import choice, uniform
from lstm_jax.sweeps.report import draw_report, row_of, trial_line
from lstm_jax.sweeps.search import Search, require_space, run_search
from lstm_jax.sweeps.study import Objective, keep_settings, load_study, open_study

optuna = pytest.importorskip("optuna")
_LOSS = Objective("loss", lower_is_better=True, decimals=3)

# Reports x plus what is left of three steps; other words for x are what befalls it.
_TRIAL = textwrap.dedent("""
    import json, os, pathlib, sys, time
    folder, x = pathlib.Path(sys.argv[1]), sys.argv[2]
    came_before = folder.exists()
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text("{}")
    about = {"name": "loss", "label": "loss", "decimals": 3, "lower_is_better": True}
    (folder / "heartbeat.json").write_text(json.dumps({"state": "running", "metric": about}))
    if x == "fails":
        sys.exit("the data are bad")
    if x == "crashes once" and not came_before:
        os.kill(os.getpid(), 9)
    value = 5.0 if x == "crashes once" else float(x)
    with (folder / "metrics.jsonl").open("w") as file:
        for step in range(1, 4):
            print(json.dumps({"step": step, "split": "validation", "loss": value + 3 - step}),
                  file=file, flush=True)
            time.sleep(30 if value > 100 else 0)
    result = {"steps": 3, "seconds": 1.0, "validation/loss": value}
    (folder / "result.json").write_text(json.dumps(result))
""")


@pytest.fixture
def trials(monkeypatch):
    """Trials are the small program above; the folders of those that were started."""
    started = []

    def start(run):
        started.append(run.folder.name)
        field = dict(text.split("=") for text in run.overrides)["x"]
        code = [sys.executable, "-c", _TRIAL, str(run.folder), field]
        with run.log.open("ab") as log:
            return subprocess.Popen(code, stdout=log, stderr=subprocess.STDOUT)

    monkeypatch.setattr("lstm_jax.sweeps.search.start", start)
    return started


def _search(folder, space, trials):
    keep_settings(folder, {"objectives": [list(_LOSS)], "trials": trials})
    return Search(folder, "config.py", (), (), space, [_LOSS], trials)


def _queue(study, field, *values):
    for value in values:
        study.enqueue_trial({field: value})


def test_what_ends_well_fails_or_crashes_is_recorded_as_such(tmp_path, trials):
    search = _search(tmp_path / "s", {"x": choice("2.0", "fails", "crashes once", "1.0")}, 4)
    study, told = open_study(search.folder, [_LOSS]), []
    _queue(study, "x", "2.0", "fails", "crashes once", "1.0")
    run_search(study, search, 2, told.append)
    assert len(told) == 4
    found = load_study(search.folder).get_trials()
    assert [t.state.name for t in found] == ["COMPLETE", "FAIL", "COMPLETE", "COMPLETE"]
    assert [t.value for t in found] == [2.0, None, 5.0, 1.0]
    assert study.best_trial.number == 3
    assert "failed (the data are bad); x fails" in trial_line(found[1], [_LOSS])
    assert trial_line(found[3], [_LOSS]) == "trial 3: loss 1.000, 0:01; x 1.0"
    assert row_of(found[0], [_LOSS])["validation/loss"] == 2.0
    assert trials.count("trial_0002") == 2  # what crashed went on in its folder
    assert found[0].intermediate_values == {1: 4.0, 2: 3.0, 3: 2.0}


def test_a_trial_that_falls_behind_ends_early(tmp_path, trials):
    search = _search(tmp_path / "s", {"x": choice("1.0", "2.0", "999.0")}, 7)
    study = open_study(search.folder, [_LOSS], pruner="median")
    _queue(study, "x", *["1.0", "2.0"] * 3, "999.0")
    run_search(study, search, 1, lambda trial: None)
    last = study.get_trials()[-1]
    assert last.state.name == "PRUNED"  # it would have slept for a minute
    assert "ended early, loss 1001.000 at step 1" in trial_line(last, [_LOSS])


def test_a_trial_whose_searcher_is_gone_is_gone_on_with(tmp_path, trials):
    search = _search(tmp_path / "s", {"x": choice("1.0")}, 2)
    study = open_study(search.folder, [_LOSS])
    lost = study.ask()  # and the process that asked is no more
    lost.set_user_attr("overrides", ["x=7.0"])
    lost.report(9.0, 1)
    (under_way,) = study.get_trials()
    assert trial_line(under_way, [_LOSS]) == "trial 0: under way, loss 9.000 at step 1"
    run_search(study, search, 1, lambda trial: None)
    found = study.get_trials()
    assert [t.state.name for t in found] == ["COMPLETE", "COMPLETE"]
    assert [t.value for t in found] == [7.0, 1.0]
    # The same search again has nothing to do; a larger one goes on.
    run_search(study, search, 1, lambda trial: None)
    assert len(study.get_trials()) == 2
    run_search(study, search._replace(trials=3), 1, lambda trial: None)
    assert len(study.get_trials()) == 3


def test_a_second_process_does_not_choose_what_the_first_has_chosen(tmp_path, trials):
    search = _search(tmp_path / "s", {"x": uniform(0, 9)}, 1)
    for count in (1, 2, 3):  # each time as a process that opens the study anew
        study = open_study(search.folder, [_LOSS])
        run_search(study, search._replace(trials=count), 1, lambda trial: None)
    chosen = [trial.params["x"] for trial in study.get_trials()]
    assert len(set(chosen)) == 3
    # One process that goes through chooses the same.
    other = _search(tmp_path / "t", {"x": uniform(0, 9)}, 3)
    study = open_study(other.folder, [_LOSS])
    run_search(study, other, 1, lambda trial: None)
    assert [trial.params["x"] for trial in study.get_trials()] == chosen


def test_the_picture_is_drawn_once_there_is_something_to_see(tmp_path, trials):
    search = _search(tmp_path / "s", {"x": uniform(0, 9)}, 5)
    study = open_study(search.folder, [_LOSS])
    draw_report(study, [_LOSS], search.folder)
    assert not (search.folder / "sweep.png").exists()
    run_search(study, search, 3, lambda trial: None)
    draw_report(study, [_LOSS], search.folder)
    assert (search.folder / "sweep.png").stat().st_size > 20_000


def test_all_values_that_cannot_be_are_told_at_once(tmp_path):
    def build(overrides):
        if (value := float(overrides[0].split("=")[1])) > 1:
            raise ConfigError(f"x: {value} is too large")

    search = Search(tmp_path, "", (), (), {"x": choice(0.5, 2.0, 3.0)}, [_LOSS], 1)
    with pytest.raises(ConfigError) as told:
        require_space(search, build)
    assert told.value.problems == ["x: 2.0 is too large", "x: 3.0 is too large"]
