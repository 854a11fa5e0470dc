"""Attention: the formulas of Luong and Bahdanau as torch computes them; padding gets nothing."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lstm_jax.models.attention import attend, init_attention, remember

LENGTHS = np.array([5, 2, 4])


def arrays(query_size, memory_size):
    random = np.random.default_rng(0)
    query = random.normal(size=(3, 7, query_size)).astype(np.float32)
    values = random.normal(size=(3, 5, memory_size)).astype(np.float32)
    return query, values, np.arange(5) < LENGTHS[:, None]


def found(score, query, values, mask):
    params = init_attention(jax.random.key(0), score, query.shape[-1], values.shape[-1], 6)
    return params, attend(params, query, remember(params, values, mask))


@pytest.mark.parametrize("score", ["dot", "general", "concat"])
def test_weights_and_contexts_are_those_of_torch(score):
    torch = pytest.importorskip("torch")
    query, values, mask = arrays(4, 4 if score == "dot" else 3)
    params, (context, weights) = found(score, query, values, mask)
    q, m = torch.from_numpy(query), torch.from_numpy(values)
    kernels = {name: torch.tensor(np.asarray(leaf)) for name, leaf in params.items()}
    if score == "dot":
        scores = torch.bmm(q, m.mT)
        library = torch.nn.functional.scaled_dot_product_attention(
            q, m, m, attn_mask=torch.from_numpy(mask)[:, None], scale=1.0
        )
        np.testing.assert_allclose(context, library, rtol=1e-5, atol=1e-6)
    elif score == "general":
        scores = torch.einsum("bqh,mh,bsm->bqs", q, kernels["memory_kernel"], m)
    else:
        hidden = torch.nn.functional.linear(q, kernels["query_kernel"].T)[:, :, None]
        hidden = hidden + torch.nn.functional.linear(m, kernels["memory_kernel"].T)[:, None]
        scores = torch.tanh(hidden) @ kernels["score_kernel"]
    scores = scores.masked_fill(~torch.from_numpy(mask)[:, None], -torch.inf)
    expected = torch.softmax(scores, -1)
    np.testing.assert_allclose(weights, expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(context, torch.bmm(expected, m), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("score", ["general", "concat"])
def test_what_stands_in_the_padding_changes_nothing(score):
    query, values, mask = arrays(4, 3)
    _, (context, weights) = found(score, query, values, mask)
    _, (other, _) = found(score, query, np.where(mask[:, :, None], values, 1e6), mask)
    np.testing.assert_array_equal(context, other)
    np.testing.assert_array_equal(
        np.asarray(weights)[~np.broadcast_to(mask[:, None], (3, 7, 5))], 0
    )
    np.testing.assert_allclose(weights.sum(-1), 1, rtol=1e-6)


def test_an_empty_source_gives_an_empty_context_and_finite_gradients():
    query, values, _ = arrays(4, 3)
    mask = np.zeros((3, 5), bool)
    params, (context, _) = found("general", query, values, mask)
    assert not np.any(context)

    def total(params):
        return jnp.sum(attend(params, query, remember(params, values, mask))[0])

    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(jax.grad(total)(params)))


def test_dot_needs_one_size():
    with pytest.raises(ValueError, match="outputs of one size, got 4 and 3"):
        init_attention(jax.random.key(0), "dot", 4, 3, 6)
