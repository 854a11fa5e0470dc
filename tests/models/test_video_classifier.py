"""The classifier of clips: blind behind the end of a clip, and not to the order of its frames."""

import jax
import numpy as np
import pytest

import lstm_jax as lj
from lstm_jax.models.classifier import apply as apply_eagerly
from lstm_jax.models.video_classifier import VideoClassifier

SHARED = {"classes": 3, "cell": lj.lstm, "hidden_size": 5, "filters": 2, "convolutions": 2}
KINDS = {
    "lstm": VideoClassifier(**SHARED, frame_size=6, pooling=("last", "max")),
    "conv_lstm": VideoClassifier(
        **SHARED, conv_lstm_size=4, num_layers=0, bidirectional=False, pooling=("last",)
    ),
}
LENGTHS = np.array([5, 3])
apply = jax.jit(apply_eagerly, static_argnums=0)


@pytest.fixture(scope="module", params=sorted(KINDS))
def made(request):
    network = KINDS[request.param]
    clips = np.random.default_rng(0).integers(0, 256, (2, 5, 9, 8, 1), np.uint8)
    params = jax.jit(network.init)(jax.random.key(0), clips, LENGTHS)["params"]
    return network, params, clips


def test_what_stands_behind_the_end_changes_nothing(made):
    network, params, clips = made
    changed = clips.copy()
    changed[1, 3:] = 255
    before, after = (apply(network, params, x, LENGTHS) for x in (clips, changed))
    np.testing.assert_array_equal(before, after)
    assert before.shape == (2, 3)


def test_the_order_of_frames_matters(made):
    network, params, clips = made
    turned = clips.copy()
    turned[0] = clips[0, ::-1]
    before, after = (apply(network, params, x, LENGTHS) for x in (clips, turned))
    assert np.abs(before[0] - after[0]).max() > 1e-4
    np.testing.assert_allclose(before[1], after[1], atol=1e-6)


def test_params_are_named_as_documented(made):
    network, params, _ = made
    shared = {"convolution_0", "convolution_1", "output"}
    own = {"plane"} if network.conv_lstm_size else {"frame", "layer_0"}
    assert set(params) == shared | own
    assert params["convolution_1"]["kernel"].shape == (3, 3, 2, 4)
