"""The page on optimisation names what there is."""

import re

import pytest

from lstm_jax.config import fields, find, names
from lstm_jax.training.early_stopping import EarlyStopping
from lstm_jax.training.optimizers import ENTRIES, EXCLUDED
from lstm_jax.training.parameter_groups import ParameterGroups
from tests.conftest import REPOSITORY

_PAGE = (REPOSITORY / "docs/optimization.md").read_text()


def _section(title):
    return re.split(r"^## ", _PAGE.partition(f"## {title}\n")[2], flags=re.MULTILINE)[0]


def _rows(title):
    """The cells of a section's table, without its head."""
    lines = [line for line in _section(title).splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def _named(cell):
    return re.findall(r"`(\w+)`", cell)


@pytest.mark.parametrize(
    ("title", "kind"), [("Optimisers", "optimizer"), ("Schedules", "schedule")]
)
def test_tables_name_every_part_once(title, kind):
    assert sorted(name for row in _rows(title) for name in _named(row[0])) == names(kind)


def test_the_rates_of_the_table_are_the_defaults():
    for cell, _, rates, _ in _rows("Optimisers"):
        rates = [float(rate) for rate in rates.split(",")] if rates else [1e-3]
        found = [_rate(name) for name in _named(cell)]
        assert found == (rates if len(rates) > 1 else rates * len(found)), cell


def _rate(name):
    return next(f.default for n, f in ENTRIES[name].fields.items() if n.endswith("learning_rate"))


def test_weight_decay_of_the_table_is_as_the_mask_allows():
    for cell, _, _, decay in _rows("Optimisers"):
        for name in _named(cell):
            masked, decays = ENTRIES[name].mask, any("decay" in n for n in _decays(name))
            said = decay.partition(";")[0]
            if said.startswith("`"):  # of one in the row alone
                said = "matrices" if name in said else ""
            assert said == ("matrices" if masked else "all" if decays else ""), name


def _decays(name):
    return [key for key in ENTRIES[name].fields if key.startswith("weight_decay")]


def test_fields_of_schedules_are_those_of_the_table():
    for name, _, told in _rows("Schedules"):
        found = fields(find("schedule", *_named(name))).keys() - {"warmup"}
        assert set(_named(told)) == found


def test_other_fields_are_named():
    assert [_named(row[0])[0] for row in _rows("Groups of parameters")] == list(
        fields(ParameterGroups)
    )
    for kind in names("averaging"):
        assert f"`{kind}`" in _section("Averages of parameters")
        for field in fields(find("averaging", kind)):
            assert f"`{field}`" in _section("Averages of parameters")
    assert all(f"early_stopping.{field}" in _PAGE for field in fields(EarlyStopping))


def test_what_is_left_out_is_told():
    assert EXCLUDED.keys() - {"schedule_free"} <= set(
        re.findall(r"`(\w+)`", _section("Optimisers"))
    )
