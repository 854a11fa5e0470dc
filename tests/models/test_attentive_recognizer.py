"""A decoder with attention over speech: its search and its scores against all texts there are."""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lstm_jax as lj
from lstm_jax.data.vocabulary import Vocabulary
from lstm_jax.models.attentive_recognizer import AttentiveRecognizer
from lstm_jax.models.attentive_search import rescored, spell
from lstm_jax.models.audio_augmentation import SpecAugment
from lstm_jax.models.ctc import ctc_loss
from lstm_jax.models.speech_recognizer import apply
from lstm_jax.models.text_scorers import automaton, no_scorer
from lstm_jax.tasks.speech_batches import speech_loss
from lstm_jax.tasks.speech_recognizer import Recognizer, SpeechSearch

pytestmark = pytest.mark.slow  # for compiling; they run in no time

VOCABULARY = Vocabulary("characters", list("ab"))
SYMBOLS, FRAMES = 3, np.array([12, 5])  # steps of four frames: 3 and 2
TEXTS = [text for n in range(4) for text in itertools.product((1, 2), repeat=n)]
LABELS = np.array([[*text, *[0] * (3 - len(text))] for text in TEXTS])


@pytest.fixture(scope="module")
def heard():
    """A network, parameters that prefer some texts by far, what the encoder yields, and logits."""
    network = AttentiveRecognizer(
        symbols=SYMBOLS, cell=lj.gru, channels=4, hidden_size=4, num_layers=1, bidirectional=False,
        decoder_size=5, embedding_size=4,
    )  # fmt: skip
    features = jax.random.normal(jax.random.key(0), (2, 12, 3))
    params = jax.jit(network.init)(jax.random.key(1), features, FRAMES)["params"]
    params = jax.tree.map(lambda leaf: 2.5 * leaf, params)
    read = jax.jit(lambda features: apply(network, params, features, FRAMES, method="read"))
    return network, params, *read(features)


@pytest.fixture(scope="module")
def likelihoods(heard):
    """The decoder's log-probability of every text for each recording [texts, 2]."""
    network, params, encoded, _ = heard

    @jax.jit
    def run(encoded):
        frames, labels = np.tile(FRAMES, len(TEXTS)), np.repeat(LABELS, 2, axis=0)
        many = jnp.tile(encoded, (len(TEXTS), 1, 1))
        return apply(network, params, many, frames, labels, method="log_likelihood")

    found = run(encoded)
    # What stands behind the end of the second recording is not looked at.
    np.testing.assert_allclose(run(encoded.at[1, 2:].set(3.0)), found, atol=1e-5)
    found = np.asarray(found).reshape(len(TEXTS), 2)
    assert np.ptp(found[:7]) > 2
    return found


def test_a_search_that_keeps_all_texts_finds_the_likeliest(heard, likelihoods):
    network, params, encoded, _ = heard
    own = np.array([[-1.0, -0.2, -2.0], [-0.5, -3.0, -0.3], [-2.0, -0.1, -1.0]])
    language = automaton(np.array([[0, 1, 2]] * 3), own, 0)  # the state is the symbol before
    options = {"beam_size": 16, "length_penalty": 0.5}
    scores, tokens = jax.jit(
        lambda encoded: spell(network, params, encoded, FRAMES, language, **options)
    )(encoded)
    for i, steps in enumerate((3, 2)):
        wanted = {}
        for text, log_p in zip(TEXTS, likelihoods[:, i], strict=True):
            if len(text) <= steps:
                known = sum(own[pair] for pair in itertools.pairwise((0, *text, 0)))
                wanted[text] = (log_p + known) / ((6 + len(text)) / 6) ** 0.5
        best = max(wanted, key=wanted.__getitem__)
        assert tuple(int(s) for s in tokens[i] if s) == best
        assert scores[i] == pytest.approx(wanted[best], abs=1e-4)


def test_texts_of_ctc_are_scored_by_the_decoder_as_well(heard, likelihoods):
    """Texts as a search leaves them, blanks among their symbols."""
    network, params, encoded, _ = heard
    texts = np.array([[[0, 2, 1], [1, 0, 0], [0, 0, 0]], [[0, 0, 1], [2, 0, 2], [1, 2, 0]]])
    scores = np.array([[-1.0, -2.0, -3.0], [0.0, -1.0, -2.0]])
    told = jax.jit(lambda encoded: rescored(network, params, encoded, FRAMES, scores, texts, 0.7))(
        encoded
    )
    for i, place in np.ndindex(2, 3):
        text = tuple(int(s) for s in texts[i, place] if s)
        wanted = scores[i, place] + 0.7 * likelihoods[TEXTS.index(text), i]
        assert told[i, place] == pytest.approx(wanted, abs=1e-4)


def test_the_loss_is_shared_by_ctc_and_the_decoder(heard, likelihoods):
    network, params, _, logits = heard
    features = jax.random.normal(jax.random.key(0), (2, 12, 3))
    batch = {
        "features": features, "features_lengths": FRAMES, "valid": np.ones(2, bool),
        "labels": np.array([[1, 2, 0], [2, 0, 0]]), "labels_lengths": np.array([2, 1]),
    }  # fmt: skip
    recognizer = Recognizer(network, VOCABULARY, None, no_scorer(SYMBOLS), SpeechSearch())
    loss = jax.jit(functools.partial(speech_loss, recognizer, SpecAugment(), 0.25, 0.0))
    _, _, sums = loss(params, (), batch, None)
    ctc = float(
        jnp.sum(ctc_loss(logits, np.array([3, 2]), batch["labels"], batch["labels_lengths"]))
    )
    spelled = likelihoods[TEXTS.index((1, 2)), 0] + likelihoods[TEXTS.index((2,)), 1]
    assert float(sums["nats"]) == pytest.approx(0.25 * ctc - 0.75 * spelled, abs=1e-4)
    assert sums["symbols"] == 3
