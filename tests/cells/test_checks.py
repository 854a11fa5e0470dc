"""What every cell refuses, and how it says so."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lstm_jax as lj
from lstm_jax.cells.checks import require_choices, require_rates, require_sizes, require_step
from lstm_jax.config import find, names


@pytest.mark.parametrize("name", names("cell"))
@pytest.mark.parametrize(
    ("size", "message"),
    [
        (0, "hidden_size must be at least 1, got 0"),
        (2.5, "hidden_size must be a whole number, got 2.5"),
        ("8", "hidden_size must be a whole number, got '8'"),
    ],
)
def test_every_cell_refuses_a_size_that_cannot_be(name, size, message):
    with pytest.raises(ValueError, match=message):
        find("cell", name)(size)


def test_sizes_may_be_numbers_of_numpy_or_none():
    require_sizes(hidden_size=np.int64(3), rank=None)
    params = lj.lstm(np.int32(3)).init(jax.random.key(0), 2)
    assert params["kernel"].shape == (2, 12)


def test_the_first_that_is_wrong_is_named():
    with pytest.raises(ValueError, match="rank must be at least 2, got 1"):
        require_sizes(2, window=2, rank=1)
    with pytest.raises(ValueError, match="activation must be one of 'tanh', 'relu', got 'gelu'"):
        require_choices({"tanh": jnp.tanh, "relu": jax.nn.relu}, activation="gelu")
    for rate in (-0.1, 1.0, float("nan")):
        with pytest.raises(ValueError, match=rf"output must be in \[0, 1\), got {rate}"):
            require_rates(input=0.0, output=rate)


def test_a_cell_of_any_making_has_a_step():
    require_step("it", lj.stack([lj.lstm(3)]))
    with pytest.raises(ValueError, match="it needs a cell, got a SequenceMap: wrap the cells in"):
        require_step("it", lj.stack([lj.bidirectional(lj.lstm(3))]))
