"""What a run of word_lm_brown reaches beside counts, a cache, and while it goes on learning.

    python experiments/text/word_lm_brown/evaluate.py --workdir=runs/brown

Every option is chosen on the validation text: weights of mixtures on all of it, the options of the
cache and of dynamic evaluation on its first 20,000 words; in rows of the latter the validation
figure is that of these words. The test text is read once for each row. Writes `beside.json` into
the workdir and prints a table.
"""

import argparse
import dataclasses
import itertools
import json
from pathlib import Path

import numpy as np

from lstm_jax.cli.arguments import use_compilation_cache
from lstm_jax.models.ngram import probabilities
from lstm_jax.tasks.dynamic_evaluation import Dynamic, read_text
from lstm_jax.tasks.neural_cache import cache_probabilities
from lstm_jax.tasks.text_evaluation import training_roots
from lstm_jax.training import Run

SPLITS = ("validation", "test")
SHORT = 20_000  # words of the validation text on which cache and dynamic evaluation are tuned
SEGMENT = 100  # words between two steps of dynamic evaluation
SIZES, FLATNESS = (500, 2000), (0.0, 0.1, 0.3)
RATES = {"sgd": (0.1, 0.3), "rms": (3e-4, 1e-3)}
DECAYS = {"sgd": (0.0,), "rms": (0.002,)}


def main() -> None:
    """Reads the run and prints the table."""
    made = argparse.ArgumentParser(description=__doc__)
    made.add_argument("--workdir", type=Path, required=True)
    folder = made.parse_args().workdir
    use_compilation_cache()
    run = Run.load(folder)
    task, assets = run.experiment.task, run.assets
    params = run.restore_params(task.restore(assets), "best").trees["params"]
    texts, vocabulary = task.encoded(assets), task.vocabulary(assets)
    network = task.network(vocabulary)
    ids = {split: texts[split].ids for split in SPLITS}
    rows = {}

    static = {s: read_text(network, params, ids[s], keep_features=True) for s in SPLITS}
    lm = {s: np.exp(-static[s].nats.astype(float)) for s in SPLITS}
    rows["network"] = {s: perplexity(lm[s]) for s in SPLITS}
    counts = {s: probabilities(texts["train"].ids, ids[s], len(vocabulary), 3)[1:] for s in SPLITS}
    rows["trigram"] = {s: perplexity(counts[s]) for s in SPLITS}
    rows["network and trigram"] = mixed(lm, counts)

    beginning = {"validation": lm["validation"][: SHORT - 1]}
    tried = {}
    for size, flatness in itertools.product(SIZES, FLATNESS):
        found = cache_probabilities(
            static["validation"].features[: SHORT - 1],
            ids["validation"][1:SHORT],
            size=size,
            flatness=flatness,
        )
        tried[size, flatness] = mixed(beginning, {"validation": found})["validation"]
    size, flatness = min(tried, key=tried.__getitem__)
    cache = {
        s: cache_probabilities(static[s].features, ids[s][1:], size=size, flatness=flatness)
        for s in SPLITS
    }
    options = {"cache": size, "flatness": flatness}
    rows["network and cache"] = mixed(lm, cache) | options
    rows["network, trigram and cache"] = mixed(lm, counts, cache) | options

    keep(folder, rows)

    roots = training_roots(task, assets, params)
    for rule in RATES:
        tried = {}
        for rate, decay in itertools.product(RATES[rule], DECAYS[rule]):
            dynamic = Dynamic(rule=rule, rate=rate, decay=decay, segment=SEGMENT)
            part = ids["validation"][:SHORT]
            nats = read_text(network, params, part, dynamic=dynamic, roots=roots).nats
            tried[dynamic] = perplexity(np.exp(-nats.astype(float)))
            print(dynamic, round(tried[dynamic], 1), flush=True)
        dynamic = min(tried, key=tried.get)
        moving = {}
        for split, end in (("validation", SHORT), ("test", None)):
            part = ids[split][:end]
            nats = read_text(network, params, part, dynamic=dynamic, roots=roots).nats
            moving[split] = np.exp(-nats.astype(float))
        options = dataclasses.asdict(dynamic)
        name = f"network, learning ({rule})"
        rows[name] = {s: perplexity(moving[s]) for s in SPLITS} | options
        rows[f"{name}, and trigram"] = mixed(moving, short(counts)) | options
        rows[f"{name}, trigram and cache"] = mixed(moving, short(counts), short(cache)) | options

        keep(folder, rows)


def keep(folder: Path, rows: dict[str, dict]) -> None:
    """Writes and prints what was found so far."""
    (folder / "beside.json").write_text(json.dumps(rows, indent=2) + "\n")
    for name, row in rows.items():
        print(f"| {name} | {row['validation']:.1f} | {row['test']:.1f} |", flush=True)


def short(part: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The same where dynamic evaluation is tuned: at the beginning of the validation text."""
    return part | {"validation": part["validation"][: SHORT - 1]}


def perplexity(probability: np.ndarray) -> float:
    """Of the words with these probabilities."""
    return float(np.exp(-np.log(probability).mean()))


def mixed(*parts: dict[str, np.ndarray]) -> dict:
    """Perplexities of a mixture whose weights fit the validation text best (by EM)."""
    table = np.stack([part["validation"] for part in parts])
    weights = np.full(len(parts), 1 / len(parts))
    for _ in range(200):
        shares = weights[:, None] * table
        weights = (shares / shares.sum(axis=0)).mean(axis=1)
    found = {s: perplexity(weights @ np.stack([part[s] for part in parts])) for s in parts[0]}
    return found | {"weights": [round(float(w), 4) for w in weights]}


if __name__ == "__main__":
    main()
