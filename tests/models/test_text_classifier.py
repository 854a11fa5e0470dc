"""The classifier: padding changes nothing, poolings are what they say, a language model fits in."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lstm_jax as lj
from lstm_jax.models.classifier import POOLINGS
from lstm_jax.models.pooling import AttentionPooling, last_output, max_output, mean_output
from lstm_jax.models.text_classifier import TextClassifier, TextDropout


def make(**options):
    options = {"cell": lj.lstm, "embedding_size": 5, "hidden_size": 4, "num_layers": 1, **options}
    return TextClassifier(vocabulary_size=9, classes=3, **options)


def init(model):
    return model.init(jax.random.key(0), jnp.zeros((1, 1), int), jnp.ones(1, int))["params"]


def apply(model, params, *arguments, **options):
    return model.apply({"params": params}, *arguments, **options)


@pytest.mark.parametrize("bidirectional", [True, False])
@pytest.mark.parametrize("pooling", [*((p,) for p in POOLINGS), POOLINGS])
def test_a_text_is_classified_alike_whatever_stands_behind_it(pooling, bidirectional):
    model = make(pooling=pooling, bidirectional=bidirectional, head_size=6)
    params = init(model)
    tokens = jax.random.randint(jax.random.key(1), (1, 4), 1, 9)
    alone = apply(model, params, tokens, jnp.array([4]))
    padded = jnp.concatenate([tokens, jnp.full((1, 3), 7)], axis=1)
    others = jnp.concatenate([padded, jnp.ones((2, 7), int)])
    together = apply(model, params, others, jnp.array([4, 7, 0]))
    np.testing.assert_allclose(together[:1], alone, atol=1e-6)
    assert np.isfinite(together).all()


def test_an_empty_text_has_finite_gradients():
    model = make(pooling=POOLINGS)

    def loss(params):
        return apply(model, params, jnp.ones((2, 3), int), jnp.array([0, 3])).sum()

    gradients = jax.grad(loss)(init(model))
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(gradients))


def test_poolings_are_those_of_the_valid_part():
    ys = jax.random.normal(jax.random.key(0), (6, 3, 4))
    lengths = [6, 2, 1]
    found = {f.__name__: f(ys, jnp.array(lengths)) for f in (last_output, mean_output, max_output)}
    for row, length in enumerate(lengths):
        part = np.asarray(ys[:length, row])
        np.testing.assert_allclose(found["last_output"][row], part[-1])
        np.testing.assert_allclose(found["mean_output"][row], part.mean(0), rtol=1e-6)
        np.testing.assert_allclose(found["max_output"][row], part.max(0))


def test_attention_is_that_of_torch():
    torch = pytest.importorskip("torch")
    ys = np.asarray(jax.random.normal(jax.random.key(0), (6, 2, 4)))
    pooling = AttentionPooling()
    variables = pooling.init(jax.random.key(1), ys, jnp.array([6, 3]))
    params = jax.tree.map(lambda leaf: torch.tensor(np.array(leaf)), variables["params"])
    found = pooling.apply(variables, ys, jnp.array([6, 3]))
    for row, length in enumerate((6, 3)):
        y = torch.tensor(ys[:length, row])
        u = torch.tanh(y @ params["kernel"] + params["bias"])
        expected = torch.softmax(u @ params["query"], 0) @ y
        np.testing.assert_allclose(found[row], expected, atol=1e-6)


def test_last_of_both_directions_is_their_last_carry():
    model = make(pooling=("last",))
    params = init(model)
    tokens, lengths = jnp.array([[1, 2, 3, 0], [4, 5, 6, 7]]), jnp.array([3, 4])
    layer = lj.bidirectional(lj.lstm(4))
    xs = params["embedding"]["embedding"][tokens.T]
    carry, _ = lj.scan(layer, params["layer_0"]["cell"], None, xs, lengths=lengths)
    last = jnp.concatenate([carry.forward.hidden, carry.backward.hidden], -1)
    expected = last @ params["output"]["kernel"] + params["output"]["bias"]
    np.testing.assert_allclose(apply(model, params, tokens, lengths), expected, atol=1e-6)


def test_the_layers_are_named_and_shaped_as_those_of_a_language_model():
    from lstm_jax.models.language_model import LanguageModel

    sizes = {"cell": lj.lstm, "embedding_size": 5, "hidden_size": 4, "num_layers": 2}
    language_model = LanguageModel(vocabulary_size=9, **sizes)
    theirs = language_model.init(jax.random.key(0), jnp.zeros((1, 1), int))["params"]
    ours = init(make(bidirectional=False, num_layers=2))
    for name in ("embedding", "layer_0", "layer_1"):
        shapes = [jax.tree.map(jnp.shape, params[name]) for params in (ours, theirs)]
        assert shapes[0] == shapes[1]


@pytest.mark.parametrize("what", ["words", "input", "hidden", "output"])
def test_dropout_is_there_in_training_alone(what):
    rates = dict.fromkeys(("words", "input", "hidden", "output"), 0.0) | {what: 0.5}
    model = make(dropout=TextDropout(**rates), num_layers=2)
    params = init(model)
    tokens, lengths = jnp.ones((4, 3), int), jnp.full(4, 3)
    still = apply(model, params, tokens, lengths)
    keys = [{"dropout": jax.random.key(i)} for i in (0, 1)]
    noisy = [apply(model, params, tokens, lengths, deterministic=False, rngs=key) for key in keys]
    np.testing.assert_array_equal(still[0], still[1])
    assert not np.allclose(noisy[0], noisy[1])
    assert not np.allclose(noisy[0][0], noisy[0][1])


def test_the_logits_of_both_parts_are_added_and_padding_has_no_vote():
    model, network = make(ngrams=6, temperature=2.0), make()
    texts = jnp.concatenate([jnp.full((2, 3, 1), 4), jnp.arange(12).reshape(2, 3, 2) % 7], axis=2)
    lengths = jnp.array([3, 2])
    params = model.init(jax.random.key(0), texts, lengths)["params"]
    ratio = jax.random.normal(jax.random.key(1), (3, 6))
    params["ngrams"] = {"weight": jnp.arange(1.0, 7), "ratio": ratio}
    held = [[1, 2, 3, 4, 5], [6, 1, 2]]  # of the second text [6, 0], [1, 2] and, behind it, [3, 4]
    votes = [sum(n * ratio[:, n - 1] for n in numbers) for numbers in held]
    alone = {name: value for name, value in params.items() if name != "ngrams"}
    expected = apply(network, alone, texts[..., 0], lengths) / 2 + jnp.stack(votes)
    np.testing.assert_allclose(apply(model, params, texts, lengths), expected, rtol=1e-5)


def test_a_text_is_judged_by_one_part_where_the_other_is_dropped():
    dropout = TextDropout(parts=1.0, output=0.0)
    model, texts = make(ngrams=6, dropout=dropout), jnp.full((64, 1, 2), 2)
    lengths = jnp.ones(64, int)
    params = model.init(jax.random.key(0), texts, lengths)["params"]
    params["ngrams"]["ratio"] = jnp.full((3, 6), 100.0)  # a vote of five
    options = {"deterministic": False, "rngs": {"dropout": jax.random.key(1)}}
    both = apply(model, params, texts, lengths)[0]
    found = apply(model, params, texts, lengths, **options)
    by_votes = np.isclose(found, 5.0).all(axis=1)
    by_network = np.isclose(found, both - 5.0, atol=1e-5).all(axis=1)
    assert (by_votes ^ by_network).all()
    assert 16 < by_votes.sum() < 48
