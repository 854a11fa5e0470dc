"""Spaces: what a trial may get, checked against the config before any trial."""

import itertools
import math

import pytest

from lstm_jax.errors import ConfigError
from lstm_jax.sweeps import choice, integer, log_integer, loguniform, option, uniform, zipped
from lstm_jax.sweeps.space import corners, fields_of, grid, parse_dimension, suggest

optuna = pytest.importorskip("optuna")
_SPACE = {
    "optimizer": choice("adamw", option("sgd", then={"optimizer.momentum": uniform(0.5, 0.9)})),
    "optimizer.learning_rate": loguniform(1e-4, 1e-2),
    "model.num_layers": integer(1, 3),
}


def test_trials_get_what_the_space_holds():
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    rates, kinds = [], set()
    for _ in range(200):
        found = dict(text.split("=") for text in suggest(study.ask(), _SPACE))
        kinds.add(found["optimizer"])
        assert ("optimizer.momentum" in found) == (found["optimizer"] == "sgd")
        assert 1 <= int(found["model.num_layers"]) <= 3
        rates.append(float(found["optimizer.learning_rate"]))
    assert kinds == {"adamw", "sgd"}
    assert min(rates) >= 1e-4
    assert max(rates) <= 1e-2
    # Half of a logarithmic interval lies below its geometric middle.
    assert 70 < sum(rate < 1e-3 for rate in rates) < 130


def test_corners_reach_every_end_and_option():
    found = set(itertools.chain(*corners(_SPACE)))
    assert {"optimizer=adamw", "optimizer=sgd", "optimizer.momentum=0.5"} <= found
    assert {"model.num_layers=1", "model.num_layers=3"} <= found
    assert {"optimizer.learning_rate=0.0001", "optimizer.learning_rate=0.01"} <= found
    assert fields_of(_SPACE)[:2] == ["optimizer", "optimizer.momentum"]


def test_a_grid_has_every_combination_once():
    space = {"a": choice(1, 2, 3), "b": choice("x", option("y", then={"c": choice(4, 5)}))}
    found = grid(space)
    assert len(found) == len({tuple(sorted(point.items())) for point in found}) == 3 * (1 + 2)
    with pytest.raises(ConfigError, match="rate: a grid needs a choice"):
        grid({"rate": uniform(0, 1)})


def test_fields_that_are_zipped_go_in_step():
    space = {"sizes": zipped({"model.hidden_size": [64, 128], "model.num_layers": [2, 1]})}
    study = optuna.create_study()
    seen = {tuple(suggest(study.ask(point), space)) for point in [None] * 20}
    assert seen == {
        ("model.hidden_size=64", "model.num_layers=2"),
        ("model.hidden_size=128", "model.num_layers=1"),
    }
    with pytest.raises(ConfigError, match="unequal length"):
        zipped({"a": [1], "b": [1, 2]})


def test_dimensions_are_read_from_the_command_line():
    assert parse_dimension("a.b=loguniform(1e-4, 1e-2)") == ("a.b", loguniform(1e-4, 1e-2))
    assert parse_dimension("n=log_integer(16,256)") == ("n", log_integer(16, 256))
    assert parse_dimension("model.cell=choice(lstm, gru)") == ("model.cell", choice("lstm", "gru"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a", "must be as optimizer.learning_rate=loguniform"),
        ("a=3", "must be as"),
        ("a=lognormal(1,2)", "--set a: did you mean loguniform"),
        ("a=uniform(1)", "takes a low and a high, got '1'"),
        ("a=uniform(x,y)", "takes two numbers"),
        ("a=uniform(2,1)", "low must be below high, got 2.0 and 1.0"),
        ("a=uniform(0,inf)", "low must be below high"),
        ("a=loguniform(0,1)", "begins above 0"),
        ("a=integer(1.5,3)", "an integer is needed, got 1.5"),
        ("a=choice()", "nothing to choose from"),
        ("a=choice(x,x)", "an option stands twice"),
    ],
)
def test_what_is_no_dimension_is_told(text, message):
    with pytest.raises(ConfigError, match=message):
        parse_dimension(text)


def test_not_a_number_is_no_end():
    with pytest.raises(ConfigError, match="low must be below high"):
        uniform(math.nan, 1)
