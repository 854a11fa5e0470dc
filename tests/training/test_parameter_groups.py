"""Groups of parameters by path: rates, clipping, freezing, weight decay."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from lstm_jax.config import build, complete
from lstm_jax.errors import ConfigError
from lstm_jax.training.parameter_groups import ParameterGroups, decayed, parameter_paths


def _params():
    return {
        "embedding": {"embedding": jnp.ones((5, 2))},
        "layer_0": {"kernel": jnp.ones((2, 8)), "bias": jnp.ones(8), "peephole": jnp.ones(2)},
        "norm": {"scale": jnp.ones((1, 2))},
    }


def _gradients():
    return jax.tree.map(
        lambda p: 0.5 + jnp.arange(p.size, dtype=p.dtype).reshape(p.shape), _params()
    )


def _sgd(factor):
    return optax.sgd(lambda step: factor * 0.1)


def test_rates_of_groups_are_those_of_optimizers_of_their_own():
    """Adam of each group with its rate, also over several steps."""
    groups = ParameterGroups(learning_rates=("^embedding/=0.1", "bias|embedding=2"))
    optimizer = groups.optimizer(lambda factor: optax.adam(0.01 * factor))
    params, state = _params(), optimizer.init(_params())
    alone = {name: optax.adam(rate) for name, rate in [("e", 0.001), ("b", 0.02), ("k", 0.01)]}
    pick = {
        "e": lambda t: t["embedding"]["embedding"],
        "b": lambda t: t["layer_0"]["bias"],
        "k": lambda t: t["layer_0"]["kernel"],
    }
    states = {name: alone[name].init(pick[name](params)) for name in alone}
    for _ in range(3):
        gradients = jax.tree.map(lambda g, p: g * p, _gradients(), params)
        updates, state = optimizer.update(gradients, state, params)
        for name in alone:
            expected, states[name] = alone[name].update(pick[name](gradients), states[name])
            np.testing.assert_allclose(pick[name](updates), expected, rtol=1e-6)
        params = optax.apply_updates(params, updates)


def test_frozen_parameters_stay_and_have_no_state():
    groups = ParameterGroups(frozen=("layer_0/",), learning_rates=("layer_0=5",))
    optimizer = groups.optimizer(lambda factor: optax.adamw(0.1 * factor, weight_decay=0.1))
    state = optimizer.init(_params())
    assert (2, 8) not in {leaf.shape for leaf in jax.tree.leaves(state)}
    updates, _ = optimizer.update(_gradients(), state, _params())
    assert not any(leaf.any() for leaf in jax.tree.leaves(updates["layer_0"]))
    assert updates["embedding"]["embedding"].all()


def test_without_groups_there_is_one_optimizer():
    state = ParameterGroups().optimizer(_sgd).init(_params())
    assert jax.tree.structure(state) == jax.tree.structure(_sgd(1.0).init(_params()))


def test_the_norm_of_a_group_is_clipped_and_no_other():
    clips = ParameterGroups(clip_norms=("layer_0=0.5", "embedding=1000")).clip()
    clip = optax.chain(*clips)
    clipped, _ = clip.update(_gradients(), clip.init(_params()))
    assert float(optax.tree.norm(clipped["layer_0"])) == pytest.approx(0.5)
    whole, kernel = _gradients()["layer_0"], clipped["layer_0"]["kernel"]
    scale = 0.5 / optax.tree.norm(whole)
    np.testing.assert_allclose(kernel, whole["kernel"] * scale, rtol=1e-6)
    for name in ("embedding", "norm"):
        for a, b in zip(*map(jax.tree.leaves, (clipped[name], _gradients()[name])), strict=True):
            np.testing.assert_array_equal(a, b)


def test_matrices_that_are_no_biases_decay():
    assert decayed(_params()) == {
        "embedding": {"embedding": True},
        "layer_0": {"kernel": True, "bias": False, "peephole": False},
        "norm": {"scale": False},
    }
    mask = ParameterGroups(no_decay=("embedding",)).decay_mask(_params())
    assert not mask["embedding"]["embedding"]
    assert mask["layer_0"]["kernel"]
    everything = ParameterGroups(decay_biases=True).decay_mask(_params())
    assert all(jax.tree.leaves(everything))


@pytest.mark.parametrize("field", ["learning_rates", "clip_norms", "frozen", "no_decay"])
def test_a_pattern_that_matches_nothing_is_told_with_the_paths(field):
    text = "embeding" if field in ("frozen", "no_decay") else "embeding=0.1"
    with pytest.raises(ConfigError) as error:
        ParameterGroups(**{field: (text,)}).check(_params())
    assert f"groups.{field}: 'embeding' matches no parameter" in str(error.value)
    assert all(path in str(error.value) for path in parameter_paths(_params()))


def test_not_everything_may_be_frozen():
    with pytest.raises(ConfigError, match="every parameter is frozen"):
        ParameterGroups(frozen=(".",)).check(_params())


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        ({"learning_rates": ("embedding",)}, "a pattern and a number"),
        ({"learning_rates": ("embedding=fast",)}, "a pattern and a number"),
        ({"learning_rates": ("embedding=0",)}, "above 0"),
        ({"clip_norms": ("embedding=nan",)}, "above 0"),
        ({"clip_norms": ("=1",)}, "no pattern"),
        ({"frozen": ("(",)}, "no regular expression"),
        ({"no_decay": (3,)}, "is no text"),
    ],
)
def test_what_is_no_group_is_told_before_anything_runs(values, problem):
    with pytest.raises(ConfigError, match=problem) as error:
        build(ParameterGroups, complete(ParameterGroups, values))
    assert str(error.value).startswith(next(iter(values)))


def test_a_pattern_may_hold_an_equals_sign():
    labels = ParameterGroups(learning_rates=(r"bias(?=$)=0.5",)).labels(_params())
    assert labels["layer_0"] == {"kernel": "1.0", "bias": "0.5", "peephole": "1.0"}


def test_a_held_parameter_moves_from_its_step_on_as_if_it_had_been_watched():
    intervals = {"2 steps": 2, "1 epoch": 4}
    groups = ParameterGroups(unfreeze=("embedding=1 epoch", "layer_0/=2 steps"))
    optimizer = groups.optimizer(lambda factor: optax.adam(0.1 * factor), intervals.__getitem__)
    watched = optax.adam(0.1)
    params = _params()
    state, watched_state = optimizer.init(params), watched.init(params)
    for step in range(6):
        gradients = jax.tree.map(lambda g, s=step: g * (s + 1), _gradients())
        updates, state = optimizer.update(gradients, state, params)
        expected, watched_state = watched.update(gradients, watched_state, params)
        for name, begin in {"embedding": 4, "layer_0": 2, "norm": 0}.items():
            for got, wanted in zip(
                *map(jax.tree.leaves, (updates[name], expected[name])), strict=True
            ):
                np.testing.assert_allclose(got, wanted if step >= begin else 0 * wanted, rtol=1e-6)


def test_a_frozen_parameter_is_never_unfrozen():
    groups = ParameterGroups(frozen=("norm",), unfreeze=("norm|layer_0=1 step",))
    optimizer = groups.optimizer(lambda factor: optax.sgd(factor), lambda text: 1)
    state = optimizer.init(_params())
    for step in range(2):
        updates, state = optimizer.update(_gradients(), state, _params())
        assert not updates["norm"]["scale"].any()
        assert bool(updates["layer_0"]["kernel"].any()) == (step == 1)


@pytest.mark.parametrize(
    "text", ["layer_0", "layer_0=", "=1 epoch", "layer_0=soon", "layer_0=0 steps", "(=1 epoch"]
)
def test_what_is_no_pattern_with_an_interval_is_told(text):
    with pytest.raises(ConfigError, match=r"unfreeze: .*"):
        build(ParameterGroups, complete(ParameterGroups, {"unfreeze": (text,)}))
    groups = ParameterGroups(unfreeze=("layr_0=1 epoch",))
    with pytest.raises(ConfigError, match=r"groups\.unfreeze: 'layr_0' matches no parameter"):
        groups.check(_params())
