"""Order, weight and bonus of the language model, chosen by validation CER; test figures of those.

python experiments/audio/asr_ctc/weights.py --workdir=runs/asr [--texts FILE FILE --count=20]

The recordings of the run's data are read again, its best checkpoint is searched with each setting.
"""

import argparse
import itertools
import json
from pathlib import Path

import jax
import numpy as np

from lstm_jax.data.text_steps import apply_steps
from lstm_jax.models.ctc_search import search
from lstm_jax.models.text_scorers import ngram_scorer, weighted
from lstm_jax.tasks.speech_batches import known_symbols, symbols_of
from lstm_jax.tasks.speech_scores import error_rates
from lstm_jax.training import Run

ORDERS, WEIGHTS, BONUSES = (4, 6, 8), (0.4, 0.7, 1.0, 1.3), (0.0, 0.7, 1.4, 2.1)
ORDERS_OF_TEXTS = (7,)  # their tables are large


def main() -> None:
    """Prints a line for each setting, and the test figures of the best."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workdir", type=Path, required=True, help="the folder of the run")
    parser.add_argument("--texts", type=Path, nargs="+", default=[], help="as search.texts")
    parser.add_argument("--count", type=int, default=1, help="as search.transcripts_count")
    options = parser.parse_args()
    run = Run.load(options.workdir)
    task = run.experiment.task
    params = run.restore_params(task.restore(run.assets), "best").trees["params"]
    recognizer = task.recognizer(run.assets)
    _, dataset = task.prepare(run.assets)
    said = json.loads((run.assets / "transcripts.json").read_text())  # those of training
    texts = [symbols_of(recognizer.tokenizer, text) for text in said] * options.count
    for file in options.texts:
        lines = (apply_steps(line, task.data.steps) for line in file.read_text().split("\n"))
        texts += [known_symbols(recognizer.tokenizer, line) for line in lines if line.strip()]
    outputs = {
        name: _outputs(recognizer, params, dataset.splits[name]) for name in ("validation", "test")
    }
    found = {}
    for order in ORDERS_OF_TEXTS if options.texts else ORDERS:
        ngram = ngram_scorer(texts, len(recognizer.tokenizer), order)

        @jax.jit
        def searched(log_p, steps, weight, bonus, ngram=ngram):
            scorer = weighted([(weight, ngram)], bonus)
            return search(log_p, steps, scorer, task.search.beam_size)[1][:, 0]

        def rates(split, weight, bonus, searched=searched):
            symbols = searched(*outputs[split], weight, bonus)
            return error_rates(
                [recognizer.text_of(row) for row in symbols], dataset.splits[split].texts
            )

        for weight, bonus in itertools.product(WEIGHTS, BONUSES):
            found[order, weight, bonus] = rates("validation", weight, bonus), rates
            print(order, weight, bonus, _text(found[order, weight, bonus][0]), flush=True)
    best = min(found, key=lambda setting: found[setting][0]["cer"])
    print("best:", *best, "validation", _text(found[best][0]))
    print("test", _text(found[best][1]("test", *best[1:])))


def _outputs(recognizer, params, batches):
    sequences = batches.features
    lengths = np.array([len(x) for x in sequences])
    features = np.zeros((len(lengths), lengths.max(), sequences[0].shape[1]), np.float32)
    for row, x in zip(features, sequences, strict=True):
        row[: len(x)] = x
    log_p = recognizer._log_p(params, features, lengths)
    return log_p, recognizer.network.steps_of(lengths)


def _text(rates: dict[str, float]) -> str:
    return f"CER {rates['cer']:.4f} WER {rates['wer']:.4f}"


if __name__ == "__main__":
    main()
