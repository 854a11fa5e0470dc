"""An interpolated Kneser-Ney trigram of another library on the Brown corpus: the baseline.

    pip install knlm==0.1.2
    python experiments/text/word_lm_brown/trigram.py data/brown

Words seen three times or fewer in the whole corpus are one, and line ends are no words, as in
configs/text/word_lm_brown.py. The library gives words of the vocabulary that the training text
lacks (1.5 % of the test text) no probability, so its distribution is mixed with a uniform one, by
a weight chosen on the validation text. Beside it stands our own trigram, which the tasks report.
"""

import collections
import math
import sys
from pathlib import Path

import knlm
import numpy as np

from lstm_jax.models.ngram import cross_entropy

SPLITS = ("train", "validation", "test")
WEIGHTS = (0.02, 0.05, 0.1, 0.15, 0.2, 0.25)


def main(folder: Path) -> None:
    """Prints the perplexities."""
    words = {split: (folder / f"{split}.txt").read_text().split() for split in SPLITS}
    counts = collections.Counter(word for text in words.values() for word in text)
    rare = {word for word, count in counts.items() if count <= 3}
    words = {s: ["<unk>" if w in rare else w for w in text] for s, text in words.items()}
    vocabulary = sorted({word for text in words.values() for word in text})

    model = knlm.KneserNey(3, 4)  # order, bytes of a word's number
    model.train(words["train"])
    model.optimize()
    given = {s: np.exp(model.evaluateEachWord(words[s])[1:]) for s in SPLITS[1:]}

    def perplexity(split: str, weight: float) -> float:
        mixed = (1 - weight) * given[split] + weight / len(vocabulary)
        return math.exp(-np.mean(np.log(mixed)))

    weight = min(WEIGHTS, key=lambda w: perplexity("validation", w))
    print(f"{len(vocabulary):,} words; uniform share {weight}")
    print({split: round(perplexity(split, weight), 1) for split in SPLITS[1:]}, "knlm, order 3")

    number = {word: i for i, word in enumerate(vocabulary)}
    ids = {split: np.array([number[word] for word in text]) for split, text in words.items()}
    for order in (3, 5):
        bits = {s: cross_entropy(ids["train"], ids[s], len(number), order) for s in SPLITS[1:]}
        print(
            {s: round(2 ** (b / (len(ids[s]) - 1)), 1) for s, b in bits.items()}, f"ours, {order}"
        )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
