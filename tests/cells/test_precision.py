"""Small products and a whole carry."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lstm_jax as lj
from lstm_jax.cells import mixed_precision

XS = jax.random.normal(jax.random.key(1), (9, 4, 3))
CELL = lj.lstm(16)
STEP_ALONE = CELL._replace(project=None, recur=None, update=None)


@pytest.mark.parametrize("cell", [CELL, STEP_ALONE, lj.stack([CELL, lj.gru(16)])])
def test_small_products_stay_near_and_the_carry_stays_whole(cell):
    small = mixed_precision(cell)
    params = small.init(jax.random.key(0), 3)
    carry, ys = lj.scan(small, params, None, XS)
    exact_carry, exact = lj.scan(cell, params, None, XS)
    assert {leaf.dtype for leaf in jax.tree.leaves((carry, exact_carry))} == {
        jnp.dtype(jnp.float32)
    }
    assert 1e-4 < np.abs(ys - exact).max() < 0.03
    reference = lj.scan(small, params, None, XS, backend="reference")[1]
    np.testing.assert_allclose(ys, reference, rtol=1e-5, atol=1e-5)


def test_products_are_computed_in_the_small_type():
    small = mixed_precision(CELL)
    params = small.init(jax.random.key(0), 3)
    carry = small.initial_carry(params, (4,))
    equations = jax.make_jaxpr(small.step)(params, carry, XS[0]).jaxpr.eqns
    products = [e.outvars[0].aval.dtype for e in equations if e.primitive.name == "dot_general"]
    assert products == [jnp.bfloat16, jnp.bfloat16]


def test_a_sequence_map_is_refused():
    with pytest.raises(ValueError, match="mixed_precision needs a cell, got a SequenceMap"):
        mixed_precision(lj.bidirectional(lj.lstm(3)))
