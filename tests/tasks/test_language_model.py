"""The language-modelling task: state through the text, figures, baselines."""

import lzma
import math
import shutil

import jax
import numpy as np
import pytest

from lstm_jax.data.streams import StreamWindows
from lstm_jax.data.vocabulary import Vocabulary
from lstm_jax.errors import ConfigError, UserError
from lstm_jax.tasks.text_baselines import text_baselines
from lstm_jax.training import Console, Run, build_experiment, experiment, train
from lstm_jax.training.evaluation import make_evaluate
from lstm_jax.training.writers import read_metrics
from tests.training.small import small

TEXT = "the cat sat on the mat, and the dog sat on the cat. " * 40


@pytest.fixture
def path(tmp_path):
    file = tmp_path / "book.txt"
    file.write_text(TEXT)
    return str(file)


def make(path, **data):
    data = {"source": "text_file", "path": (path,), "batch_size": 2, "window": 8, **data}
    config = experiment(data=data, model={"hidden_size": 8, "embedding_size": 4})
    return build_experiment(config).task


def test_evaluation_carries_state_through_the_whole_text(path, tmp_path):
    task = make(path)
    learner, dataset = task.prepare(tmp_path)
    params = learner.init(jax.random.key(0))
    values = make_evaluate(learner)(params, dataset.splits["train"], 1)
    # The same figure from one pass over the text, without windows.
    ids = task.vocabulary(tmp_path).encode(TEXT[: -2 * round(len(TEXT) * 0.1)]).ids
    _, logits = task.network(task.vocabulary(tmp_path)).apply({"params": params}, ids[None, :-1])
    nats = -np.take_along_axis(jax.nn.log_softmax(logits[0]), ids[1:, None], 1)
    assert values["loss"] == pytest.approx(float(nats.mean()), rel=1e-5)
    assert values["bits_per_character"] == pytest.approx(values["loss"] / math.log(2), rel=1e-6)
    assert values["perplexity"] == pytest.approx(math.exp(values["loss"]), rel=1e-6)


def test_training_hands_the_carry_on_and_starts_anew_with_the_epoch(path, tmp_path):
    learner, dataset = make(path).prepare(tmp_path)
    params = learner.init(jax.random.key(0))
    start = learner.initial_carry(params, 2)
    _, carry, _ = learner.loss(params, start, dataset.train[0], None)
    handed = learner.loss(params, carry, dataset.train[1], None)[0]
    anew = learner.loss(params, start, dataset.train[1], None)[0]
    assert handed != anew
    again = learner.loss(params, carry, dataset.train[0], None)[0]
    assert again == learner.loss(params, start, dataset.train[0], None)[0]


def test_bits_count_characters_whatever_the_units(path, tmp_path):
    for units in ("characters", "bytes"):
        assets = tmp_path / units
        assets.mkdir()
        task = make(path, tokenizer={"name": units})
        learner, dataset = task.prepare(assets)
        params = learner.init(jax.random.key(0))
        values = make_evaluate(learner)(params, dataset.splits["test"], 1)
        symbols = len(task.vocabulary(assets).encode(TEXT[-round(len(TEXT) * 0.1) :]).ids) - 1
        # An untrained model is near uniform over its vocabulary.
        size = len(task.vocabulary(assets))
        assert values["loss"] == pytest.approx(math.log(size), rel=0.05)
        characters = round(len(TEXT) * 0.1)
        expected = values["loss"] * symbols / math.log(2) / characters
        assert values["bits_per_character"] == pytest.approx(expected, rel=0.03)


def test_words_report_perplexity_and_no_bits(path, tmp_path):
    task = make(path, tokenizer={"name": "words"})
    learner, dataset = task.prepare(tmp_path)
    values = make_evaluate(learner)(
        learner.init(jax.random.key(0)), dataset.splits["test"], dataset.evaluation_batch_size
    )
    assert learner.metrics[0].name == "perplexity"
    assert "bits_per_character" not in values
    assert values["perplexity"] == pytest.approx(len(task.vocabulary(tmp_path)), rel=0.2)
    baselines = task.baselines(tmp_path)
    assert set(baselines) == {"5-gram, Kneser-Ney"}
    assert 1 < baselines["5-gram, Kneser-Ney"]["test"] < 2  # a text that repeats itself


def test_a_step_that_returns_no_text_is_named(path):
    task = make(path)

    def broken(text):
        del text

    object.__setattr__(task.data, "steps", [broken])
    with pytest.raises(UserError, match="broken returned NoneType, not text"):
        task.clean("a")


def test_the_vocabulary_is_that_of_the_training_text_and_kept(path, tmp_path):
    with open(path, "a") as file:
        file.write("Zürich" * 30)
    task = make(path, test_share=0.08)
    _, dataset = task.prepare(tmp_path)
    assert "Z" not in task.vocabulary(tmp_path).symbols
    assert any(note.startswith("test: ") and "unknown" in note for note in dataset.notes)


def test_steps_of_the_pipeline_are_applied(path, tmp_path):
    task = make(path, steps=("collapse_whitespace", "lowercase"))
    assert task.clean("A  B") == "a b"


def test_the_fingerprint_knows_the_data_and_how_they_are_cut(path, tmp_path):
    prints = {
        make(path, **d).prepare(tmp_path)[1].fingerprint
        for d in ({}, {"window": 9}, {"steps": ("lowercase",), "test_share": 0.2})
    }
    assert len(prints) == 3
    assert make(path).prepare(tmp_path)[1].fingerprint in prints


def test_xz_is_what_the_lzma_library_makes_of_the_text():
    texts = {"train": TEXT, "validation": TEXT[:500], "test": TEXT[500:1200]}
    found = text_baselines(texts, Vocabulary.of([TEXT], "characters"))
    alone = 8 * len(lzma.compress(texts["test"].encode(), preset=9)) / 700
    assert found["xz -9"]["test"] == pytest.approx(alone)
    assert found["xz -9, after the training text"]["test"] < alone
    assert found["5-gram, Kneser-Ney"]["test"] < 1


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"batch_size": 100, "window": 100}, "the training text is too short: 1,664 characters"),
        ({"validation_share": 0.0}, "the validation text is too short: 0 characters"),
    ],
)
def test_too_short_a_text_is_told(path, tmp_path, data, message):
    with pytest.raises(UserError, match=message):
        make(path, **data).prepare(tmp_path)


def test_tied_sizes_must_agree():
    with pytest.raises(ConfigError, match=r"model\.head: tied to the embedding it needs features"):
        build_experiment(experiment(model={"tie_embedding": True, "hidden_size": 8}))
    sizes = {"embedding_size": 4, "hidden_size": 8, "last_size": 4}
    build_experiment(experiment(model={"tie_embedding": True, **sizes}))


def test_a_head_that_does_not_fit_the_vocabulary_is_told(path, tmp_path):
    data = {"source": "text_file", "path": (path,), "batch_size": 2, "window": 8}
    head = {"name": "adaptive_softmax", "cutoffs": ("5", "500")}
    task = build_experiment(experiment(data=data, model={"head": head})).task
    with pytest.raises(ConfigError, match=r"model\.head: cutoffs must stay below the 15 symbols"):
        task.prepare(tmp_path)


def test_a_cell_without_recurrent_kernel_drops_no_weights():
    model = {"cell": "min_gru", "regularization": {"weights": 0.5}}
    with pytest.raises(ConfigError, match=r"model\.cell: params must have a leaf recurrent_kernel"):
        build_experiment(experiment(model=model))


def test_the_vocabulary_may_be_that_of_all_splits(path, tmp_path):
    with open(path, "a") as file:
        file.write("Zürich" * 30)
    task = make(path, test_share=0.08, vocabulary_from="all")
    task.prepare(tmp_path)
    assert "Z" in task.vocabulary(tmp_path).symbols


def test_random_windows_lose_nothing_and_hand_the_carry_on(path, tmp_path):
    """An epoch in windows of random lengths costs what the same text costs in one window."""
    learner, dataset = make(path, random_windows=True).prepare(tmp_path)
    params = learner.init(jax.random.key(0))
    text = make(path).vocabulary(tmp_path).encode(TEXT[: -2 * round(len(TEXT) * 0.1)])
    whole = StreamWindows(text, 2, len(text.ids))
    _, _, expected = learner.loss(params, learner.initial_carry(params, 2), whole[0], None)
    carry, nats = learner.initial_carry(params, 2), 0.0
    for i in range(len(dataset.train)):
        _, carry, sums = learner.loss(params, carry, dataset.train.at(3, i), None)
        nats += float(sums["nats"])
    assert nats == pytest.approx(float(expected["nats"]), rel=1e-5)
    assert learner.full_weight == 2 * 8


def test_penalties_are_part_of_the_loss_in_training_alone(path, tmp_path):
    def losses(**regularization):
        config = experiment(
            data={"source": "text_file", "path": (path,), "batch_size": 2, "window": 8},
            model={"hidden_size": 8, "embedding_size": 4, "regularization": regularization},
        )
        learner, dataset = build_experiment(config).task.prepare(tmp_path)
        params = learner.init(jax.random.key(0))
        start, batch = learner.initial_carry(params, 2), dataset.train[0]
        keys = (None, jax.random.key(1))
        return [float(learner.loss(params, start, batch, key)[0]) for key in keys]

    evaluated, trained = losses(activation=2.0, temporal_activation=1.0)
    assert trained > evaluated
    assert losses() == [evaluated, evaluated]


@pytest.mark.slow
def test_a_stopped_run_of_the_whole_recipe_goes_on_bit_for_bit(tmp_path):
    """Windows drawn by epoch, masks, a scaled rate, an average that begins: none of it drifts."""
    values = small(
        tmp_path,
        data={"random_windows": True, "batch_size": 64},
        model={
            "tie_embedding": True,
            "last_size": 8,
            "head": {"name": "adaptive_softmax", "cutoffs": ("8", "16")},
            "regularization": {
                "words": 0.1, "input": 0.2, "hidden": 0.2, "output": 0.2, "weights": 0.2,
                "activation": 1.0, "temporal_activation": 1.0,
            },
        },
        optimizer={"name": "sgd", "learning_rate": 300.0},  # so that evaluations get worse
        averaging={"name": "nt_asgd", "patience": 1},
        train={"duration": "20 steps", "evaluate_every": "2 steps", "checkpoint_every": "5 steps"},
        checkpoints={"keep_latest": 20},
    )  # fmt: skip
    whole = Run.open(tmp_path / "whole", experiment(**values))
    train(whole, Console())
    stopped = tmp_path / "stopped"
    shutil.copytree(tmp_path / "whole", stopped)
    (stopped / "result.json").unlink()
    steps = sorted(int(p.name) for p in (stopped / "checkpoints").iterdir() if p.name.isdigit())
    for step in steps:
        if step > 9:  # within the second epoch, of eight windows
            shutil.rmtree(stopped / "checkpoints" / str(step))
    again = Run.open(stopped, experiment(**values))
    train(again, Console())
    learner, _ = again.experiment.prepare(again.assets)
    found, expected = (
        run.restore_params(learner, "latest").trees["params"] for run in (again, whole)
    )
    jax.tree.map(np.testing.assert_array_equal, found, expected)
    lines = [
        [line["loss"] for line in read_metrics(tmp_path / name)] for name in ("whole", "stopped")
    ]
    assert lines[0] == lines[1]
    scores = [line["loss"] for line in read_metrics(stopped) if line["split"] == "validation"]
    assert any(score > min(scores[: i - 1]) for i, score in enumerate(scores[:-1]) if i > 1)
