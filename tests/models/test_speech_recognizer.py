"""The network of a recognizer: padding changes nothing, and pieces give what the whole gives."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lstm_jax as lj
from lstm_jax.models.speech_recognizer import SpeechRecognizer

FEATURES = 3


def recognizer(bidirectional: bool) -> SpeechRecognizer:
    return SpeechRecognizer(
        symbols=4, cell=lj.lstm, channels=5, strides=(2, 3), hidden_size=4,
        num_layers=2, bidirectional=bidirectional,
    )  # fmt: skip


@pytest.fixture(scope="module", params=[True, False], ids=["both", "one"])
def made(request):
    network = recognizer(request.param)
    x = jax.random.normal(jax.random.key(1), (2, 24, FEATURES))
    lengths = jnp.array([24, 10])
    variables = network.init(jax.random.key(0), x, lengths)
    return network, variables, x, lengths, network.apply(variables, x, lengths)


def test_padding_changes_nothing(made):
    network, variables, x, lengths, whole = made
    dirty = x.at[1, 10:].set(1e3)
    np.testing.assert_allclose(network.apply(variables, dirty, lengths), whole, atol=1e-5)
    alone = network.apply(variables, x[1:, :10], lengths[1:])
    steps = int(network.steps_of(lengths)[1])
    assert alone.shape[1] == steps == 2
    np.testing.assert_allclose(alone[0], whole[1, :steps], atol=1e-5)


def test_one_direction_sees_nothing_ahead(made):
    """A step may look at the frames up to its own first one, or, in both directions, at all."""
    network, variables, x, lengths, whole = made
    changed = network.apply(variables, x.at[0, 13:].add(1.0), lengths)
    same = np.isclose(changed[0], whole[0], atol=1e-6).all(axis=-1)
    if network.bidirectional:
        assert not same.any()
    else:
        assert same.tolist() == [True, True, True, False]  # steps at frames 0, 6, 12 and 18


def test_pieces_give_what_the_whole_gives(made):
    network, variables, x, _, whole = made
    if network.bidirectional:
        with pytest.raises(ValueError, match="both directions"):
            network.apply(variables, 2, FEATURES, method="initial_stream")
        return
    carry = network.apply(variables, 2, FEATURES, method="initial_stream")
    found = []
    for begin, end in ((0, 6), (6, 18), (18, 24)):
        carry, logits = network.apply(variables, carry, x[:, begin:end], method="stream")
        found.append(logits)
    np.testing.assert_allclose(jnp.concatenate(found, axis=1)[0], whole[0], atol=1e-5)
    with pytest.raises(ValueError, match="multiple of 6"):
        network.apply(variables, carry, x[:, :4], method="stream")


def test_dropout_needs_a_key_and_changes_what_is_found(made):
    network, variables, x, lengths, whole = made
    noisy = network.clone(dropout=0.5)
    np.testing.assert_array_equal(noisy.apply(variables, x, lengths), whole)
    rngs = {"dropout": jax.random.key(2)}
    dropped = noisy.apply(variables, x, lengths, deterministic=False, rngs=rngs)
    assert not np.allclose(dropped, whole)
