"""`lstm-jax replicate` and `lstm-jax compare` as a user types them."""

import json
import signal
import statistics
import subprocess
import sys
import time

import pytest

from lstm_jax.cli.main import main
from tests.runs import command

_SHORT = ("--config.train.duration=20 steps", "--config.train.evaluate_every=20 steps")


def _arguments(workdir, *options):
    _, config, _, *rest = command(workdir, *_SHORT)
    return ["replicate", config, f"--workdir={workdir}", *rest, *options]


def _finished(folder, values, metric="bits", lower=True):
    """Folders of finished runs with these figures, as a run leaves them."""
    for i, value in enumerate(values):
        run = folder / f"seed_{i}"
        run.mkdir(parents=True)
        (run / "config.json").write_text("{}")
        (run / "result.json").write_text(json.dumps({"steps": 1, f"test/{metric}": value}))
        about = {"name": metric, "label": "bits", "decimals": 3, "lower_is_better": lower}
        beat = {"state": "finished", "metric": about}
        (run / "heartbeat.json").write_text(json.dumps(beat))
    return str(folder)


@pytest.mark.slow
def test_seeds_are_runs_and_their_figures_are_summed_up(tmp_path, capsys):
    assert main(_arguments(tmp_path / "a", "--seeds=2")) == 0
    runs = [json.loads((tmp_path / f"a/seed_{i}/result.json").read_text()) for i in range(2)]
    name = next(key for key in runs[0] if key.startswith("test/"))
    values = [run[name] for run in runs]
    told = json.loads((tmp_path / "a/replicates.json").read_text())[name]
    assert told["values"] == values
    assert values[0] != values[1]
    assert told["mean"] == pytest.approx(statistics.fmean(values))
    assert told["deviation"] == pytest.approx(statistics.stdev(values))
    assert (tmp_path / "a/replicates.png").stat().st_size > 5000
    capsys.readouterr()
    # What is finished is not run again.
    began = time.perf_counter()
    assert main(_arguments(tmp_path / "a", "--seeds=2")) == 0
    assert time.perf_counter() - began < 5
    assert "2 of 2 runs are finished" in capsys.readouterr().out


@pytest.mark.long
def test_a_signal_reaches_the_runs_and_the_same_command_goes_on(tmp_path):
    arguments = _arguments(tmp_path / "a", "--seeds=1", "--config.train.duration=1000000 steps")
    process = subprocess.Popen([sys.executable, "-m", "lstm_jax.cli.main", *arguments])
    log, deadline = tmp_path / "a/seed_0.log", time.monotonic() + 120
    while not (log.exists() and "step 50/" in log.read_text()):
        assert time.monotonic() < deadline
        time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    assert process.wait(60) == 130
    assert "saved step" in log.read_text()


def test_a_config_is_checked_before_anything_is_trained(tmp_path, capsys):
    assert main(_arguments(tmp_path / "a", "--config.model.hiden_size=3")) == 2
    assert "model.hiden_size" in capsys.readouterr().err
    assert main(_arguments(tmp_path / "a", "--vary=data.sed")) == 2
    assert "data.sed" in capsys.readouterr().err
    assert main(_arguments(tmp_path / "a", "--seeds=0")) == 2
    assert "--seeds: must be from 1" in capsys.readouterr().err
    assert not (tmp_path / "a").exists()


def test_two_configs_are_compared_in_words(tmp_path, capsys):
    a = _finished(tmp_path / "a", [1.90, 1.91, 1.92])
    b = _finished(tmp_path / "b", [1.80, 1.82, 1.81])
    assert main(["compare", a, b, f"--draw={tmp_path / 'both.png'}"]) == 0
    told = capsys.readouterr().out
    assert f"{a}: test bits 1.910 ± 0.010, 3 runs" in told
    assert f"{b} is better: -0.100 (95 % interval -0.123 to -0.077; Welch's t-test" in told
    assert (tmp_path / "both.png").stat().st_size > 5000
    assert main(["compare", b, a]) == 0
    assert f"{b} is better: -0.100" in capsys.readouterr().out
    assert main(["compare", a, b, "--json", "--paired"]) == 0
    assert json.loads(capsys.readouterr().out)["comparison"]["difference"] == pytest.approx(-0.1)
    c = _finished(tmp_path / "c", [1.7, 2.1, 1.9])
    assert main(["compare", a, c]) == 0
    assert "No difference can be told: -0.010" in capsys.readouterr().out


def test_where_more_is_better_the_larger_one_wins(tmp_path, capsys):
    a = _finished(tmp_path / "a", [0.90, 0.91], lower=False)
    b = _finished(tmp_path / "b", [0.80, 0.81], lower=False)
    assert main(["compare", a, b]) == 0
    assert f"{a} is better: +0.100" in capsys.readouterr().out


def test_what_cannot_be_compared_is_told(tmp_path, capsys):
    a = _finished(tmp_path / "a", [1.0, 2.0])
    one = _finished(tmp_path / "one", [1.0])
    other = _finished(tmp_path / "other", [1.0, 2.0], "accuracy")
    broken = _finished(tmp_path / "broken", [float("nan"), 1.0])
    (tmp_path / "empty").mkdir()
    for second, message in (
        (tmp_path / "empty", "empty holds no run"),
        (tmp_path / "nowhere", "nowhere holds no run"),
        (other, "the tasks are not one"),
        (broken, "it diverged"),
    ):
        assert main(["compare", a, str(second)]) == 2
        assert message in capsys.readouterr().err
    assert main(["compare", a, one, "--paired"]) == 2
    assert "--paired: the runs have other names" in capsys.readouterr().err
    assert main(["compare", a, a, "--metric=bit"]) == 2
    assert "no figure 'test/bit'; did you mean test/bits" in capsys.readouterr().err
    assert main(["compare", a, one]) == 0
    assert "One run says nothing of chance" in capsys.readouterr().out
