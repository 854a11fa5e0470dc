"""The test accuracy of several classifiers of two classes that vote.

    python experiments/text/imdb/ensemble.py runs/forward runs/backward --linear --output=vote.json

How much of a say each has is learnt on the validation split, which none was trained on: a logistic
regression on their log-odds, that is stacked generalisation (D. Wolpert, 1992). The texts and
classes are those of the first run's own source. A vote of classifiers that start from a forward and
a backward language model is that of J. Howard and S. Ruder, arXiv 1801.06146; one of recurrent
networks and a linear model of n-grams that of G. Mesnil et al., arXiv 1412.5335.
"""

import argparse
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lstm_jax.cli.arguments import use_compilation_cache
from lstm_jax.data.text_steps import apply_steps
from lstm_jax.tasks.class_labels import load_classes
from lstm_jax.training import Run

LINEAR = "n-grams, linear"
Votes = dict[str, np.ndarray]  # by split


def main() -> None:
    """Prints a JSON object, and writes it where `--output` says."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("runs", nargs="+", type=Path, help="finished runs of one set of classes")
    parser.add_argument("--linear", action="store_true", help="a vote for n-grams (scikit-learn)")
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    use_compilation_cache()

    runs = [Run.load(folder) for folder in options.runs]
    classes = load_classes(runs[0].assets / "classes.json")
    splits = runs[0].experiment.task.data.source()
    texts = {split: [text for text, _ in splits[split]] for split in ("validation", "test")}
    labels = {s: np.array([classes.index(label) for _, label in splits[s]]) for s in texts}
    votes = {run.folder.name: probabilities(run, texts) for run in runs}
    found: dict[str, Any] = {"texts": {split: len(labels[split]) for split in labels}}
    found["networks"] = stacked(votes, labels)
    if options.linear:
        task = runs[0].experiment.task
        votes[LINEAR] = linear_probabilities(task, splits["train"], texts)
        found["networks and n-grams"] = stacked(votes, labels)
    found["alone"] = {
        name: {split: accuracy(vote[split], labels[split]) for split in vote}
        for name, vote in votes.items()
    }
    print(json.dumps(found, indent=2))
    if options.output:
        options.output.write_text(json.dumps(found, indent=2) + "\n")


def stacked(votes: Mapping[str, Votes], labels: Votes) -> dict[str, Any]:
    """The weight of every member's log-odds, learnt on validation, and the accuracy on test."""
    from sklearn.linear_model import LogisticRegression

    odds = {
        split: np.stack([log_odds(vote[split]) for vote in votes.values()], axis=-1)
        for split in labels
    }
    judge = LogisticRegression(fit_intercept=False).fit(odds["validation"], labels["validation"])
    plain = np.stack([vote["test"] for vote in votes.values()]).mean(axis=0)
    return {
        "weights": dict(zip(votes, (round(float(w), 3) for w in judge.coef_[0]), strict=True)),
        "test": judge.score(odds["test"], labels["test"]),
        "test, equal probabilities": accuracy(plain, labels["test"]),
    }


def log_odds(probability: np.ndarray) -> np.ndarray:
    """How much likelier the second of two classes is, in nats."""
    low, high = np.clip(probability, 1e-6, 1).T
    return np.log(high / low)


def probabilities(run: Run, texts: Mapping[str, Sequence[str]]) -> Votes:
    """Of every class for every text, by the best checkpoint of a run [texts, classes]."""
    task = run.experiment.task
    params = run.restore_params(task.restore(run.assets), "best").trees["params"]
    return {split: task.probabilities(run.assets, params, texts[split]) for split in texts}


def linear_probabilities(
    task: Any, train: Sequence[tuple[str, str]], texts: Mapping[str, Sequence[str]]
) -> Votes:
    """Of two classes, by logistic regression on which words, pairs and triples occur in a text.

    Each n-gram counts by the logarithm of the ratio of its shares in the two classes: S. Wang and
    C. Manning, "Baselines and Bigrams: Simple, Good Sentiment and Topic Classification", 2012.
    """
    from scipy.sparse import diags
    from sklearn.feature_extraction.text import CountVectorizer
    from sklearn.linear_model import LogisticRegression

    def clean(texts: Iterable[str]) -> list[str]:
        return [apply_steps(text, task.data.steps) for text in texts]

    count = CountVectorizer(ngram_range=(1, 3), token_pattern=r"\S+", binary=True, min_df=2)
    seen = count.fit_transform(clean(text for text, _ in train)).astype(np.float32)
    labels = np.array([label for _, label in train])
    shares = []
    for label in np.unique(labels):
        of = np.asarray(seen[labels == label].sum(axis=0)).ravel() + 1
        shares.append(of / of.sum())
    ratio = diags(np.log(shares[1] / shares[0]).astype(np.float32))
    model = LogisticRegression(C=0.1, solver="liblinear", dual=True).fit(seen @ ratio, labels)
    return {
        split: model.predict_proba(count.transform(clean(texts[split])).astype(np.float32) @ ratio)
        for split in texts
    }


def accuracy(probability: np.ndarray, labels: np.ndarray) -> float:
    """The share of texts whose likeliest class is theirs."""
    return float(np.mean(probability.argmax(axis=-1) == labels))


if __name__ == "__main__":
    main()
