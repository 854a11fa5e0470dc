"""Text classification: which class a text is of."""

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import jax.numpy as jnp
import numpy as np

from lstm_jax.config import (
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    Seed,
    part_of,
    parts_of,
    register,
    values_of,
)
from lstm_jax.data.bucketing import BucketedBatches, cut, cut_note
from lstm_jax.data.held_out import SPLITS
from lstm_jax.data.labelled import Labelled, LabelledSource
from lstm_jax.data.ngram_vocabulary import NGramVocabulary
from lstm_jax.data.text_steps import apply_steps
from lstm_jax.data.tokenizers import UNKNOWN, Tokenizer, load_tokenizer
from lstm_jax.errors import UserError
from lstm_jax.models.naive_bayes import naive_bayes
from lstm_jax.models.ngram_votes import log_ratios
from lstm_jax.models.text_classifier import TextClassifier, TextDropout
from lstm_jax.tasks.bucketed import bucketed_dataset
from lstm_jax.tasks.class_labels import (
    classes_of,
    counted,
    load_classes,
    numbered,
    save_classes,
)
from lstm_jax.tasks.classification import (
    ClassifierOptions,
    classification_learner,
    probabilities_of,
)
from lstm_jax.tasks.classification_figures import draw_confusion, write_errors
from lstm_jax.tasks.classification_loss import ClassificationLoss
from lstm_jax.tasks.task import FLOAT32, Compute, Dataset, Learner

_VOCABULARY, _CLASSES, _NGRAMS = "vocabulary.json", "classes.json", "ngrams.npz"


@dataclasses.dataclass(frozen=True, kw_only=True)
class LabelledTextData:
    """Where the texts come from and how they become batches.

    Attributes:
      source: where texts and classes come from.
      steps: what is done to every text before it is cut into symbols.
      tokenizer: what a symbol is.
      tokenizer_from: the folder of a run whose tokenizer is taken, with its n-grams if it has
        any, and none is learnt; for a model that starts from that run's.
      max_length: symbols of a training text that are read; None for all.
      evaluation_max_length: the same for evaluation and prediction.
      keep: which part of a longer text is read: its start, its end, or half of each.
      ngrams: symbols of the longest n-grams that have a vote beside the network; 0 for none.
      ngram_size: the most n-grams, those that are in most training texts and in two at least.
      batch_size: texts in a step.
      evaluation_batch_size: texts in a batch of an evaluation.
      buckets: lengths to which batches are padded; each is compiled once.
      seed: of the order of the texts.
      baselines: whether naive Bayes is computed for the same texts.
    """

    source: LabelledSource = part_of("labelled_source", "csv_file", inline=True)
    steps: Sequence[Callable[[str], str]] = parts_of("text_step")
    tokenizer: Callable[[Iterable[str]], Tokenizer] = part_of("tokenizer", "words")
    tokenizer_from: str | None = None
    max_length: PositiveInt | None = 400
    evaluation_max_length: PositiveInt | None = None
    keep: Literal["start", "end", "both"] = "both"
    ngrams: NonNegativeInt = 0
    ngram_size: PositiveInt = 800_000
    batch_size: PositiveInt = 32
    evaluation_batch_size: PositiveInt = 64
    buckets: PositiveInt = 6
    seed: Seed = 0
    baselines: bool = True


@dataclasses.dataclass(frozen=True, kw_only=True)
class TextClassifierOptions(ClassifierOptions):
    """The network.

    Attributes:
      cell: the recurrent cell of every layer.
      embedding_size: size of a symbol's vector.
      hidden_size: memory cells in each layer and direction.
      num_layers: recurrent layers.
      last_size: memory cells in the last layer; hidden_size if None.
      bidirectional: whether every layer also reads from the end.
      pooling: how outputs become one vector: last, mean, max, attention, or several of them.
      head_size: a hidden layer before the classes; 0 for none.
      temperature: what the network's logits are divided by before those of n-grams are added, if
        there are any; above 1 n-grams have the greater say.
      dropout: what is dropped in training.
    """

    embedding_size: PositiveInt = 64
    temperature: PositiveFloat = 1.0
    dropout: TextDropout


class _Prepared(NamedTuple):
    """Texts as numbers, by split."""

    ids: dict[str, list[np.ndarray]]
    labels: dict[str, np.ndarray]
    notes: list[str]


@register("task")
@dataclasses.dataclass(frozen=True, kw_only=True)
class text_classification:
    """Classification of texts.

    Attributes:
      data: the texts.
      model: the network.
      loss: what is minimised.
    """

    data: LabelledTextData
    model: TextClassifierOptions
    loss: ClassificationLoss

    def prepare(self, assets: Path, compute: Compute = FLOAT32) -> tuple[Learner, Dataset]:
        """Reads the texts, and makes or takes the tokenizer and the classes of the run."""
        found = self.data.source()
        tokenizer = self._make_tokenizer(found, assets)
        classes = classes_of(label for _, label in found["train"])
        prepared = self._encode(found, tokenizer, classes)
        ngrams = self._make_ngrams(prepared.ids["train"], assets)
        marked = {split: _marked(texts, ngrams) for split, texts in prepared.ids.items()}
        dataset = self._dataset(prepared, marked, tokenizer, classes)
        # A finished run that is only evaluated need not be ours to write to.
        if not (assets / _CLASSES).exists():
            tokenizer.save(assets / _VOCABULARY)
            if ngrams is not None:
                ngrams.save(assets / _NGRAMS)
            save_classes(classes, assets / _CLASSES)
        learner = self._learner(tokenizer, classes, ngrams, compute)
        if ngrams is None:
            return learner, dataset
        marks = [text[:, 1:] for text in marked["train"]]
        labels, size = prepared.labels["train"], {"size": len(ngrams), "classes": len(classes)}
        return _beginning_with(log_ratios(marks, labels, **size), learner), dataset

    def restore(self, assets: Path, compute: Compute = FLOAT32) -> Learner:
        """The learner for the tokenizer and the classes of a run."""
        tokenizer, classes = self.tokenizer(assets), load_classes(assets / _CLASSES)
        return self._learner(tokenizer, classes, self._ngrams(assets), compute)

    def tokenizer(self, assets: Path) -> Tokenizer:
        """The tokenizer of a run."""
        return load_tokenizer(assets / _VOCABULARY)

    def network(
        self,
        tokenizer: Tokenizer,
        classes: Sequence[str],
        ngrams: NGramVocabulary | None = None,
        compute: Compute = FLOAT32,
    ) -> TextClassifier:
        """The Flax module for a tokenizer, classes, and n-grams if there are any."""
        return TextClassifier(
            vocabulary_size=len(tokenizer),
            classes=len(classes),
            ngrams=len(ngrams) if ngrams is not None else 0,
            dtype=compute.dtype,
            remat=compute.remat,
            **values_of(self.model),
        )

    def baselines(self, assets: Path) -> dict[str, dict[str, float]]:
        """Accuracy of the most frequent class, and of naive Bayes over symbols and their pairs."""
        if not self.data.baselines:
            return {}
        classes, tokenizer = load_classes(assets / _CLASSES), self.tokenizer(assets)
        prepared = self._encode(self.data.source(), tokenizer, classes)
        train, labels = prepared.ids["train"], prepared.labels
        frequent = np.bincount(labels["train"]).argmax()
        judge = naive_bayes(train, labels["train"], len(classes))
        found: dict[str, dict[str, float]] = {"most frequent class": {}, "naive Bayes, pairs": {}}
        for split in SPLITS[1:]:
            found["most frequent class"][split] = float(np.mean(labels[split] == frequent))
            right = judge(prepared.ids[split]) == labels[split]
            found["naive Bayes, pairs"][split] = float(np.mean(right))
        return found

    def show(self, assets: Path, params: Any, seed: int) -> str:
        """Nothing: `draw` writes what there is to see."""
        del assets, params, seed
        return ""

    def draw(self, assets: Path, params: Any, figures: Path) -> None:
        """The confusion matrix of the test split, and its most surprising errors as text."""
        classes = load_classes(assets / _CLASSES)
        test = self.data.source()["test"]
        texts = [text for text, _ in test]
        labels = numbered("test", [label for _, label in test], classes)
        probability = self.probabilities(assets, params, texts)
        draw_confusion(labels, probability.argmax(-1), classes, figures / "confusion_matrix.png")
        write_errors(texts, labels, probability, classes, figures / "surprising_errors.txt")

    def predict(
        self, assets: Path, params: Any, lines: Sequence[str]
    ) -> Iterator[Mapping[str, Any]]:
        """The likeliest class of every line, in order, with its probability.

        Args:
          assets: of the run.
          params: the parameters.
          lines: texts, each on one line.
        """
        classes = load_classes(assets / _CLASSES)
        for row in self.probabilities(assets, params, lines):
            yield {"label": classes[int(row.argmax())], "probability": float(row.max())}

    def probabilities(self, assets: Path, params: Any, texts: Sequence[str]) -> np.ndarray:
        """The probability of every class of the run for every text, float32 [texts, classes]."""
        classes, tokenizer = load_classes(assets / _CLASSES), self.tokenizer(assets)
        ids = [tokenizer.encode(self._clean(text)).ids for text in texts]
        ids = cut(ids, self.data.evaluation_max_length, self.data.keep)
        ngrams, data = self._ngrams(assets), self.data
        network, marked = self.network(tokenizer, classes, ngrams), _marked(ids, ngrams)
        return probabilities_of(
            network, params, marked, batch_size=data.evaluation_batch_size, buckets=data.buckets
        )

    def commands(self) -> Mapping[str, str]:
        """The commands for a finished run."""
        return {"predict": "classify lines, for instance with --input=file, or - for a pipe"}

    def _make_tokenizer(self, found: Labelled, assets: Path) -> Tokenizer:
        path = assets / _VOCABULARY
        if path.exists():
            return load_tokenizer(path)
        if self.data.tokenizer_from is not None:
            folder = Path(self.data.tokenizer_from).expanduser()
            if not (folder / "config.json").exists():
                raise UserError(f"data.tokenizer_from: {folder} holds no run")
            return load_tokenizer(folder / "assets" / _VOCABULARY)
        return self.data.tokenizer([self._clean(text) for text, _ in found["train"]])

    def _make_ngrams(self, train: Sequence[np.ndarray], assets: Path) -> NGramVocabulary | None:
        if not self.data.ngrams or (assets / _NGRAMS).exists():
            return self._ngrams(assets)
        if self.data.tokenizer_from is not None:
            path = Path(self.data.tokenizer_from).expanduser() / "assets" / _NGRAMS
            if path.exists():
                return NGramVocabulary.load(path)
        return NGramVocabulary.learn(train, order=self.data.ngrams, size=self.data.ngram_size)

    def _ngrams(self, assets: Path) -> NGramVocabulary | None:
        return NGramVocabulary.load(assets / _NGRAMS) if self.data.ngrams else None

    def _clean(self, text: str) -> str:
        return apply_steps(text, self.data.steps)

    def _encode(self, found: Labelled, tokenizer: Tokenizer, classes: Sequence[str]) -> _Prepared:
        data, prepared = self.data, _Prepared({}, {}, [])
        for split in SPLITS:
            whole = [tokenizer.encode(self._clean(text)).ids for text, _ in found[split]]
            most = data.max_length if split == "train" else data.evaluation_max_length
            prepared.ids[split] = cut(whole, most, data.keep)
            prepared.labels[split] = numbered(split, [label for _, label in found[split]], classes)
            prepared.notes.extend(_notes(split, whole, prepared.ids[split], most))
        return prepared

    def _dataset(
        self,
        prepared: _Prepared,
        texts: Mapping[str, Sequence[np.ndarray]],
        tokenizer: Tokenizer,
        classes: Sequence[str],
    ) -> Dataset:
        sizes = ", ".join(f"{len(prepared.ids[split]):,} {split}" for split in SPLITS)

        def notes(train: BucketedBatches) -> list[str]:
            return [
                f"{sizes} texts; {len(tokenizer):,} symbols",
                f"train: {counted(prepared.labels['train'], classes)}",
                f"batches of {train.bounds} {tokenizer.units}, {train.padding:.0%} of it padding",
                *prepared.notes,
            ]

        return bucketed_dataset(
            self.data,
            "tokens",
            texts,
            prepared.labels,
            units=tokenizer.units,
            notes=notes,
            salt=" ".join(classes),
        )

    def _learner(
        self,
        tokenizer: Tokenizer,
        classes: Sequence[str],
        ngrams: NGramVocabulary | None,
        compute: Compute,
    ) -> Learner:
        network = self.network(tokenizer, classes, ngrams, compute)
        example = jnp.asarray(_marked([np.zeros(1, np.int32)], ngrams))
        return classification_learner(network, example, self.loss, "tokens")


def _marked(texts: Sequence[np.ndarray], ngrams: NGramVocabulary | None) -> Sequence[np.ndarray]:
    """Texts [time], or with n-grams [time, 1 + order]: a symbol and the n-grams that end at it."""
    if ngrams is None:
        return texts
    return [np.column_stack([text, ngrams.mark(text)]).astype(np.int32) for text in texts]


def _beginning_with(ratios: np.ndarray, learner: Learner) -> Learner:
    """A learner whose n-grams begin with what was counted of them."""

    def init(key: Any) -> Any:
        params = learner.init(key)
        return params | {"ngrams": params["ngrams"] | {"ratio": jnp.asarray(ratios)}}

    return learner._replace(init=init)


def _notes(
    split: str, whole: Sequence[np.ndarray], kept: Sequence[np.ndarray], most: int | None
) -> list[str]:
    total = sum(map(len, whole))
    unknown = sum(int((ids == UNKNOWN).sum()) for ids in whole)
    empty = sum(not len(ids) for ids in whole)
    notes = cut_note(split, whole, kept, most or 0)
    if unknown:
        notes.append(f"{split}: {unknown:,} of {total:,} symbols are unknown")
    if empty:
        notes.append(f"{split}: {empty:,} of {len(whole):,} texts are empty after the steps")
    return notes
