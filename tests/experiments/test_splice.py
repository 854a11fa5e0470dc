"""Recordings spliced from words: they are cut where the words are, and say what is written."""

import importlib.util
from types import SimpleNamespace

import numpy as np
import pytest

from lstm_jax.data.audio_features import AudioFeatures
from lstm_jax.data.vocabulary import Vocabulary
from tests.conftest import REPOSITORY

pytest.importorskip("soundfile", reason="the script writes FLAC")
RATE = 8000


@pytest.fixture(scope="module")
def splice():
    path = REPOSITORY / "experiments/audio/asr_ctc/splice.py"
    spec = importlib.util.spec_from_file_location("splice", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_it_cuts_where_it_is_quiet_between_the_words_that_the_network_hears(splice):
    tokenizer = Vocabulary("characters", list(" ab"))
    a, b, space = (int(tokenizer.encode(symbol).ids[0]) for symbol in "ab ")
    # "ab" to 0.4 s, silence to 0.6 s, "b" to 1 s, and silence around both.
    sound = np.random.default_rng(0).normal(0, 0.1, RATE + 1600).astype(np.float32)
    sound[:800] = sound[4000:5600] = sound[-800:] = 0

    def log_p(params, features, lengths):
        heard = np.full((1, features.shape[1], 4), -9.0, np.float32)
        heard[..., 0] = -0.1
        for step, symbol in ((15, a), (30, b), (45, space), (80, b)):
            heard[0, step] = -9
            heard[0, step, symbol] = 0
        return heard

    network = SimpleNamespace(steps_of=lambda lengths: lengths)
    recognizer = SimpleNamespace(tokenizer=tokenizer, network=network, _log_p=log_p)
    features = AudioFeatures(sample_rate=RATE, mels=8)
    words = splice.words_of(recognizer, None, features, sound, "ab b")
    assert words.texts == ["ab", "b"]
    begin, between, end = words.cuts
    assert 0 < begin < 800
    assert 4000 <= between <= 5600
    assert len(sound) - 800 < end < len(sound)
    assert splice.words_of(recognizer, None, features, sound, "ab" * 60) is None


def test_pieces_say_what_is_written(splice):
    texts = {0: ["one", "two", "three", "four"], 1: ["five"]}
    # The samples of a word are its length.
    found = [
        splice.Words(words, np.cumsum([7, *(100 * len(w) for w in words)]), sound)
        for words in texts.values()
        for sound in [
            np.concatenate([np.zeros(7), *(np.full(100 * len(w), len(w)) for w in words)])
        ]
    ]
    for seed in range(20):
        samples, text = splice.spliced(np.random.default_rng(seed), found, fade=10)
        words = text.split()
        assert 2 <= len(words) <= 15
        assert set(words) <= {*texts[0], *texts[1]}
        # In the middle of every word; pieces overlap by ten samples at most.
        ends = np.cumsum([100 * len(word) for word in words])
        for word, end in zip(words, ends, strict=True):
            assert samples[end - 50 * len(word) - 50] == len(word)
        assert ends[-1] - 40 <= len(samples) <= ends[-1] - 10
