"""Classification of recordings: which keyword was said, or what a sound is of."""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from lstm_jax.config import PositiveInt, Seed, part_of, register, values_of
from lstm_jax.data.audio_features import AudioFeatures
from lstm_jax.data.audio_files import AudioFile, sound_files
from lstm_jax.data.audio_inputs import AudioInputs, AudioReading, Speed, read_inputs
from lstm_jax.data.feature_scale import Scaled, load_scale, scale_of
from lstm_jax.data.held_out import SPLITS
from lstm_jax.data.labelled_audio import LabelledAudioSource, LabelledRecording
from lstm_jax.errors import ConfigError
from lstm_jax.models.audio_augmentation import SpecAugment
from lstm_jax.models.series_classifier import SeriesClassifier
from lstm_jax.tasks.bucketed import bucketed_dataset
from lstm_jax.tasks.class_labels import (
    classes_of,
    counted,
    load_classes,
    numbered,
    save_classes,
)
from lstm_jax.tasks.classification import classification_learner, probabilities_of
from lstm_jax.tasks.classification_figures import draw_confusion
from lstm_jax.tasks.classification_loss import ClassificationLoss
from lstm_jax.tasks.left_out import tell
from lstm_jax.tasks.series_classification import SeriesClassifierOptions
from lstm_jax.tasks.task import FLOAT32, Compute, Dataset, Learner

_CLASSES, _SCALE = "classes.json", "scale.json"


@dataclasses.dataclass(frozen=True, kw_only=True)
class LabelledAudioData:
    """Where the recordings come from and how they become batches.

    Attributes:
      source: where recordings and classes come from.
      reading: how recordings are read.
      speeds: in percent; every training recording is heard at each of them.
      batch_size: recordings in a step.
      evaluation_batch_size: recordings in a batch of an evaluation.
      buckets: lengths to which batches are padded; each is compiled once.
      seed: of the order of the recordings.
    """

    source: LabelledAudioSource = part_of("labelled_audio_source", "audio_folders", inline=True)
    reading: AudioReading
    speeds: tuple[Speed, ...] = (100,)
    batch_size: PositiveInt = 32
    evaluation_batch_size: PositiveInt = 64
    buckets: PositiveInt = 4
    seed: Seed = 0

    def __post_init__(self) -> None:
        if not self.speeds:
            raise ConfigError("speeds: names none; 100 is that of the recording")


class _Prepared(NamedTuple):
    """Features and classes by split, and what is worth telling."""

    inputs: dict[str, Sequence[np.ndarray]]
    labels: dict[str, np.ndarray]
    notes: list[str]


@register("task")
@dataclasses.dataclass(frozen=True, kw_only=True)
class audio_classification:
    """Classification of recordings.

    Attributes:
      data: the recordings.
      features: what the network hears of them.
      model: the network.
      augmentation: how the features of training are changed at every step.
      loss: what is minimised.
    """

    data: LabelledAudioData
    features: AudioFeatures
    model: SeriesClassifierOptions
    augmentation: SpecAugment
    loss: ClassificationLoss

    def prepare(self, assets: Path, compute: Compute = FLOAT32) -> tuple[Learner, Dataset]:
        """Reads the recordings, and makes or takes the classes of the run and the scale."""
        found = self.data.source()
        classes = classes_of(one.label for one in found["train"])
        prepared = self._read(found, classes)
        # A finished run that is only evaluated need not be ours to write to.
        if not (assets / _CLASSES).exists():
            scale_of(prepared.inputs["train"]).save(assets / _SCALE)
            save_classes(classes, assets / _CLASSES)
        inputs = {split: self._scaled(assets, x) for split, x in prepared.inputs.items()}
        dataset = self._dataset(prepared._replace(inputs=inputs), classes)
        return self._learner(classes, compute), dataset

    def restore(self, assets: Path, compute: Compute = FLOAT32) -> Learner:
        """The learner for the classes of a run."""
        return self._learner(load_classes(assets / _CLASSES), compute)

    def network(self, classes: Sequence[str], compute: Compute = FLOAT32) -> SeriesClassifier:
        """The Flax module for these classes."""
        return SeriesClassifier(
            classes=len(classes),
            dtype=compute.dtype,
            remat=compute.remat,
            **values_of(self.model),
        )

    def baselines(self, assets: Path) -> dict[str, dict[str, float]]:
        """Accuracy of the most frequent class."""
        del assets
        found = self.data.source()
        labels = {split: np.array([one.label for one in found[split]]) for split in SPLITS}
        names, counts = np.unique(labels["train"], return_counts=True)
        frequent = names[counts.argmax()]
        right = {split: float(np.mean(labels[split] == frequent)) for split in SPLITS[1:]}
        return {"most frequent class": right}

    def show(self, assets: Path, params: Any, seed: int) -> str:
        """Nothing: `draw` writes what there is to see."""
        del assets, params, seed
        return ""

    def draw(self, assets: Path, params: Any, figures: Path) -> None:
        """The confusion matrix of the test split."""
        classes = load_classes(assets / _CLASSES)
        test = self.data.source()["test"]
        inputs = read_inputs(test, self.features, self.data.reading, name="data: test")
        labels = numbered("test", [test[row].label for row in inputs.rows], classes)
        chosen = self.probabilities(assets, params, inputs).argmax(axis=-1)
        draw_confusion(labels, chosen, classes, figures / "confusion_matrix.png")

    def predict_file(self, assets: Path, params: Any, path: str) -> Iterator[Mapping[str, Any]]:
        """The likeliest class of a recording, or of each one in a folder, with its probability.

        Args:
          assets: of the run.
          params: the parameters.
          path: a file of sound, or a folder with such files.
        """
        classes = load_classes(assets / _CLASSES)
        files = sound_files("--input", Path(path).expanduser())
        recordings = [LabelledRecording(str(file), "", AudioFile(file)) for file in files]
        inputs = read_inputs(recordings, self.features, self.data.reading, name="--input")
        tell(inputs.notes)
        for row, probability in zip(
            inputs.rows, self.probabilities(assets, params, inputs), strict=True
        ):
            yield {
                "file": str(files[row]),
                "label": classes[int(probability.argmax())],
                "probability": float(probability.max()),
            }

    def probabilities(self, assets: Path, params: Any, inputs: AudioInputs) -> np.ndarray:
        """The probability of every class of the run for every recording [recordings, classes]."""
        return probabilities_of(
            self.network(load_classes(assets / _CLASSES)),
            params,
            self._scaled(assets, inputs.sequences),
            batch_size=self.data.evaluation_batch_size,
            buckets=self.data.buckets,
        )

    def commands(self) -> Mapping[str, str]:
        """The commands for a finished run."""
        return {"predict": "classify a recording or a folder of them, with --input=path"}

    def _read(
        self, found: Mapping[str, Sequence[LabelledRecording]], classes: Sequence[str]
    ) -> _Prepared:
        prepared = _Prepared({}, {}, [])
        for split in SPLITS:
            inputs = read_inputs(
                found[split],
                self.features,
                self.data.reading,
                name=f"data: {split}",
                speeds=self.data.speeds if split == "train" else (100,),
            )
            labels = [found[split][row].label for row in inputs.rows]
            prepared.inputs[split] = inputs.sequences
            prepared.labels[split] = numbered(split, labels, classes)
            prepared.notes.extend(inputs.notes)
        return prepared

    def _scaled(self, assets: Path, sequences: Sequence[np.ndarray]) -> Sequence[np.ndarray]:
        if self.features.normalization != "training":
            return sequences
        return Scaled(sequences, load_scale(assets / _SCALE))

    def _dataset(self, prepared: _Prepared, classes: Sequence[str]) -> Dataset:
        sizes = ", ".join(f"{len(prepared.labels[split]):,} {split}" for split in SPLITS)
        return bucketed_dataset(
            self.data,
            "features",
            prepared.inputs,
            prepared.labels,
            units="frames",
            notes=lambda train: [
                f"{sizes} recordings of {self.features.size} features a frame",
                f"train: {counted(prepared.labels['train'], classes)}",
                f"batches of {train.bounds} frames, {train.padding:.0%} of it padding",
                *prepared.notes,
            ],
            salt=" ".join(classes),
        )

    def _learner(self, classes: Sequence[str], compute: Compute) -> Learner:
        example = jnp.zeros((1, self.model.stride, self.features.size))
        network = self.network(classes, compute)
        return classification_learner(network, example, self.loss, "features", self.augmentation)
