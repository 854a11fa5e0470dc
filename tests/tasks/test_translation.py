"""The translation task: figures, order, what is left out, pictures, errors, the command line."""

import json
import math
from pathlib import Path

import jax
import numpy as np
import pytest

from lstm_jax.cli.main import main
from lstm_jax.errors import ConfigError, UserError
from lstm_jax.tasks.translation_scores import metrics, scores
from lstm_jax.training import build_experiment, experiment
from lstm_jax.training.evaluation import make_evaluate
from tests.conftest import REPOSITORY

pytest.importorskip("sacrebleu")
CONFIG = str(REPOSITORY / "configs/text/translate_en_de.py")
LINES = ["I see the old house", "", "often I see the red door", "today", "I see the old house"]


def make(data=None, **sections):
    data = {
        "source": "generated_pairs", "count": 32, "tokenizer": "characters", "batch_size": 8,
        "buckets": 2, **(data or {}),
    }  # fmt: skip
    sections.setdefault("model", {"embedding_size": 6, "hidden_size": 8, "dropout": 0.0})
    return build_experiment(experiment(task="translation", data=data, **sections)).task


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """A task, its learner and data, parameters that are drawn, and the folder of its assets."""
    assets = tmp_path_factory.mktemp("assets")
    task = make()
    learner, dataset = task.prepare(assets)
    return task, learner, dataset, learner.init(jax.random.key(0)), assets


def test_figures_of_an_untrained_model_are_those_of_chance(prepared):
    task, learner, dataset, params, assets = prepared
    values = make_evaluate(learner)(params, dataset.splits["test"], 64)
    assert values["loss"] == pytest.approx(math.log(len(task.tokenizer(assets)) + 2), rel=0.05)
    assert values["perplexity"] == pytest.approx(math.exp(values["loss"]), rel=1e-5)
    assert values["bleu"] < 5
    assert [metric.name for metric in learner.metrics] == ["bleu", "chrf", "perplexity"]


def test_every_target_symbol_counts_once_with_its_end_and_no_padding(prepared):
    task, learner, dataset, params, assets = prepared
    batches = dataset.splits["train"]
    sums = [learner.loss(params, (), batches[i], None)[2] for i in range(len(batches))]
    symbols = sum(float(s["symbols"]) for s in sums)
    tokenizer = task.tokenizer(assets)
    assert symbols == sum(len(tokenizer.encode(target).ids) + 1 for _, target in batches.texts)
    assert dataset.units[1] * len(dataset.train) == pytest.approx(symbols)


def test_labels_are_smoothed_in_training_alone(prepared, tmp_path):
    _, learner, dataset, params, _ = prepared
    rough, _ = make(loss={"label_smoothing": 0.0}).prepare(tmp_path)
    batch = dataset.train[0]
    for key, same in ((None, True), (jax.random.key(1), False)):
        one, two = (x.loss(params, (), batch, key)[0] for x in (learner, rough))
        assert bool(np.isclose(one, two, rtol=1e-6)) == same


def test_scheduled_sampling_rises_with_the_steps(tmp_path):
    task = make(loss={"sampling_rate": 0.9, "sampling_steps": 10})
    learner, dataset = task.prepare(tmp_path)
    params, batch = learner.init(jax.random.key(0)), dataset.train[0]
    begun = learner.initial_carry(params, 8)
    plain = make().prepare(tmp_path)[0].loss(params, (), batch, jax.random.key(1))[0]
    first, carry, _ = learner.loss(params, begun, batch, jax.random.key(1))
    later, *_ = learner.loss(params, {"steps": 10}, batch, jax.random.key(1))
    assert int(carry["steps"]) == 1
    np.testing.assert_allclose(first, plain, rtol=1e-6)
    assert not np.isclose(later, plain, rtol=1e-4)


def test_lines_are_translated_in_order_and_alike_in_any_company(prepared):
    task, _, _, params, assets = prepared
    found = [record["translation"] for record in task.predict(assets, params, LINES)]
    assert len(found) == 5
    assert found[1] == ""
    assert found[0] == found[4]
    for line, text in zip(LINES, found, strict=True):
        assert [record["translation"] for record in task.predict(assets, params, [line])] == [text]


def test_long_pairs_are_left_out_of_training_and_counted(tmp_path):
    _, dataset = make({"max_length": 22}).prepare(tmp_path)
    left = len(dataset.train.texts)
    assert 0 < left < 32
    assert f"train: {32 - left} of 32 pairs have a text of more than 22 characters" in str(
        dataset.notes
    )
    assert len(dataset.splits["train"].texts) == 32
    with pytest.raises(UserError, match="no training pair has texts of at most 3 symbols"):
        make({"max_length": 3}).prepare(tmp_path)


def test_copying_the_source_is_the_baseline(prepared):
    task, _, dataset, _, assets = prepared
    pairs = dataset.splits["test"].texts
    sources, targets = zip(*pairs, strict=True)
    expected = scores(sources, targets)["bleu"]
    assert task.baselines(assets)["copying the source"]["test"] == expected
    assert scores(targets, targets) == pytest.approx({"bleu": 100, "chrf": 100})


def test_metrics_carry_the_signatures_of_sacrebleu():
    bleu, chrf = metrics()
    assert "tok:13a|smooth:exp|version:" in bleu.label
    assert "nc:6|nw:0|space:no|version:" in chrf.label
    assert not bleu.lower_is_better


def test_attention_is_drawn_whatever_the_text(prepared, tmp_path):
    task, _, _, params, assets = prepared
    task.draw(assets, params, tmp_path)
    pictures = sorted(tmp_path.glob("attention_*.png"))
    assert [picture.name for picture in pictures] == [f"attention_{i}.png" for i in range(1, 5)]
    assert all(picture.read_bytes().startswith(b"\x89PNG") for picture in pictures)


@pytest.mark.parametrize(
    ("model", "words"),
    [
        ({"hidden_size": 9}, "hidden_size: must be even, got 9"),
        ({"attention": "bahdanau", "input_feeding": True}, "bahdanau has none"),
        ({"attention": "luong"}, "attention"),
        ({"hidden_size": 8, "cell": {"name": "lstm", "projection_size": 3}, "attention": "dot"},
         "outputs of one size, got 6 and 3"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_said_before_any_work(model, words):
    with pytest.raises(ConfigError, match=words):
        make(model=model)


def learned(tmp_path: Path) -> Path:
    run = tmp_path / "run"
    options = {
        "train.duration": "40 epochs", "train.evaluate_every": "40 epochs", "data.batch_size": "32",
        "model.embedding_size": "32", "model.hidden_size": "64", "model.dropout": "0.1",
        "optimizer.learning_rate": "1e-2", "averaging.decay": "0.9",
    }  # fmt: skip
    overrides = [f"--config.{name}={value}" for name, value in options.items()]
    assert main(["train", f"--config={CONFIG}:smoke", f"--workdir={run}", *overrides]) == 0
    return run


@pytest.mark.slow
def test_generated_pairs_are_learnt_and_a_file_is_translated_line_for_line(tmp_path, capsys):
    run = learned(tmp_path)
    result = json.loads((run / "result.json").read_text())
    assert result["test/bleu"] > 90
    assert result["baselines"]["copying the source"]["test"] < 10
    file = tmp_path / "lines.txt"
    file.write_text("\n".join(LINES) + "\n")
    capsys.readouterr()
    assert main(["predict", f"--workdir={run}", f"--input={file}"]) == 0
    found = capsys.readouterr().out.splitlines()
    assert len(found) == 5
    assert found[0] == found[4] == "ich sehe das alte Haus"
    assert found[1:3] == ["", "oft sehe ich die rote Tür"]
