"""Dynamic evaluation, cache and mixture: each against its formula, step by step."""

import json
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lstm_jax as lj
from lstm_jax.cli.main import main
from lstm_jax.models.language_model import LanguageModel, run
from lstm_jax.models.ngram import probabilities
from lstm_jax.tasks.dynamic_evaluation import Dynamic, gradient_roots, read_text
from lstm_jax.tasks.neural_cache import cache_probabilities
from lstm_jax.training import Console, Run, experiment, train
from tests.training.small import small

MODEL = LanguageModel(9, lj.lstm, embedding_size=4, hidden_size=6)
PARAMS = MODEL.init(jax.random.key(0), jnp.zeros((1, 1), int))["params"]
IDS = np.random.default_rng(0).integers(0, 9, 43).astype(np.int32)


def nats_of(params, carry, ids):
    carry, logits = run(MODEL, params, ids[None, :-1], carry)
    log_probability = jax.nn.log_softmax(logits[0])
    return carry, -jnp.take_along_axis(log_probability, ids[1:, None], 1)[:, 0]


def by_hand(change, segment):
    """The text segment by segment, with `change(params, gradient)` behind each."""
    params, carry, found = PARAMS, None, []
    for start in range(0, len(IDS) - 1, segment):
        part = jnp.asarray(IDS[start : start + segment + 1])
        gradient = jax.grad(lambda p, c=carry, s=part: nats_of(p, c, s)[1].mean())(params)
        carry, nats = nats_of(params, carry, part)
        found.append(nats)
        params = change(params, gradient)
    return np.concatenate(found)


def test_a_model_that_does_not_learn_costs_what_one_pass_costs():
    expected = nats_of(PARAMS, None, jnp.asarray(IDS))[1]
    found = read_text(MODEL, PARAMS, IDS, keep_features=True)
    np.testing.assert_allclose(found.nats, expected, rtol=1e-5)
    assert found.features.shape == (42, 6)
    still = Dynamic(rule="sgd", rate=0.0, decay=0.0, segment=5)
    np.testing.assert_allclose(
        read_text(MODEL, PARAMS, IDS, dynamic=still).nats, expected, rtol=1e-5
    )


@pytest.mark.parametrize("segment", [5, 1, 42, 60])
def test_sgd_is_its_formula(segment):
    def change(params, gradient):
        return jax.tree.map(lambda p, g, p0: p - 0.5 * g + 0.1 * (p0 - p), params, gradient, PARAMS)

    dynamic = Dynamic(rule="sgd", rate=0.5, decay=0.1, segment=segment)
    found = read_text(MODEL, PARAMS, IDS, dynamic=dynamic)
    np.testing.assert_allclose(found.nats, by_hand(change, segment), rtol=1e-4, atol=1e-5)


def test_rms_is_its_formula():
    batches = [jnp.asarray(IDS[:20]), jnp.asarray(IDS[20:])]

    def loss(params, ids):
        return nats_of(params, None, ids)[1].mean()

    gradients = [jax.grad(loss)(PARAMS, ids) for ids in batches]
    roots = jax.tree.map(lambda *g: jnp.sqrt(sum(x**2 for x in g) / 2), *gradients)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-8),
        gradient_roots(loss, PARAMS, batches),
        roots,
    )
    mean = np.mean(np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(roots)]))

    def change(params, gradient):
        return jax.tree.map(
            lambda p, g, r, p0: (
                p - 0.01 * g / (r + 0.001) + np.minimum(0.3 * r / mean, 1) * (p0 - p)
            ),
            params, gradient, roots, PARAMS,
        )  # fmt: skip

    dynamic = Dynamic(rule="rms", rate=0.01, decay=0.3, segment=7)
    found = read_text(MODEL, PARAMS, IDS, dynamic=dynamic, roots=roots)
    np.testing.assert_allclose(found.nats, by_hand(change, 7), rtol=1e-3, atol=1e-4)


def test_a_text_that_repeats_itself_is_learnt_while_it_is_read():
    ids = np.tile(np.array([1, 5, 2, 7, 3], np.int32), 100)
    dynamic = Dynamic(rule="sgd", rate=3.0, decay=0.0, segment=5)
    static, learning = read_text(MODEL, PARAMS, ids), read_text(MODEL, PARAMS, ids, dynamic=dynamic)
    assert learning.nats[-50:].mean() < 0.2 * static.nats[-50:].mean()
    # Nothing of a segment is known before it was predicted.
    np.testing.assert_allclose(learning.nats[:5], static.nats[:5], rtol=1e-5)


@pytest.mark.parametrize("size", [1, 4, 300, 1000])
def test_the_cache_is_its_formula(size):
    rng = np.random.default_rng(1)
    features, targets = rng.normal(size=(600, 3)).astype(np.float32), rng.integers(0, 5, 600)
    expected = np.zeros(600)
    for t in range(1, 600):
        past = slice(max(t - size, 0), t)
        weights = np.exp(0.4 * features[past] @ features[t])
        expected[t] = weights[targets[past] == targets[t]].sum() / weights.sum()
    found = cache_probabilities(features, targets, size=size, flatness=0.4)
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-6)


def test_probabilities_of_the_ngram_see_what_comes_before_alone():
    rng = np.random.default_rng(2)
    train, test = rng.integers(0, 4, 80), rng.integers(0, 4, 40)
    whole = probabilities(train, test, 5, 3)
    np.testing.assert_array_equal(probabilities(train, test[:25], 5, 3), whole[:25])


@pytest.fixture(scope="module")
def word_run(tmp_path_factory):
    """A finished run of words so small that it takes seconds; tests only look at it."""
    folder = tmp_path_factory.mktemp("words")
    sections = {"data": {"tokenizer": "words"}, "train": {"duration": "2 steps"}}
    run = Run.open(folder / "run", experiment(**small(folder, **sections)))
    train(run, Console())
    return str(folder / "run")


def evaluate(run, capsys, *options):
    assert main(["evaluate", f"--workdir={run}", "--json", *options]) == 0
    return json.loads(capsys.readouterr().out)


def test_the_command_mixes_what_it_is_asked_for(word_run, capsys):
    plain = evaluate(word_run, capsys)
    still = evaluate(word_run, capsys, "--dynamic=rms", "--dynamic_rate=0", "--dynamic_decay=0")
    assert still["perplexity"] == pytest.approx(plain["perplexity"], rel=1e-4)
    mixed = evaluate(word_run, capsys, "--cache=50", "--cache_weight=0.3", "--ngram=2")
    # The text is one sentence again and again: counting beats a model that was hardly trained.
    assert mixed["perplexity"] < 0.5 * plain["perplexity"]
    learning = evaluate(word_run, capsys, "--dynamic=sgd", "--dynamic_rate=0.05")
    assert learning["perplexity"] != plain["perplexity"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--dynamic=adam"], r"--dynamic: must be one of 'sgd', 'rms', got 'adam'"),
        (["--dynamic=sgd", "--dynamic_rate=-1"], r"--dynamic_rate: must be float >= 0"),
        (["--cache=0"], r"--cache: must be int >= 1"),
        (["--cache_weight=0.1"], r"--cache_weight: needs --cache too"),
        (["--cache=9", "--cache_weight=0.7", "--ngram=3", "--ngram_weight=0.3"], "below 1"),
    ],
)
def test_options_that_cannot_be_are_told(word_run, capsys, options, message):
    assert main(["evaluate", f"--workdir={word_run}", *options]) == 2
    assert re.search(message, capsys.readouterr().err)
