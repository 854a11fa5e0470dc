"""What a translation is worth that nothing was learnt for: the source itself, and a neighbour's.

    python experiments/text/translate_en_de/baselines.py --data=DIR

DIR holds train.tsv, validation.tsv and test.tsv with a source and a target a line. The neighbour is
the training pair whose source is nearest by the cosine of TF-IDF over character 2- to 5-grams; its
target is taken as it is. Needs scikit-learn and sacrebleu. Takes a minute.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer

from lstm_jax.data.pairs import tsv_pairs
from lstm_jax.tasks.translation_scores import metrics, scores


def main() -> None:
    """Prints BLEU and chrF of both on validation and test."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="the folder of the three files")
    folder = parser.parse_args().data
    paths = {split: (str(folder / f"{split}.tsv"),) for split in ("train", "validation", "test")}
    pairs = tsv_pairs(
        path=paths["train"], validation_path=paths["validation"], test_path=paths["test"]
    )()
    print(*(metric.label for metric in metrics()), sep="\n")
    for split in ("validation", "test"):
        sources, targets = zip(*pairs[split], strict=True)
        found = {
            "copying the source": sources,
            "nearest neighbour": nearest(pairs["train"], sources),
        }
        for name, texts in found.items():
            bleu, chrf = scores(texts, targets).values()
            print(f"{split:<11}{name:<20}BLEU {bleu:5.1f}  chrF {chrf:5.1f}")


def nearest(train: Sequence[tuple[str, str]], sources: Sequence[str]) -> list[str]:
    """The target of the training pair whose source is nearest to each source."""
    vectorizer = TfidfVectorizer(analyzer="char", ngram_range=(2, 5))
    known = vectorizer.fit_transform([source for source, _ in train])
    similarity = vectorizer.transform(sources) @ known.T
    return [train[i][1] for i in np.asarray(similarity.argmax(axis=1)).ravel()]


if __name__ == "__main__":
    main()
