"""Speech recognition: the loss against sums over paths, streams against the whole, errors told."""

import csv
import dataclasses
import io
import json

import jax
import numpy as np
import pytest

import lstm_jax as lj
from lstm_jax.cli.main import main
from lstm_jax.data.audio_features import AudioFeatures
from lstm_jax.data.audio_inputs import features_of
from lstm_jax.data.feature_scale import FeatureScale
from lstm_jax.data.tokenizers import load_tokenizer
from lstm_jax.data.vocabulary import Vocabulary
from lstm_jax.errors import ConfigError, UserError
from lstm_jax.models.audio_augmentation import SpecAugment
from lstm_jax.models.speech_recognizer import SpeechRecognizer
from lstm_jax.tasks.speech_batches import SpeechBatches, join_records, speech_loss, symbols_of
from lstm_jax.tasks.speech_language_model import keep_language_model, language_model_scorer
from lstm_jax.tasks.speech_recognizer import Recognizer, SpeechSearch, make_scorer
from lstm_jax.tasks.speech_scores import error_rates
from lstm_jax.tasks.speech_stream import SpeechStream
from lstm_jax.training import Run, build_experiment, experiment
from tests.conftest import REPOSITORY

pytest.importorskip("jiwer", reason="error rates need jiwer")
CONFIG = str(REPOSITORY / "configs/audio/asr_ctc.py")
FEATURES = AudioFeatures(sample_rate=8000, mels=8, normalization="training")
TOKENIZER = Vocabulary("characters", list(" abc"))


@pytest.fixture(scope="module")
def stream_recognizer():
    """A recognizer that was never trained; its outputs change from step to step all the same."""
    network = SpeechRecognizer(
        symbols=5, cell=lj.lstm, channels=6, hidden_size=8, num_layers=2, bidirectional=False
    )
    x, lengths = np.zeros((1, 4, 8), np.float32), np.array([4])
    params = network.init(jax.random.key(1), x, lengths)["params"]
    params["output"]["kernel"] *= 8  # so that more than one symbol is found
    options = SpeechSearch(beam_size=4, ngram_order=2, language_weight=0.3, bonus=2.0)
    texts = [symbols_of(TOKENIZER, text) for text in ("abc a", "cab", "b")]
    scale = FeatureScale(np.full(8, -6, np.float32), np.full(8, 2, np.float32))
    scorer = make_scorer(options, TOKENIZER, texts)
    return Recognizer(network, TOKENIZER, scale, scorer, options), params


@pytest.mark.parametrize("length", [13_777, pytest.param(360, marks=pytest.mark.slow), 0])
def test_a_stream_in_any_pieces_gives_what_the_whole_gives(stream_recognizer, length):
    recognizer, params = stream_recognizer
    random = np.random.default_rng(length)
    loudness = np.repeat(random.uniform(0, 1, length // 500 + 1), 500)[:length]
    samples = (loudness * random.standard_normal(length)).astype(np.float32)
    whole = features_of(FEATURES, samples)
    wanted = recognizer.transcribe(params, [whole]) if len(whole) else None
    for largest in (length + 1, 4000, 700, 90):
        stream, at = SpeechStream(recognizer, FEATURES, params), 0
        while at < length:
            step = int(random.integers(0, largest + 1))
            stream.feed(samples[at : at + step])
            at += step
        text = stream.end()
        assert text == stream.end() == ("" if wanted is None else wanted.texts[0])
        assert stream.heard == ("" if wanted is None else wanted.greedy[0])
    if length > 10_000:
        assert len(set(text)) > 1  # the test would see a difference


def test_a_stream_tells_what_it_cannot_take(stream_recognizer):
    recognizer, params = stream_recognizer
    stream = SpeechStream(recognizer, FEATURES, params)
    stream.end()
    with pytest.raises(ValueError, match="when it has ended"):
        stream.feed(np.zeros(10))
    network, (*rest, options) = recognizer.network, _rest_of(recognizer)
    asked = Recognizer(network, *rest, dataclasses.replace(options, attention_weight=0.5))
    with pytest.raises(UserError, match=r"search\.by=ctc"):
        SpeechStream(asked, FEATURES, params)
    both = Recognizer(network.clone(bidirectional=True), *rest, options)
    with pytest.raises(UserError, match="bidirectional=False"):
        SpeechStream(both, FEATURES, params)


def _rest_of(recognizer):
    return recognizer.tokenizer, recognizer.scale, recognizer.scorer, recognizer.options


def test_two_views_that_are_alike_cost_what_one_does(stream_recognizer):
    recognizer, params = stream_recognizer
    batch = {
        "features": jax.random.normal(jax.random.key(2), (2, 24, 8)),
        "features_lengths": np.array([24, 17]),
        "labels": np.array([[1, 2, 3], [3, 0, 0]]),
        "labels_lengths": np.array([3, 1]),
        "valid": np.array([True, True]),
    }
    unchanged = SpecAugment(time_masks=0, frequency_masks=0)

    def cost(weight, augment, key):
        loss, _, sums = speech_loss(recognizer, augment, 0.3, weight, params, (), batch, key)
        return loss, sums["nats"] / sums["symbols"]

    masked = SpecAugment(time_masks=2, time_width=8)
    asked = [(0.2, unchanged, False), (0.2, unchanged, True), (0.2, masked, True)]

    @jax.jit  # all at once: what is compiled costs most here
    def costs(key):
        return [cost(weight, augment, key if train else None) for weight, augment, train in asked]

    asked.append((0.4, masked, True))
    (evaluated, plain), (same, _), (less, nats), (more, _) = costs(jax.random.key(3))
    np.testing.assert_allclose([evaluated, same], plain, rtol=1e-5)
    assert nats < less < more
    np.testing.assert_allclose(more - nats, 2 * (less - nats), rtol=1e-3)


@pytest.mark.long
def test_a_recording_is_transcribed_as_beside_others(stream_recognizer):
    recognizer, params = stream_recognizer
    random = np.random.default_rng(0)
    sequences = [random.normal(-6, 3, (n, 8)).astype(np.float32) for n in (40, 61, 8)]
    together = recognizer.transcribe(params, sequences)
    for i in range(3):
        alone = recognizer.transcribe(params, sequences[i : i + 1])
        assert alone.texts == together.texts[i : i + 1]
        assert alone.greedy == together.greedy[i : i + 1]


def test_a_word_list_is_checked(tmp_path):
    words = tmp_path / "words.txt"
    words.write_text("xyz\n")
    options = SpeechSearch(words=str(words))
    with pytest.raises(UserError, match="holds no word of the characters"):
        make_scorer(options, TOKENIZER, [])
    with pytest.raises(UserError, match=r"needs data\.tokenizer"):
        make_scorer(options, Vocabulary("words", ["a"]), [])
    with pytest.raises(UserError, match="no space"):
        make_scorer(options, Vocabulary("characters", ["a"]), [])


@pytest.mark.slow
def test_a_language_model_is_kept_with_the_run_and_asked(tmp_path, smoke_run):
    tokenizer = Vocabulary("characters", list(" abc"))
    kept = tmp_path / "kept"
    keep_language_model(str(smoke_run), tokenizer, kept)
    scorer = language_model_scorer(kept, tokenizer)
    loaded = Run.load(smoke_run)
    task = loaded.experiment.task
    params = loaded.restore_params(task.restore(loaded.assets), "best").trees["params"]
    theirs = task.vocabulary(loaded.assets)
    _, logits = task.network(theirs).apply({"params": params}, theirs.encode("\nb a").ids[None])
    state = scorer.initial
    for step, symbol in enumerate(tokenizer.encode("b a").ids):
        wanted = jax.nn.log_softmax(logits[0, step])[theirs.encode("\n abc").ids]
        np.testing.assert_allclose(scorer.ahead(state), wanted, atol=1e-5)
        state = scorer.advance(state, np.array(symbol))
    with pytest.raises(UserError, match="does not know 'š'"):
        language_model_scorer(kept, Vocabulary("characters", list("aš")))
    with pytest.raises(UserError, match="both tokenizers must be characters"):
        language_model_scorer(kept, Vocabulary("words", ["a"]))


def test_a_language_model_that_is_not_there_is_told(tmp_path):
    with pytest.raises(UserError, match=r"search\.language_model: .*config\.json"):
        keep_language_model(str(tmp_path), TOKENIZER, tmp_path / "kept")


def test_error_rates_count_over_all_texts():
    found = error_rates(["a b", "", "x"], ["a c", "ab", " "])
    assert found == {"cer": pytest.approx(3 / 5), "wer": pytest.approx(2 / 3)}
    with pytest.raises(UserError, match="something is said"):
        error_rates(["a"], [""])


def test_what_does_not_fit_together_is_told():
    values = {"model": {"bidirectional": False}, "data": {"source": "generated_speech"}}
    with pytest.raises(ConfigError, match="normalization=training"):
        build_experiment(experiment(task="speech_recognition", **values))
    values["model"] = {"cell": {"name": "slstm", "num_heads": 4}, "hidden_size": 6}
    with pytest.raises(ConfigError, match=r"model\.cell: num_heads must divide hidden_size 6"):
        build_experiment(experiment(task="speech_recognition", **values))
    values["model"] = {}
    for search in ({"by": "attention"}, {"attention_weight": 0.5}):
        with pytest.raises(ConfigError, match="the model has no decoder"):
            build_experiment(experiment(task="speech_recognition", search=search, **values))


@pytest.mark.slow
def test_impossible_transcripts_are_left_out_of_training(tmp_path):
    soundfile = pytest.importorskip("soundfile")
    (tmp_path / "wavs").mkdir()
    random = np.random.default_rng(0)
    rows = {"a": "ab ba", "b": "ab" * 40, "c": "b"}
    for name in rows:
        soundfile.write(tmp_path / "wavs" / f"{name}.wav", random.normal(0, 0.1, 4000), 8000)
    for split in ("train", "validation", "test"):
        lines = [f"{name}|{text}|{text}" for name, text in rows.items()]
        (tmp_path / f"{split}.csv").write_text("\n".join(lines))
    task = build_experiment(
        experiment(
            task="speech_recognition",
            data={
                "path": str(tmp_path), "features": {"sample_rate": 8000, "mels": 8},
                "batch_size": 4, "buckets": 1,
            },
            model={"hidden_size": 4, "num_layers": 1, "channels": 4},
        )
    ).task  # fmt: skip
    learner, dataset = task.prepare(tmp_path)
    assert isinstance(dataset.train, SpeechBatches)
    assert dataset.train.texts == ["ab ba", "b"]
    assert dataset.splits["test"].texts == list(rows.values())  # scored, all the same
    assert sum("more symbols than" in note for note in dataset.notes) == 3
    other = tmp_path / "other.txt"
    other.write_text("B, a!\n\nbb\n")
    search = dataclasses.replace(task.search, texts=(str(other),), transcripts_count=2, bonus=0.0)
    more = dataclasses.replace(task, search=search)
    (tmp_path / "more").mkdir()
    more.prepare(tmp_path / "more")
    tokenizer = load_tokenizer(tmp_path / "more" / "tokenizer.json")
    wanted = [*2 * list(rows.values()), "a", "bb"]  # data.steps make nothing lower case here
    symbols = [symbols_of(tokenizer, text) for text in wanted]
    scorer = make_scorer(search, tokenizer, symbols)
    other.unlink()  # a run keeps what it needs
    kept = more.recognizer(tmp_path / "more").scorer
    np.testing.assert_array_equal(kept.ahead(kept.initial), scorer.ahead(scorer.initial))
    params = jax.jit(learner.init)(jax.random.key(0))
    loss, _, sums = jax.jit(learner.loss)(params, (), dataset.splits["test"][0], None)
    assert sums["symbols"] == 6
    assert 0 < loss < 100


def test_joined_records_are_the_sounds_and_texts_one_behind_another():
    sounds = [np.full((n, 2), n, np.float32) for n in (3, 1, 2)]
    batches = SpeechBatches({"features": sounds}, {}, batch_size=1, bounds=[3])
    batches.features, batches.texts = sounds, ["ab", "c", "a c"]
    joined = join_records(batches, TOKENIZER, [2, 0])
    np.testing.assert_array_equal(joined["features"][:, 0], [2, 2, 3, 3, 3])
    np.testing.assert_array_equal(joined["labels"], symbols_of(TOKENIZER, "a c ab"))


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    workdir = tmp_path_factory.mktemp("speech") / "run"
    assert main(["train", f"--config={CONFIG}:smoke_streaming", f"--workdir={workdir}"]) == 0
    return workdir


@pytest.mark.slow
def test_the_smoke_config_runs_and_predicts_files(run, tmp_path, capsys):
    soundfile = pytest.importorskip("soundfile")
    result = json.loads((run / "result.json").read_text())
    names = ("cer", "wer", "greedy_cer", "greedy_wer", "loss")
    assert {f"test/{name}" for name in names} <= set(result)
    assert (run / "figures/alignment_1.png").exists()
    assert "errors in" in (run / "figures/worst.txt").read_text()
    loaded = Run.load(run)
    task = loaded.experiment.task
    one = task.data.source()["test"][0]
    soundfile.write(tmp_path / "one.wav", one.audio.samples, 8000, subtype="FLOAT")
    (tmp_path / "list.txt").write_text("one.wav\n\none.wav\n")
    capsys.readouterr()
    command = ["predict", f"--workdir={run}", f"--input={tmp_path / 'list.txt'}"]
    assert main(command) == 0
    found = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert len(found) == 2
    params = loaded.restore_params(task.restore(loaded.assets), "best").trees["params"]
    stream = SpeechStream(task.recognizer(loaded.assets), task.data.features, params)
    stream.feed(one.audio.samples)
    assert found[0]["text"] == stream.end()
    assert main(["predict", f"--workdir={run}", f"--input={tmp_path}"]) == 0
    told = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert told == [{"file": str(tmp_path / "one.wav"), "text": found[0]["text"]}]
    assert main(["predict", f"--workdir={run}", f"--input={tmp_path / 'no.wav'}"]) == 2
    assert "no.wav cannot be read" in capsys.readouterr().err


@pytest.mark.long
def test_a_run_with_a_decoder_searches_by_both_and_by_it_alone(tmp_path):
    workdir = tmp_path / "run"
    options = ["--config.train.duration=30 steps", "--config.data.size=30"]
    config = f"--config={CONFIG}:smoke_attention"
    assert main(["train", config, f"--workdir={workdir}", *options]) == 0
    losses = [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]
    assert losses[-1]["loss"] < 4
    run = Run.load(workdir)
    task = run.experiment.task
    params = run.restore_params(task.restore(run.assets), "best").trees["params"]
    sequences = task._read("test", task.data.source()["test"]).sequences
    found = {}
    for by, weight in (("ctc", 0.0), ("ctc", 100.0), ("attention", 0.0)):
        search = dataclasses.replace(task.search, by=by, attention_weight=weight)
        recognizer = dataclasses.replace(task, search=search).recognizer(run.assets)
        found[by, weight] = recognizer.transcribe(params, sequences)
        assert found[by, weight].greedy == found["ctc", 0.0].greedy
    assert len({tuple(one.texts) for one in found.values()}) > 1
