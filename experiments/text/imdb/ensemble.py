"""The test accuracy of several classifiers that vote with their probabilities.

    python experiments/text/imdb/ensemble.py runs/forward runs/backward --linear --output=vote.json

The texts and classes are those of the first run's own source. A vote of classifiers that start from
a forward and a backward language model is that of J. Howard and S. Ruder, arXiv 1801.06146; one of
recurrent networks and a linear model of n-grams that of G. Mesnil et al., arXiv 1412.5335.
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


def main() -> None:
    """Prints a JSON object, and writes it where `--output` says."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("runs", nargs="+", type=Path, help="finished runs of one set of classes")
    parser.add_argument("--split", default="test")
    parser.add_argument("--linear", action="store_true", help="a vote for n-grams (scikit-learn)")
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    use_compilation_cache()

    runs = [Run.load(folder) for folder in options.runs]
    classes = load_classes(runs[0].assets / "classes.json")
    splits = runs[0].experiment.task.data.source()
    texts, named = zip(*splits[options.split], strict=True)
    labels = np.array([classes.index(label) for label in named])
    votes = {str(run.folder): probabilities(run, texts) for run in runs}
    found = {
        "split": options.split,
        "texts": len(labels),
        "accuracy": {name: accuracy(vote, labels) for name, vote in votes.items()},
        "accuracy of the mean": accuracy(mean(votes), labels),
    }
    if options.linear:
        linear = linear_probabilities(runs[0].experiment.task, splits["train"], texts)
        found["accuracy"][LINEAR] = accuracy(linear, labels)
        # It has as much of a say as all networks together.
        found["accuracy of the mean with it"] = accuracy(mean(votes) + linear, labels)
    print(json.dumps(found, indent=2))
    if options.output:
        options.output.write_text(json.dumps(found, indent=2) + "\n")


def probabilities(run: Run, texts: Sequence[str]) -> np.ndarray:
    """Of every class for every text, by the best checkpoint of a run [texts, classes]."""
    task = run.experiment.task
    params = run.restore_params(task.restore(run.assets), "best").trees["params"]
    return task.probabilities(run.assets, params, texts)


def linear_probabilities(
    task: Any, train: Sequence[tuple[str, str]], texts: Sequence[str]
) -> np.ndarray:
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
    return model.predict_proba(count.transform(clean(texts)).astype(np.float32) @ ratio)


def mean(votes: Mapping[str, np.ndarray]) -> np.ndarray:
    """The mean probability of every class for every text."""
    return np.mean(list(votes.values()), axis=0)


def accuracy(probability: np.ndarray, labels: np.ndarray) -> float:
    """The share of texts whose likeliest class is theirs."""
    return float(np.mean(probability.argmax(axis=-1) == labels))


if __name__ == "__main__":
    main()
