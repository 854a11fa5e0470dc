"""The configs of word language models: what runs in seconds runs, and the rows of an ablation."""

import json

import pytest

from lstm_jax.cli.main import main
from lstm_jax.errors import ConfigError
from lstm_jax.training import load_config
from tests.conftest import REPOSITORY

BROWN = str(REPOSITORY / "configs/text/word_lm_brown.py")
AWD = str(REPOSITORY / "configs/text/awd_lstm.py")


@pytest.mark.slow
@pytest.mark.parametrize("config", [BROWN, AWD])
def test_the_smoke_config_trains_evaluates_and_writes(config, tmp_path, capsys):
    assert main(["train", f"--config={config}:smoke", f"--workdir={tmp_path / 'run'}"]) == 0
    result = json.loads((tmp_path / "run/result.json").read_text())
    assert result["test/perplexity"] < 2000
    assert set(result["baselines"]) == {"5-gram, Kneser-Ney"}
    assert result["sample"]
    capsys.readouterr()


def test_rows_of_the_ablation_differ_in_what_they_leave_out():
    full, dropout, none = (load_config(f"{BROWN}{mode}") for mode in ("", ":dropout", ":none"))
    rates = [config.model.regularization for config in (full, dropout, none)]
    assert all(rates[0][name] > 0 for name in ("words", "input", "output", "weights"))
    assert {name for name, rate in rates[1].items() if rate} == {"input", "output"}
    assert not any(rates[2].values())
    for name in ("optimizer", "schedule", "train", "seed"):
        assert full[name] == dropout[name] == none[name]
    assert [config.data.random_windows for config in (full, dropout, none)] == [True, False, False]


@pytest.mark.parametrize("config", [BROWN, AWD])
def test_an_unknown_mode_is_told(config):
    with pytest.raises(ConfigError, match="there is no mode 'x'"):
        load_config(f"{config}:x")
