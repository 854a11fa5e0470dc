"""The Mogrifier LSTM against its equations and against the LSTM it wraps."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lstm_jax as lj
from lstm_jax.cells.mogrifier_lstm import mogrifier_lstm
from tests.cells.naive import assert_follows, sigmoid

XS = jax.random.normal(jax.random.key(9), (6, 2, 3))


def matrix(params):
    return params["kernel"] if "kernel" in params else params["left"] @ params["right"]


def reference(params, carry, x):
    """Melis et al. 2019, equations 1 and 2, and the LSTM."""
    h = carry.hidden
    for n in range(1, len(params.get("mogrifier", ())) + 1):
        q_or_r = matrix(params["mogrifier"][f"round_{n}"])
        if n % 2 == 1:
            x = 2 * sigmoid(h @ q_or_r) * x
        else:
            h = 2 * sigmoid(x @ q_or_r) * h
    gates = x @ params["kernel"] + h @ params["recurrent_kernel"] + params["bias"]
    i, f, g, o = np.split(gates, 4)
    c = sigmoid(f) * carry.cell + sigmoid(i) * np.tanh(g)
    new = sigmoid(o) * np.tanh(c)
    return lj.LSTMCarry(cell=c, hidden=new), new


@pytest.mark.parametrize(("rounds", "rank"), [(1, None), (5, None), (4, 2)])
def test_follows_the_equations(rounds, rank):
    assert_follows(mogrifier_lstm(4, rounds=rounds, rank=rank), reference, input_size=3)


def test_without_rounds_it_is_the_lstm():
    cell = mogrifier_lstm(4, rounds=0)
    params = cell.init(jax.random.key(0), 3)
    assert set(params) == {"kernel", "recurrent_kernel", "bias"}
    np.testing.assert_allclose(
        lj.scan(cell, params, None, XS)[1],
        lj.scan(lj.lstm(4), params, None, XS)[1],
        rtol=1e-5,
        atol=1e-6,
    )


@pytest.mark.parametrize("rank", [None, 2])
def test_rounds_that_have_learned_nothing_gate_nothing(rank):
    cell = mogrifier_lstm(4, rank=rank)
    params = cell.init(jax.random.key(0), 3)
    params["mogrifier"] = jax.tree.map(jnp.zeros_like, params["mogrifier"])
    np.testing.assert_allclose(
        lj.scan(cell, params, None, XS)[1],
        lj.scan(lj.lstm(4), params, None, XS)[1],
        rtol=1e-5,
        atol=1e-6,
    )


def test_low_rank_equals_the_full_matrix_that_is_its_product():
    params = mogrifier_lstm(4, rank=1).init(jax.random.key(0), 3)
    full = {name: {"kernel": matrix(p)} for name, p in params["mogrifier"].items()}
    np.testing.assert_allclose(
        lj.scan(mogrifier_lstm(4, rank=1), params, None, XS)[1],
        lj.scan(mogrifier_lstm(4), params | {"mogrifier": full}, None, XS)[1],
        rtol=1e-5,
        atol=1e-6,
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rounds": -1}, "rounds must be at least 0, got -1"),
        ({"rank": 0}, "rank must be at least 1, got 0"),
    ],
)
def test_what_cannot_be_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        mogrifier_lstm(3, **options)
