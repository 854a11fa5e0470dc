"""The language model: causal, stateful, deterministic at evaluation."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lstm_jax as lj
from lstm_jax.models.language_model import LanguageModel

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
