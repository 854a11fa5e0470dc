"""Heads: probabilities that sum to one, costs that agree with them, torch's adaptive softmax."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lstm_jax.models.blocked_softmax import chosen_cost
from lstm_jax.models.heads import HeadShape, adaptive_softmax, mixture_of_softmaxes, softmax

torch = pytest.importorskip("torch")
SYMBOLS, SIZE = 23, 6
X = jax.random.normal(jax.random.key(0), (7, 5, SIZE))
TARGETS = jax.random.randint(jax.random.key(1), (7, 5), 0, SYMBOLS)
MASK = jax.random.bernoulli(jax.random.key(2), 0.7, (7, 5))
TABLE = jax.random.normal(jax.random.key(3), (SYMBOLS, SIZE))
CUTOFFS = ("5", "12")


def adaptive(shape, **options):
    return adaptive_softmax(shape, cutoffs=CUTOFFS, **{"div_value": 2.0, **options})


HEADS = {
    "softmax": softmax,
    "mixture": lambda shape: mixture_of_softmaxes(shape, components=3),
    "adaptive": adaptive,
    "adaptive with biases": lambda shape: adaptive(shape, bias=True),
}


def made(factory, tied=False):
    """The head, and parameters none of which is zero."""
    head = factory(HeadShape(SYMBOLS, SIZE, SIZE, tied))
    variables = head.init(jax.random.key(4), X, TABLE, method="logits")
    leaves, tree = jax.tree.flatten(variables["params"])
    keys = jax.random.split(jax.random.key(5), len(leaves))
    leaves = [jax.random.normal(k, leaf.shape) for k, leaf in zip(keys, leaves, strict=True)]
    return head, {"params": tree.unflatten(leaves)}


def apply(head, variables, *parts, **options) -> Any:
    return head.apply(variables, *parts, **options)


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("name", HEADS)
def test_costs_are_those_of_the_probabilities_in_value_and_gradient(name, tied):
    head, variables = made(HEADS[name], tied)

    def from_logits(variables, x, table):
        logits = apply(head, variables, x, table, method="logits")
        log_probability = jax.nn.log_softmax(logits)
        return -jnp.take_along_axis(log_probability, TARGETS[..., None], -1)[..., 0] * MASK

    def cost(variables, x, table):
        return apply(head, variables, x, TARGETS, MASK, table, True, method="cost")[0]

    arguments = (variables, X, TABLE)
    np.testing.assert_allclose(cost(*arguments), from_logits(*arguments), rtol=1e-5, atol=1e-5)
    weights = jax.random.normal(jax.random.key(6), MASK.shape)
    found, expected = (
        jax.jit(jax.grad(lambda *a, f=f: jnp.sum(weights * f(*a)), (0, 1, 2)))(*arguments)
        for f in (cost, from_logits)
    )
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5), found, expected
    )


@pytest.mark.parametrize("name", ["mixture", "adaptive", "adaptive with biases"])
def test_logits_of_several_parts_are_normalised(name):
    head, variables = made(HEADS[name])
    logits = apply(head, variables, X, TABLE, method="logits")
    np.testing.assert_allclose(jnp.exp(logits).sum(-1), 1, rtol=1e-5)


@pytest.mark.parametrize("name", ["softmax", "mixture"])
def test_right_is_the_likeliest(name):
    head, variables = made(HEADS[name])
    likeliest = jnp.argmax(apply(head, variables, X, TABLE, method="logits"), -1)
    targets = jnp.where(jnp.arange(5) % 2, likeliest, TARGETS)
    _, right = apply(head, variables, X, targets, MASK, TABLE, True, method="cost")
    np.testing.assert_array_equal(right, (likeliest == targets) & MASK)


@pytest.mark.parametrize("head_bias", [False, True])
def test_adaptive_softmax_is_that_of_torch(head_bias):
    peer = torch.nn.AdaptiveLogSoftmaxWithLoss(
        SIZE, SYMBOLS, [int(c) for c in CUTOFFS], div_value=2.0, head_bias=head_bias
    )
    head, variables = made(lambda shape: adaptive(shape, bias=head_bias))
    params = variables["params"]
    weights = {"kernel": peer.head.weight}
    for i, tail in enumerate(peer.tail):
        weights[f"projection_{i}"], weights[f"kernel_{i}"] = tail[0].weight, tail[1].weight
    params = {name: w.detach().numpy().T for name, w in weights.items()}
    assert {k: v.shape for k, v in params.items()} == {
        k: v.shape for k, v in variables["params"].items() if "bias" not in k
    }
    if head_bias:
        bias = peer.head.bias.detach().numpy()
        params["bias"] = np.pad(bias[:5], (0, SYMBOLS - 5))  # torch's clusters have none
        params["cluster_bias"] = bias[5:]
    x = torch.tensor(np.asarray(X.reshape(-1, SIZE)))
    first, inside = peer.head(x).argmax(1), [tail(x).argmax(1) for tail in peer.tail]
    greedy = torch.where(first == 5, 5 + inside[0], first)
    greedy = torch.where(first == 6, 12 + inside[1], greedy)
    y = torch.tensor(np.asarray(TARGETS.ravel()), dtype=torch.long)
    y = torch.where(torch.arange(len(y)) % 2 == 0, greedy, y)
    variables = {"params": params}
    targets = jnp.array(y.numpy()).reshape(MASK.shape)
    parts = (X, targets, jnp.ones_like(MASK), TABLE, True)
    nats, right = apply(head, variables, *parts, method="cost")
    np.testing.assert_allclose(nats.ravel(), -peer(x, y).output.detach(), rtol=1e-5, atol=1e-5)
    logits = apply(head, variables, X.reshape(-1, SIZE), TABLE, method="logits")
    np.testing.assert_allclose(logits, peer.log_prob(x).detach(), rtol=1e-5, atol=1e-5)
    np.testing.assert_array_equal(right.ravel(), (greedy == y).numpy())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"cutoffs": ("5", "5")}, "rising numbers"),
        ({"cutoffs": ("a",)}, "rising numbers"),
        ({"cutoffs": ()}, "rising numbers"),
        ({"cutoffs": ("23",)}, "below the 23 symbols"),
    ],
)
def test_cutoffs_are_checked(options, message):
    with pytest.raises(ValueError, match=message):
        adaptive_softmax(HeadShape(SYMBOLS, SIZE, SIZE, False), **options)


def test_dropout_of_the_mixture_acts_in_training_alone():
    head = mixture_of_softmaxes(HeadShape(SYMBOLS, SIZE, SIZE, False), components=3, dropout=0.5)
    variables = head.init(jax.random.key(4), X, TABLE, method="logits")

    def cost(deterministic, key):
        parts = (X, TARGETS, MASK, TABLE, deterministic)
        rngs = {"dropout": jax.random.key(key)}
        return apply(head, variables, *parts, method="cost", rngs=rngs)[0]

    np.testing.assert_array_equal(cost(True, 0), cost(True, 1))
    assert not np.allclose(cost(False, 0), cost(False, 1))


@pytest.mark.parametrize("count", [0, 1, 127, 128, 129, 600])
def test_blocks_are_invisible(count):
    """Whatever their number, what is chosen costs what it costs alone, and the rest nothing."""
    x = jax.random.normal(jax.random.key(0), (600, 3))
    kernel, bias = jax.random.normal(jax.random.key(1), (3, 4)), jnp.arange(4.0)
    y = jax.random.randint(jax.random.key(2), (600,), 0, 4)
    chosen = (
        jnp.zeros(600, bool).at[jax.random.permutation(jax.random.key(3), 600)[:count]].set(True)
    )

    def plain(x):
        log_probability = jax.nn.log_softmax(x @ kernel + bias)
        return jnp.where(chosen, -jnp.take_along_axis(log_probability, y[:, None], 1)[:, 0], 0)

    def blocked(x):
        return chosen_cost(x, kernel, bias, y, chosen)[0]

    np.testing.assert_allclose(blocked(x), plain(x), rtol=1e-5, atol=1e-6)
    for found, expected in zip(
        jax.vjp(blocked, x)[1](x[:, 0]), jax.vjp(plain, x)[1](x[:, 0]), strict=True
    ):
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
