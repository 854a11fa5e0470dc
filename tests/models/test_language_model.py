"""The language model: causal, stateful, deterministic at evaluation."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lstm_jax as lj
from lstm_jax.models.language_model import LanguageModel, Regularization

TOKENS = jax.random.randint(jax.random.key(0), (3, 8), 0, 11)


def make(**options):
    options = {"embedding_size": 6, "hidden_size": 6, "num_layers": 2, **options}
    model = LanguageModel(vocabulary_size=11, cell=lj.lstm, **options)
    return model, model.init(jax.random.key(1), TOKENS)


def test_no_symbol_sees_what_comes_after_it():
    model, variables = make()
    embedding = variables["params"]["embedding"]["embedding"]

    def logits_at(t, table):
        changed = {"params": {**variables["params"], "embedding": {"embedding": table}}}
        tokens = jnp.arange(8)[None]  # every symbol once, so that rows of the table are places
        return model.apply(changed, tokens)[1][0, t].sum()

    for t in range(8):
        gradient = jax.grad(logits_at, 1)(t, embedding)[:8]
        seen = np.abs(gradient).sum(axis=1) > 0
        np.testing.assert_array_equal(seen, np.arange(8) <= t)


def test_carry_goes_on_from_window_to_window():
    model, variables = make()
    _, whole = model.apply(variables, TOKENS)
    carry, first = model.apply(variables, TOKENS[:, :3])
    _, second = model.apply(variables, TOKENS[:, 3:], carry)
    np.testing.assert_allclose(jnp.concatenate([first, second], 1), whole, rtol=1e-5, atol=1e-6)


def test_dropout_acts_in_training_only():
    model, variables = make(dropout=0.5)
    dropped, again = (
        model.apply(variables, TOKENS, deterministic=False, rngs={"dropout": jax.random.key(k)})[1]
        for k in (0, 1)
    )
    assert not np.allclose(dropped, again)
    plain, _ = make(dropout=0.0)
    np.testing.assert_array_equal(
        model.apply(variables, TOKENS)[1], plain.apply(variables, TOKENS)[1]
    )


@pytest.mark.parametrize("tied", [False, True])
def test_a_tied_softmax_has_no_matrix_of_its_own(tied):
    _, variables = make(tie_embedding=tied)
    sizes = {leaf.shape for leaf in jax.tree.leaves(variables)}
    assert ((6, 11) in sizes) == (not tied)


def read(regularization, tokens=TOKENS, key=0):
    """What the last layer yields and what the head reads [time, batch, features], in training."""
    model, variables = make(regularization=Regularization(**regularization))
    rngs = {"dropout": jax.random.key(key)}
    _, raw, read = model.apply(variables, tokens, None, None, False, method="features", rngs=rngs)
    return raw, read


def test_masks_of_activations_last_for_a_window_and_differ_from_stream_to_stream():
    raw, read_by_head = read({"output": 0.5})
    dropped = np.asarray(read_by_head == 0)
    np.testing.assert_array_equal(dropped, np.broadcast_to(dropped[:1], dropped.shape))
    assert len({row.tobytes() for row in dropped[0]}) > 1
    np.testing.assert_allclose(read_by_head, np.where(dropped, 0, 2 * raw), rtol=1e-6)


@pytest.mark.parametrize("place", ["words", "input", "hidden", "output", "weights"])
def test_every_rate_acts_in_training_alone(place):
    model, variables = make(regularization=Regularization(**{place: 0.5}))
    plain, _ = make()
    expected = plain.apply(variables, TOKENS)[1]
    np.testing.assert_array_equal(model.apply(variables, TOKENS)[1], expected)
    dropped = [
        model.apply(variables, TOKENS, deterministic=False, rngs={"dropout": jax.random.key(k)})[1]
        for k in (0, 1)
    ]
    assert not np.allclose(dropped[0], expected)
    assert not np.allclose(*dropped)


def test_a_dropped_word_is_dropped_wherever_it_is_read():
    tokens = jnp.arange(11)[None].repeat(2, axis=0)
    model, variables = make(regularization=Regularization(words=0.4), num_layers=1)
    embedding = jax.grad(
        lambda table: jnp.sum(
            model.apply(
                {"params": {**variables["params"], "embedding": {"embedding": table}}},
                tokens, None, None, False, method="features", rngs={"dropout": jax.random.key(3)},
            )[2] ** 2
        )
    )(variables["params"]["embedding"]["embedding"])  # fmt: skip
    # A word that was dropped, in both streams alike, has no gradient.
    unread = np.abs(embedding).sum(axis=1) == 0
    assert 0 < unread.sum() < 11


def test_a_carry_is_that_behind_the_last_valid_symbol():
    model, variables = make()
    lengths = jnp.array([8, 5, 1])
    carry, _ = model.apply(variables, TOKENS, lengths=lengths)
    for row, length in enumerate(lengths.tolist()):
        alone, _ = model.apply(variables, TOKENS[row : row + 1, :length])
        for found, expected in zip(jax.tree.leaves(carry), jax.tree.leaves(alone), strict=True):
            np.testing.assert_allclose(found[row], expected[0], rtol=1e-5, atol=1e-6)


def test_parameters_are_named_so_that_an_encoder_can_take_them():
    _, variables = make(tie_embedding=True)
    assert set(variables["params"]) == {"embedding", "layer_0", "layer_1", "softmax"}
    assert set(variables["params"]["softmax"]) == {"bias"}
