"""The test accuracy of several classifiers that vote with their probabilities.

    python experiments/text/imdb/ensemble.py runs/forward runs/backward --output=result.json

The texts and classes are those of the first run's own source. A vote of classifiers that start from
a forward and a backward language model is that of J. Howard and S. Ruder, arXiv 1801.06146.
"""

import argparse
import json
from pathlib import Path

import numpy as np

from lstm_jax.cli.arguments import use_compilation_cache
from lstm_jax.tasks.class_labels import load_classes
from lstm_jax.training import Run


def main() -> None:
    """Prints a JSON object, and writes it where `--output` says."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("runs", nargs="+", type=Path, help="finished runs of one set of classes")
    parser.add_argument("--split", default="test")
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    use_compilation_cache()

    runs = [Run.load(folder) for folder in options.runs]
    classes = load_classes(runs[0].assets / "classes.json")
    records = runs[0].experiment.task.data.source()[options.split]
    labels = np.array([classes.index(label) for _, label in records])
    votes = np.stack([probabilities(run, [text for text, _ in records]) for run in runs])
    found = {
        "split": options.split,
        "texts": len(labels),
        "accuracy": {
            str(run.folder): accuracy(vote, labels) for run, vote in zip(runs, votes, strict=True)
        },
        "accuracy of the mean": accuracy(votes.mean(axis=0), labels),
    }
    print(json.dumps(found, indent=2))
    if options.output:
        options.output.write_text(json.dumps(found, indent=2) + "\n")


def probabilities(run: Run, texts: list[str]) -> np.ndarray:
    """Of every class for every text, by the best checkpoint of a run [texts, classes]."""
    task = run.experiment.task
    params = run.restore_params(task.restore(run.assets), "best").trees["params"]
    return task.probabilities(run.assets, params, texts)


def accuracy(probability: np.ndarray, labels: np.ndarray) -> float:
    """The share of texts whose likeliest class is theirs."""
    return float(np.mean(probability.argmax(axis=-1) == labels))


if __name__ == "__main__":
    main()
