"""The frame forecaster: equal to a loop over its cells, and blind to what it must not see."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lstm_jax as lj
from lstm_jax.models.frame_forecaster import FrameForecaster, to_patches
from lstm_jax.models.frame_forecaster import apply as apply_eagerly

PATCH, STEPS = 2, 3
apply = jax.jit(apply_eagerly, static_argnums=(0, 3))


@pytest.fixture(scope="module")
def made():
    network = FrameForecaster(
        cell=lj.conv_lstm, channels=3, hidden_size=3, num_layers=2, patch=PATCH
    )
    frames = np.random.default_rng(0).integers(0, 256, (2, 4, 6, 8, 3), np.uint8)
    params = network.init(jax.random.key(0), frames, STEPS)["params"]
    return network, params, frames


def test_it_is_a_loop_over_encoder_and_forecaster(made):
    network, params, frames = made
    cell = lj.conv_lstm(3)
    take_step = jax.jit(cell.step)
    carries = [cell.initial_carry(params["encoder_0"]["cell"], (2, 3, 4))] * 2
    for step in range(frames.shape[1]):
        x = to_patches(jnp.asarray(frames[:, step] / 255), PATCH)
        for i in range(2):
            carries[i], x = take_step(params[f"encoder_{i}"]["cell"], carries[i], x)
    logits = []
    for _ in range(STEPS):
        x, said = jnp.zeros((2, 3, 4, 3)), []
        for i in range(2):
            carries[i], x = take_step(params[f"forecaster_{i}"]["cell"], carries[i], x)
            said.append(x)
        output = params["output"]
        logits.append(jnp.concatenate(said, axis=-1) @ output["kernel"] + output["bias"])
    found = apply(network, params, frames, STEPS)
    assert found.shape == (2, STEPS, 6, 8, 3)
    np.testing.assert_allclose(to_patches(found, PATCH), np.stack(logits, axis=1), atol=1e-5)


def test_with_feedback_a_forecast_is_read_as_a_frame_is(made):
    network, params, frames = made
    network = network.clone(feedback=True)
    params = {name: params[name] for name in ("encoder_0", "encoder_1", "output")}
    found = apply(network, params, frames, STEPS)
    assert found.shape == (2, 4 - 1 + STEPS, 6, 8, 3)
    # Frame after frame; bytes are what is read, so a forecast is one in a float's precision.
    seen = frames.astype(np.float32)
    for step in range(STEPS):
        logits = apply(network, params, seen, 1)
        np.testing.assert_allclose(logits[:, -1], found[:, 3 + step], atol=1e-5)
        seen = np.concatenate([seen, 255 * jax.nn.sigmoid(logits[:, -1:])], axis=1)
    # What is said of a frame that was seen depends on those before it alone.
    changed = frames.copy()
    changed[:, 3] = 0
    np.testing.assert_allclose(
        apply(network, params, changed, STEPS)[:, :3], found[:, :3], atol=1e-6
    )


@pytest.mark.parametrize("feedback", [False, True])
def test_a_residual_network_that_says_nothing_copies_the_last_frame(made, feedback):
    network, params, frames = made
    network = network.clone(residual=True, feedback=feedback)
    silent = params | {"output": jax.tree.map(jnp.zeros_like, params["output"])}
    found = jax.nn.sigmoid(apply(network, silent, frames, STEPS)[:, -STEPS:])
    last = np.clip(frames[:, -1:] / 255, 0.01, 0.99)
    np.testing.assert_allclose(found, np.broadcast_to(last, found.shape), atol=1e-5)


def test_further_frames_do_not_change_those_before(made):
    network, params, frames = made
    more = apply(network, params, frames, STEPS + 2)
    np.testing.assert_allclose(more[:, :STEPS], apply(network, params, frames, STEPS), atol=1e-6)


@pytest.mark.long
def test_it_computes_in_a_smaller_type_about_the_same(made):
    network, params, frames = made
    low = apply(network.clone(dtype="bfloat16"), params, frames, STEPS)
    assert low.dtype == jnp.float32
    full = apply(network, params, frames, STEPS)
    assert 0 < float(jnp.max(jnp.abs(low - full))) < 0.05
