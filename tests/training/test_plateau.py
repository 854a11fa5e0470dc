"""The rate falls when evaluations no longer improve."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from lstm_jax.training.plateau import Plateau, PlateauState, observe_score, scale_by_plateau

_SCORES = [5, 4, 4, 4.5, 3.9999, 3.9998, 3.2, 3.3, 3.3, 3.3, 3.3, 3.3, 3.3, 3.1, 3.3, 3.3, 3.3]


def _scales(plateau, scores):
    state = scale_by_plateau().init({})
    found = []
    for score in scores:
        state = observe_score(state, plateau, score)
        found.append(float(state.scale))
    return found


@pytest.mark.parametrize(
    "plateau",
    [
        Plateau(0.5, 2, 1e-4, 0, 0.0),
        Plateau(0.5, 3, 1e-5, 0, 0.0),
        Plateau(0.1, 1, 1e-4, 2, 0.05),
        Plateau(0.5, 2, 0.1, 1, 0.2),
    ],
)
def test_it_falls_where_that_of_optax_does(plateau):
    reference = optax.contrib.reduce_on_plateau(
        plateau.factor, plateau.patience, plateau.rtol, 0.0, plateau.cooldown, 1, plateau.min_scale
    )
    state = reference.init({"w": jnp.ones(1)})
    expected = []
    for score in _SCORES:
        _, state = reference.update({}, state, value=score)
        expected.append(float(state.scale))
    assert _scales(plateau, _SCORES) == pytest.approx(expected)
    assert min(expected) < 1


def test_scores_below_zero_need_an_improvement_too():
    assert _scales(Plateau(0.5, 2, 1e-2, 0, 0.0), [-0.9, -0.9, -0.9]) == [1.0, 1.0, 0.5]
    assert _scales(Plateau(0.5, 2, 1e-2, 0, 0.0), [-0.5, -0.6, -0.7]) == [1.0, 1.0, 1.0]


def test_nan_is_no_improvement():
    assert _scales(Plateau(0.5, 2, 0.0, 0, 0.0), [np.nan, np.nan, 1.0, np.nan]) == [
        1,
        0.5,
        0.5,
        0.5,
    ]


def test_the_floor_never_raises_the_rate():
    assert _scales(Plateau(0.5, 1, 0.0, 0, 0.8), [1, 1, 1, 1]) == pytest.approx([1, 0.8, 0.8, 0.8])


def test_updates_are_scaled_and_the_rest_of_the_state_is_let_be():
    optimizer = optax.chain(optax.sgd(0.1, momentum=0.9), scale_by_plateau())
    params = {"w": jnp.array([1.0, 2.0])}
    state = optimizer.init(params)
    before, _ = optimizer.update(params, state, params)
    for score in (1.0, 1.0):
        observed = observe_score(state, Plateau(0.5, 1, 0.0, 0, 0.0), score)
        assert observed[0] is not None
        assert jax.tree.leaves(observed[0])[0] is jax.tree.leaves(state[0])[0]
        state = observed
    after, _ = jax.jit(optimizer.update)(params, state, params)
    np.testing.assert_array_equal(after["w"], 0.5 * before["w"])


def test_an_observation_needs_no_implicit_transfer():
    state = scale_by_plateau().init({})
    with jax.transfer_guard("disallow"):
        state = observe_score(state, Plateau(0.5, 1, 0.0, 0, 0.0), 1.0)
    assert isinstance(state, PlateauState)
