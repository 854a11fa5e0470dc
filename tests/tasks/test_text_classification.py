"""Text classification: figures are those of the data, errors are told, a run can be used."""

import csv
import dataclasses
import functools
import io
import json
import sys

import jax
import numpy as np
import pytest

from lstm_jax.cli.main import main
from lstm_jax.config import find
from lstm_jax.data.ngram_vocabulary import NGramVocabulary
from lstm_jax.errors import ConfigError, UserError
from lstm_jax.models.classifier import apply
from lstm_jax.models.naive_bayes import naive_bayes
from lstm_jax.tasks.class_labels import load_classes
from lstm_jax.tasks.classification_loss import _step
from lstm_jax.training import build_experiment, experiment, load_config
from lstm_jax.training.evaluation import make_evaluate
from tests.conftest import REPOSITORY

IMDB = str(REPOSITORY / "configs/text/imdb.py")
MODEL = {"embedding_size": 6, "hidden_size": 5, "dropout": {"output": 0.0}}
ROWS = [(f"{'good' if i % 3 else 'bad'} film {i}", "pos" if i % 3 else "neg") for i in range(40)]


def write(path, rows, header=("text", "label")):
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([header, *rows])
    return str(path)


def make(path, loss=None, **data):
    data = {"source": "csv_file", "path": (path,), "batch_size": 4, **data}
    config = experiment(task="text_classification", data=data, model=MODEL, loss=loss or {})
    return build_experiment(config).task


def test_figures_are_those_of_text_after_text(tmp_path):
    task = make(write(tmp_path / "a.csv", ROWS), evaluation_batch_size=7)
    learner, dataset = task.prepare(tmp_path)
    params = learner.init(jax.random.key(0))
    values = make_evaluate(learner)(params, dataset.splits["train"], 7)
    tokenizer, classes = task.tokenizer(tmp_path), load_classes(tmp_path / "classes.json")
    network = task.network(tokenizer, classes)
    nats, pairs = [], []
    for text, label in task.data.source()["train"]:
        ids = tokenizer.encode(text).ids
        logits = apply(network, params, ids[None], np.array([len(ids)]))[0]
        nats.append(-float(jax.nn.log_softmax(logits)[classes.index(label)]))
        pairs.append((classes.index(label), int(logits.argmax())))
    of, chosen = np.array(pairs).T
    assert values["loss"] == pytest.approx(np.mean(nats), rel=1e-5)
    assert values["accuracy"] == pytest.approx(np.mean(of == chosen))
    counts = [np.sum(of == c) + np.sum(chosen == c) for c in (0, 1)]
    f1 = [2 * np.sum((of == c) & (chosen == c)) / n for c, n in enumerate(counts) if n]
    assert values["macro_f1"] == pytest.approx(np.mean(f1))


def test_predictions_are_in_order_and_those_of_single_lines(tmp_path):
    task = make(write(tmp_path / "a.csv", ROWS))
    learner, _ = task.prepare(tmp_path)
    params = learner.init(jax.random.key(0))
    lines = ["good film", "", "bad " * 40, "never seen", "film"]
    together = list(task.predict(tmp_path, params, lines))
    alone = [next(iter(task.predict(tmp_path, params, [line]))) for line in lines]
    assert [record["label"] for record in together] == [record["label"] for record in alone]
    np.testing.assert_allclose(
        [record["probability"] for record in together],
        [record["probability"] for record in alone],
        atol=1e-6,
    )


def test_what_is_cut_or_unknown_or_empty_is_told(tmp_path):
    rows = [*((f"a b c d e {label} {i}", label) for i in range(9) for label in ("x", "y"))]
    test = write(tmp_path / "test.csv", [("<b></b>", "x"), ("zz zz zz zz", "y")])
    task = make(
        write(tmp_path / "a.csv", rows), test_path=(test,),
        steps=("remove_markup",), max_length=4, evaluation_max_length=3, validation_share=0.1,
    )  # fmt: skip
    _, dataset = task.prepare(tmp_path)
    notes = "\n".join(dataset.notes)
    assert "train: 16 of 16 texts are longer than 4 symbols and were cut" in notes
    assert "test: 1 of 2 texts are longer than 3 symbols and were cut" in notes
    assert "test: 4 of 4 symbols are unknown" in notes
    assert "test: 1 of 2 texts are empty after the steps" in notes


@pytest.mark.parametrize(
    ("rows", "test", "message"),
    [
        ([(f"t{i}", "pos") for i in range(9)], None, "has one class only, 'pos'; two are needed"),
        (ROWS, [("a", "poss")], "test split has a class 'poss' .* did you mean pos"),
    ],
)
def test_classes_that_cannot_be_learnt_are_told(tmp_path, rows, test, message):
    options = {"test_path": (write(tmp_path / "test.csv", test),)} if test else {}
    with pytest.raises(UserError, match=message):
        make(write(tmp_path / "a.csv", rows), **options).prepare(tmp_path)
    assert not (tmp_path / "vocabulary.json").exists()


def test_fields_are_checked_first():
    def build(**model):
        values = {"source": "csv_file", "path": ("a.csv",)}
        build_experiment(experiment(task="text_classification", data=values, model=model))

    with pytest.raises(ConfigError, match=r"model\.pooling: there is no 'maxx'; did you mean max"):
        build(pooling=("maxx",))
    with pytest.raises(ConfigError, match=r"model\.pooling: there is no ''"):
        build(pooling=())


def test_the_tokenizer_of_another_run_is_taken(tmp_path):
    path, run = write(tmp_path / "a.csv", ROWS), tmp_path / "run"
    (run / "assets").mkdir(parents=True)
    find("tokenizer", "words")(["good bad film"]).save(run / "assets" / "vocabulary.json")
    with pytest.raises(UserError, match=r"tokenizer_from: .*run holds no run"):
        make(path, tokenizer_from=str(run)).prepare(tmp_path)
    (run / "config.json").write_text("{}")
    task = make(path, tokenizer_from=str(run))
    task.prepare(tmp_path)
    assert len(task.tokenizer(tmp_path)) == 4


def test_adversarial_training_costs_more_than_the_plain_loss(tmp_path):
    path = write(tmp_path / "a.csv", ROWS)
    costs, slopes = {}, {}
    for weight, norm in ((0.0, 1.0), (1.0, 0.0), (1.0, 0.02), (1.0, 0.5)):
        task = make(path, {"adversarial": weight, "adversarial_norm": norm})
        learner, dataset = task.prepare(tmp_path)
        params = learner.init(jax.random.key(0))

        def loss_of(params, learner=learner, batch=dataset.train[0]):
            loss, _, sums = learner.loss(params, (), batch, jax.random.key(1))
            return loss, sums

        (loss, sums), gradients = jax.value_and_grad(loss_of, has_aux=True)(params)
        assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(gradients))
        costs[weight, norm], slopes[weight, norm] = float(loss), gradients
        # The figures that are reported are those of the texts as they are.
        assert float(sums["nats"] / sums["records"]) == pytest.approx(costs[0.0, 1.0], rel=1e-5)
    # A step of no length changes nothing, a longer one harms more.
    assert costs[1.0, 0.0] == pytest.approx(costs[0.0, 1.0], rel=1e-5)
    assert costs[1.0, 0.0] < costs[1.0, 0.02] < costs[1.0, 0.5]
    # Both passes over the same vectors have the gradient of one.
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-7),
        slopes[1.0, 0.0],
        slopes[0.0, 1.0],
    )


def test_naive_bayes_is_that_of_counts_by_hand():
    texts = [np.array(t) for t in ([1, 1, 2], [1], [3, 2])]
    judge = naive_bayes(texts, np.array([0, 0, 1]), 2)
    # Features of class 0: 1 twice, (1,1), 2, (1,2); of class 1: 3, 2, (3,2).
    assert judge([np.array([1, 2]), np.array([3]), np.array([9, 9])]).tolist() == [0, 1, 0]


def test_naive_bayes_smooths_over_what_occurs_alone():
    judge = naive_bayes([np.array(t) for t in ([1], [1], [1], [2])], np.array([0, 0, 0, 1]), 2)
    # Of [2]: 3/4 * (0 + 1) / (3 + 2) against 1/4 * (1 + 1) / (1 + 2).
    assert judge([np.array([2])]).tolist() == [1]


def test_ngrams_begin_as_naive_bayes_and_are_kept_with_the_run(tmp_path):
    task = make(write(tmp_path / "a.csv", ROWS), ngrams=2)
    learner, dataset = task.prepare(tmp_path)
    params = learner.init(jax.random.key(0))
    # Of "bad" and "good", one is in every text of a class and in none of the other.
    ngrams, tokenizer = NGramVocabulary.load(tmp_path / "ngrams.npz"), task.tokenizer(tmp_path)
    good, bad = (ngrams.mark(tokenizer.encode(word).ids)[0, 0] for word in ("good", "bad"))
    ratio = np.asarray(params["ngrams"]["ratio"])  # of neg and pos
    assert ratio[0, bad - 1] == ratio[0].max() > 1
    assert ratio[1, good - 1] == ratio[1].max() > 1
    np.testing.assert_allclose(ratio.sum(axis=0), 0, atol=1e-5)

    def loss(params):
        return learner.loss(params, (), dataset.train[0], jax.random.key(1))[0]

    gradients = jax.grad(loss)(params)["ngrams"]
    assert np.asarray(gradients["weight"]).any()
    assert not np.asarray(gradients["ratio"]).any()
    # The same figures come of a run's files alone.
    assert task.restore(tmp_path).loss(params, (), dataset.train[0], None)[0] == learner.loss(
        params, (), dataset.train[0], None
    )[0]  # fmt: skip
    (tmp_path / "ngrams.npz").write_bytes(b"nothing")
    with pytest.raises(UserError, match=r"ngrams\.npz holds no n-grams"):
        task.restore(tmp_path)


def test_ngrams_of_another_run_are_taken(tmp_path):
    path, run = write(tmp_path / "a.csv", ROWS), tmp_path / "run"
    (run / "assets").mkdir(parents=True)
    (run / "config.json").write_text("{}")
    words = find("tokenizer", "words")(["good bad film"])
    words.save(run / "assets" / "vocabulary.json")
    ids = words.encode("good film").ids
    NGramVocabulary.learn([ids, ids], order=2, size=9).save(run / "assets" / "ngrams.npz")
    learner, _ = make(path, tokenizer_from=str(run), ngrams=2).prepare(tmp_path)
    # good, good at the beginning, film, good film
    assert learner.init(jax.random.key(0))["ngrams"]["weight"].shape == (4,)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    workdir = tmp_path_factory.mktemp("runs") / "opinions"
    assert main(["train", f"--config={IMDB}:smoke", f"--workdir={workdir}"]) == 0
    return workdir


def test_the_smoke_config_learns(run):
    result = json.loads((run / "result.json").read_text())
    assert result["test/accuracy"] > 0.8
    assert result["baselines"]["most frequent class"]["test"] < 0.6


def test_figures_of_a_run(run, tmp_path):
    from lstm_jax.training import Run

    finished = Run.load(run)
    task = finished.experiment.task
    params = finished.restore_params(task.restore(finished.assets), "best").trees["params"]
    task.draw(finished.assets, params, tmp_path)
    text = (tmp_path / "surprising_errors.txt").read_text()
    result = json.loads((run / "result.json").read_text())
    wrong = round(60 * (1 - result["test/accuracy"]))
    assert text.startswith(f"{wrong} of 60 texts are of another class than was chosen.")
    given = [float(line.split()[-1]) for line in text.splitlines() if "with probability" in line]
    assert given == sorted(given, reverse=True)
    assert len(given) == min(wrong, 20)
    assert (tmp_path / "confusion_matrix.png").stat().st_size > 5_000


def test_predict_answers_a_file_line_for_line(run, tmp_path, capsys):
    lines = ["the plot was good .", "", "the cast was bad . the plot was bad ."]
    (tmp_path / "a.txt").write_text("\r\n".join(lines))
    capsys.readouterr()
    assert main(["predict", f"--workdir={run}", f"--input={tmp_path / 'a.txt'}"]) == 0
    answers = [line.split("\t") for line in capsys.readouterr().out.splitlines()]
    assert [answers[0][0], answers[2][0]] == ["positive", "negative"]
    assert len(answers) == 3
    assert main(["predict", f"--workdir={run}", f"--input={tmp_path / 'a.txt'}", "--json"]) == 0
    records = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [r["label"] for r in records] == [label for label, _ in answers]
    assert [f"{r['probability']:.4f}" for r in records] == [p for _, p in answers]


def test_predict_reads_a_pipe(run, monkeypatch, capsys):
    class Pipe:
        buffer = io.BytesIO(b"\xef\xbb\xbfthe plot was good .\n")

    capsys.readouterr()
    monkeypatch.setattr(sys, "stdin", Pipe)
    assert main(["predict", f"--workdir={run}"]) == 0
    assert capsys.readouterr().out.startswith("positive\t0.")


def test_predict_tells_what_it_cannot_use(run, smoke_run, tmp_path, capsys):
    (tmp_path / "a.txt").write_bytes(b"good\nb\xffd\n")
    for arguments, message in {
        (f"--workdir={run}", f"--input={tmp_path / 'a.txt'}"): "a.txt, line 2, is not UTF-8",
        (f"--workdir={run}", "--input=none.txt"): "cannot read none.txt (No such file",
        (f"--workdir={run}", f"--input={tmp_path}"): "(Is a directory)",
        (f"--workdir={smoke_run}",): "the task language_model predicts nothing",
    }.items():
        assert main(["predict", *arguments]) == 2
        error = capsys.readouterr().err
        assert message in error
        assert error.count("\n") == 1


def test_a_step_is_a_share_of_the_norm_of_each_text():
    x, harm = jax.random.normal(jax.random.key(0), (2, 5, 3, 4))
    moved = _step(harm, x, 0.1)
    for i in range(3):
        share = np.linalg.norm(moved[:, i]) / np.linalg.norm(x[:, i])
        assert share == pytest.approx(0.1, rel=1e-5)
        cosine = np.sum(moved[:, i] * harm[:, i]) / np.linalg.norm(moved[:, i])
        assert cosine == pytest.approx(np.linalg.norm(harm[:, i]), rel=1e-5)
    assert not np.asarray(_step(0 * harm, x, 0.1)).any()


@pytest.mark.parametrize(
    "mode", ["", ":pretrained", ":backward", ":ngrams", ":smoke_pretrained", ":smoke_ngrams"]
)
def test_every_mode_is_a_config(mode):
    steps = build_experiment(load_config(IMDB + mode)).task.data.steps
    text = functools.reduce(lambda text, step: step(text), steps, "<i>Not</i> bad,<br />is it?")
    expected = "not bad , is it ?"
    assert text == (" ".join(expected.split()[::-1]) if mode == ":backward" else expected)


@pytest.mark.parametrize("mode", ["", "backward", "smoke"])
def test_a_language_model_and_its_classifier_read_alike(mode):
    """Steps and sizes of the two configs are the same, or parameters would not fit."""
    theirs = load_config(IMDB.replace("imdb.py", f"imdb_lm.py:{mode}"))
    modes = {"": "pretrained", "backward": "backward", "smoke": "smoke_pretrained"}
    ours = load_config(f"{IMDB}:{modes[mode]}")
    for name in ("embedding_size", "hidden_size", "num_layers", "cell"):
        assert ours.model[name] == theirs.model[name]
    assert ours.data.steps == theirs.data.steps
    assert not ours.model.bidirectional


def test_a_step_that_returns_no_text_is_told(tmp_path):
    task = make(write(tmp_path / "a.csv", ROWS))
    broken = dataclasses.replace(task, data=dataclasses.replace(task.data, steps=[str.split]))
    with pytest.raises(UserError, match=r"data\.steps: split returned list, not text"):
        broken.prepare(tmp_path)


def test_assets_of_a_run_are_not_written_twice(tmp_path):
    task = make(write(tmp_path / "a.csv", ROWS))
    task.prepare(tmp_path)
    before = {file: file.stat().st_mtime_ns for file in tmp_path.glob("*.json")}
    task.prepare(tmp_path)
    assert before == {file: file.stat().st_mtime_ns for file in tmp_path.glob("*.json")}
