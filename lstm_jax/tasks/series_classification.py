"""Classification of series of measurements: which class each is of."""

import dataclasses
import functools
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from lstm_jax.config import NonNegativeInt, PositiveInt, Seed, part_of, register, values_of
from lstm_jax.data.held_out import SPLITS
from lstm_jax.data.labelled_series import LabelledSeriesSource, SeriesBySplit
from lstm_jax.data.series_inputs import Normalization, SeriesInputs, inputs_of, load_inputs
from lstm_jax.data.timeseries_files import LabelledSeries
from lstm_jax.errors import UserError
from lstm_jax.models.classifier import ClassifierDropout
from lstm_jax.models.nearest_neighbour import (
    euclidean_neighbours,
    warping_cells,
    warping_neighbours,
)
from lstm_jax.models.series_augmentation import SeriesAugmentation
from lstm_jax.models.series_classifier import SeriesClassifier
from lstm_jax.tasks.bucketed import bucketed_dataset
from lstm_jax.tasks.class_labels import classes_of, load_classes, numbered, save_classes
from lstm_jax.tasks.classification import (
    ClassifierOptions,
    classification_learner,
    probabilities_of,
)
from lstm_jax.tasks.classification_figures import draw_confusion
from lstm_jax.tasks.classification_loss import ClassificationLoss
from lstm_jax.tasks.task import FLOAT32, Compute, Dataset, Learner

_CLASSES, _INPUTS = "classes.json", "inputs.json"
_MOST_WARPING = 1_000_000_000  # cells of dynamic time warping: about a minute of one core


@dataclasses.dataclass(frozen=True, kw_only=True)
class LabelledSeriesData:
    """Where the series come from and how they become batches.

    Attributes:
      source: where series and classes come from.
      normalization: "series": mean 0 and deviation 1 of every dimension of every series;
        "training": of every dimension of all training series together; or "none".
      batch_size: series in a step.
      evaluation_batch_size: series in a batch of an evaluation.
      buckets: lengths to which batches are padded; each is compiled once.
      seed: of the order of the series.
      baselines: whether the nearest training series classifies the same series.
    """

    source: LabelledSeriesSource = part_of("labelled_series_source", "archive_files", inline=True)
    normalization: Normalization = "training"
    batch_size: PositiveInt = 32
    evaluation_batch_size: PositiveInt = 128
    buckets: PositiveInt = 4
    seed: Seed = 0
    baselines: bool = True

    @functools.cached_property
    def series(self) -> SeriesBySplit:
        """The series of every split, which a command reads once."""
        return self.source.read()


@dataclasses.dataclass(frozen=True, kw_only=True)
class SeriesClassifierOptions(ClassifierOptions):
    """The network.

    Attributes:
      filters: of a convolution over time before the recurrent layers; 0 for none.
      width: steps that a filter sees.
      stride: steps from one place of a filter to the next; the recurrent layers have as many fewer.
      cell: the recurrent cell of every layer.
      hidden_size: memory cells in each layer and direction.
      num_layers: recurrent layers.
      last_size: memory cells in the last layer; hidden_size if None.
      bidirectional: whether every layer also reads from the end.
      pooling: how outputs become one vector: last, mean, max, attention, or several of them.
      head_size: a hidden layer before the classes; 0 for none.
      dropout: what is dropped in training.
    """

    filters: NonNegativeInt = 0
    width: PositiveInt = 8
    stride: PositiveInt = 1
    dropout: ClassifierDropout


class _Prepared(NamedTuple):
    """Series as inputs, by split."""

    inputs: dict[str, list[np.ndarray]]
    labels: dict[str, np.ndarray]


@register("task")
@dataclasses.dataclass(frozen=True, kw_only=True)
class series_classification:
    """Classification of series.

    Attributes:
      data: the series.
      model: the network.
      augmentation: how training series are changed at every step.
      loss: what is minimised.
    """

    data: LabelledSeriesData
    model: SeriesClassifierOptions
    augmentation: SeriesAugmentation
    loss: ClassificationLoss

    def prepare(self, assets: Path, compute: Compute = FLOAT32) -> tuple[Learner, Dataset]:
        """Reads the series, and makes or takes the classes of the run and what inputs are."""
        found = self.data.series
        classes = classes_of(str(series.label) for series in found["train"])
        training = [series.values for series in found["train"]]
        for split, series in found.items():
            _require_dimensions(f"data: {split}", series, training[0])
        inputs = inputs_of(training, self.data.normalization)
        prepared = _prepare(found, inputs, classes)
        dataset = self._dataset(prepared, classes, _notes(found))
        # A finished run that is only evaluated need not be ours to write to.
        if not (assets / _CLASSES).exists():
            inputs.save(assets / _INPUTS)
            save_classes(classes, assets / _CLASSES)
        return self._learner(inputs, classes, compute), dataset

    def restore(self, assets: Path, compute: Compute = FLOAT32) -> Learner:
        """The learner for the classes of a run."""
        inputs, classes = load_inputs(assets / _INPUTS), load_classes(assets / _CLASSES)
        return self._learner(inputs, classes, compute)

    def network(self, classes: Sequence[str], compute: Compute = FLOAT32) -> SeriesClassifier:
        """The Flax module for these classes."""
        return SeriesClassifier(
            classes=len(classes),
            dtype=compute.dtype,
            remat=compute.remat,
            **values_of(self.model),
        )

    def baselines(self, assets: Path) -> dict[str, dict[str, float]]:
        """Accuracy of the most frequent class, and of the class of the nearest training series.

        Dynamic time warping is left out where it would take minutes.
        """
        if not self.data.baselines:
            return {}
        inputs, classes = load_inputs(assets / _INPUTS), load_classes(assets / _CLASSES)
        prepared = _prepare(self.data.series, inputs, classes)
        train, labels = prepared.inputs["train"], prepared.labels
        frequent = np.bincount(labels["train"]).argmax()
        judges = {
            "most frequent class": lambda series: np.full(len(series), frequent),
            "nearest neighbour": lambda s: labels["train"][euclidean_neighbours(s, train)],
        }
        if warping_cells(prepared.inputs["test"], train) <= _MOST_WARPING:
            judges["nearest neighbour, DTW"] = lambda s: labels["train"][
                warping_neighbours(s, train)
            ]
        return {
            name: {s: float(np.mean(judge(prepared.inputs[s]) == labels[s])) for s in SPLITS[1:]}
            for name, judge in judges.items()
        }

    def show(self, assets: Path, params: Any, seed: int) -> str:
        """Nothing: `draw` writes what there is to see."""
        del assets, params, seed
        return ""

    def draw(self, assets: Path, params: Any, figures: Path) -> None:
        """The confusion matrix of the test split."""
        classes = load_classes(assets / _CLASSES)
        test = self.data.series["test"]
        labels = numbered("test", [str(series.label) for series in test], classes)
        chosen = self.probabilities(assets, params, test).argmax(axis=-1)
        draw_confusion(labels, chosen, classes, figures / "confusion_matrix.png")

    def predict_file(self, assets: Path, params: Any, path: str) -> Iterator[Mapping[str, Any]]:
        """The likeliest class of every series of a file, in order, with its probability.

        Args:
          assets: of the run.
          params: the parameters.
          path: a file in a layout of the run's source; classes in it are not looked at.
        """
        classes = load_classes(assets / _CLASSES)
        series = self.data.source.read_file("--input", Path(path).expanduser())
        for number, row in enumerate(self.probabilities(assets, params, series), start=1):
            yield {
                "series": number,
                "label": classes[int(row.argmax())],
                "probability": float(row.max()),
            }

    def probabilities(
        self, assets: Path, params: Any, series: Sequence[LabelledSeries]
    ) -> np.ndarray:
        """The probability of every class of the run for every series [series, classes]."""
        inputs, classes = load_inputs(assets / _INPUTS), load_classes(assets / _CLASSES)
        _require_dimensions("--input", series, inputs.mean[None])
        return probabilities_of(
            self.network(classes),
            params,
            [inputs(one.values) for one in series],
            batch_size=self.data.evaluation_batch_size,
            buckets=self.data.buckets,
        )

    def commands(self) -> Mapping[str, str]:
        """The commands for a finished run."""
        return {"predict": "classify the series of a file, with --input=file"}

    def _dataset(
        self, prepared: _Prepared, classes: Sequence[str], notes: Sequence[str]
    ) -> Dataset:
        return bucketed_dataset(
            self.data,
            "series",
            prepared.inputs,
            prepared.labels,
            units="time steps",
            notes=lambda train: [
                f"{len(classes)} classes; batches of {train.bounds} steps",
                *notes,
            ],
            salt=" ".join(classes),
        )

    def _learner(self, inputs: SeriesInputs, classes: Sequence[str], compute: Compute) -> Learner:
        example = jnp.zeros((1, self.model.stride, len(inputs.mean)))
        network = self.network(classes, compute)
        return classification_learner(network, example, self.loss, "series", self.augmentation)


def _prepare(found: SeriesBySplit, inputs: SeriesInputs, classes: Sequence[str]) -> _Prepared:
    return _Prepared(
        {split: [inputs(series.values) for series in found[split]] for split in SPLITS},
        {s: numbered(s, [str(one.label) for one in found[s]], classes) for s in SPLITS},
    )


def _require_dimensions(where: str, series: Sequence[LabelledSeries], like: np.ndarray) -> None:
    for number, one in enumerate(series, start=1):
        if one.values.shape[-1] != like.shape[-1]:
            raise UserError(
                f"{where}: series {number} has {one.values.shape[-1]} dimension(s), and those "
                f"to train on have {like.shape[-1]}"
            )


def _notes(found: SeriesBySplit) -> list[str]:
    """How many series there are, of which lengths, and what is odd about them."""
    notes = []
    for split in SPLITS:
        lengths = [len(series.values) for series in found[split]]
        notes.append(f"{split}: {len(lengths):,} series of {min(lengths)} to {max(lengths)} steps")
        missing = sum(int(np.isnan(series.values).sum()) for series in found[split])
        constant = sum(
            bool((np.nanstd(series.values, axis=0) == 0).all()) for series in found[split]
        )
        if missing:
            total = sum(series.values.size for series in found[split])
            notes.append(f"{split}: {missing:,} of {total:,} values are missing")
        if constant:
            notes.append(f"{split}: {constant:,} series are constant")
    return notes
