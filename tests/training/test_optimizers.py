"""Every optimiser of Optax by name: its fields, its steps, and what its mask leaves alone."""

import inspect

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from lstm_jax.config import build, complete, fields, find, names
from lstm_jax.errors import ConfigError
from lstm_jax.training.optimizers import ENTRIES, EXCLUDED, OWN_DEFAULTS

# Their step grows from one that single precision does not show in the loss.
_SLOW_TO_START = {"adopt": 2, "rprop": 2, "dadapt_adamw": 60, "dog": 60, "prodigy": 60}
# They divide by the rate, or it is part of their state.
_NEED_A_RATE = ("madgrad", "prodigy")


def _params():
    return {"w": jnp.array([[1.0, 2.0], [3.0, -1.0]]), "b": jnp.ones(2)}


def _loss(params):
    return 0.25 * (jnp.sum(params["w"] ** 2) + jnp.sum(params["b"] ** 2))


def _steps(optimizer, count, loss_fn=_loss):
    optimizer = optax.with_extra_args_support(optimizer)
    params = _params()
    state = optimizer.init(params)
    update = jax.jit(optimizer.update) if count > 3 else optimizer.update
    for _ in range(count):
        loss, gradients = jax.value_and_grad(loss_fn)(params)
        updates, state = update(gradients, state, params, value=loss)
        params = optax.apply_updates(params, updates)
    return params


def _one(step):
    return jnp.ones_like(step, float)


def test_all_of_optax_is_there():
    expected = {
        *("adabelief", "adadelta", "adafactor", "adagrad", "adam", "adamax", "adamaxw", "adamw"),
        *("adan", "amsgrad", "lamb", "lars", "lion", "nadam", "nadamw", "novograd", "radam"),
        *("rmsprop", "rprop", "sgd", "sm3", "yogi", "sign_sgd", "muon", "prodigy", "noisy_sgd"),
        *("schedule_free_adamw", "schedule_free_sgd", "fromage", "ademamix", "adopt"),
    }
    assert expected <= set(names("optimizer"))
    assert not set(EXCLUDED) & set(names("optimizer"))


def test_an_unknown_name_is_told_with_near_ones():
    with pytest.raises(ConfigError, match="did you mean adam"):
        find("optimizer", "adamv")


@pytest.mark.parametrize("name", names("optimizer"))
def test_a_step_lowers_a_quadratic(name):
    optimizer = build(find("optimizer", name), complete(find("optimizer", name), {}))(_one)
    after = _steps(optimizer, _SLOW_TO_START.get(name, 1))
    assert _loss(after) < _loss(_params())


@pytest.mark.parametrize("name", sorted(ENTRIES))
def test_defaults_are_those_of_optax(name):
    entry = ENTRIES[name]
    parameters = inspect.signature(entry.make).parameters
    for key, field in fields(entry.factory).items():
        mapped = entry.fields[key]
        theirs = parameters[mapped.argument].default
        if key == "seed" or key in OWN_DEFAULTS.get(name, {}):
            continue  # Optax has none; or another on purpose
        if theirs in (None, inspect.Parameter.empty) and key == "learning_rate":
            assert field.default > 0
        elif mapped.zero_is_none:
            assert (field.default, theirs) == (0.0, None)
        elif mapped.place is not None:
            assert field.default == theirs[mapped.place]
        elif isinstance(theirs, type):
            assert field.default == jnp.dtype(theirs).name
        else:
            assert field.default == theirs
        assert field.comment, f"{name}.{key} has no description"


@pytest.mark.parametrize("name", sorted(ENTRIES))
def test_every_parameter_of_optax_is_a_field_or_cannot_be_one(name):
    entry = ENTRIES[name]
    left = inspect.signature(entry.make).parameters.keys() - {
        field.argument for field in entry.fields.values()
    }
    assert left <= {
        *("mask", "weight_decay_mask", "trust_ratio_mask", "weight_dimension_numbers"),
        *("muon_weight_dimension_numbers", "ns_coeffs", "init_step", "clip_value_fn"),
        *("base_optimizer", "warmup_steps", "seed"),
    }


@pytest.mark.parametrize("name", [n for n in names("optimizer") if n not in _NEED_A_RATE])
def test_optimizers_follow_the_schedule(name):
    optimizer = find("optimizer", name)(lambda step: 0.0 * _one(step))
    before, after = _params(), _steps(optimizer, 1)
    assert all(jax.tree.leaves(jax.tree.map(np.array_equal, before, after)))


@pytest.mark.parametrize(
    ("name", "values", "reference"),
    [
        ("adamw", {"b2": 0.99}, lambda r: optax.adamw(r, b2=0.99, weight_decay=0.0)),
        ("sgd", {"momentum": 0.9, "nesterov": True}, lambda r: optax.sgd(r, 0.9, True)),
        ("sgd", {}, lambda r: optax.sgd(r, momentum=None)),
        ("rmsprop", {"decay": 0.8}, lambda r: optax.rmsprop(r, decay=0.8)),
        ("prodigy", {"b1": 0.8}, lambda r: optax.contrib.prodigy(r, betas=(0.8, 0.999))),
        ("adafactor", {"dtype_momentum": "bfloat16", "momentum": 0.5},
         lambda r: optax.adafactor(r, momentum=0.5, dtype_momentum=jnp.bfloat16)),
        ("sm3", {}, lambda r: optax.sm3(0.25)),
    ],
)  # fmt: skip
def test_steps_are_bitwise_those_of_optax(name, values, reference):
    optimizer = find("optimizer", name)(_one, learning_rate=0.25, **values)
    theirs = _steps(reference(lambda step: 0.25 * _one(step)), 3)
    ours = _steps(optimizer, 3)
    assert all(jax.tree.leaves(jax.tree.map(np.array_equal, ours, theirs)))


@pytest.mark.parametrize("name", sorted(n for n, e in ENTRIES.items() if e.mask))
def test_weight_decay_leaves_biases_alone(name):
    target = jnp.array([[0.5, -1.0], [2.0, 4.0]])  # the gradient is not along the parameters

    def loss(params):
        return jnp.sum((params["w"] - target) ** 2) + jnp.sum(params["b"] ** 2)

    decay = next(key for key in ENTRIES[name].fields if key.startswith("weight_decay"))
    with_decay = _steps(find("optimizer", name)(_one, **{decay: 0.5}), 3, loss)
    without = _steps(find("optimizer", name)(_one, **{decay: 0.0}), 3, loss)
    assert not np.array_equal(with_decay["w"], without["w"])
    if name not in ("dog", "dowg"):  # one rate for all, from how far all have gone
        assert np.array_equal(with_decay["b"], without["b"])


def test_fields_are_typed_and_in_range():
    factory = find("optimizer", "muon")
    with pytest.raises(ConfigError) as error:
        build(factory, complete(factory, {"beta": 1.5, "preconditioning": "none", "eps": 0.0}))
    assert len(error.value.problems) == 3
