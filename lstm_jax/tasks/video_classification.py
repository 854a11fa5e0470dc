"""Classification of clips of video: what happens in each."""

import dataclasses
import functools
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from lstm_jax.config import NonNegativeInt, PositiveInt, Seed, part_of, register, values_of
from lstm_jax.data.clip_batches import ClipBatches
from lstm_jax.data.clips import Clips, ClipSource
from lstm_jax.data.held_out import SPLITS
from lstm_jax.data.joint_fingerprint import joint_fingerprint
from lstm_jax.errors import ConfigError
from lstm_jax.models.classifier import ClassifierDropout, apply
from lstm_jax.models.video_classifier import VideoClassifier
from lstm_jax.tasks.class_labels import (
    classes_of,
    counted,
    load_classes,
    numbered,
    save_classes,
)
from lstm_jax.tasks.classification import ClassifierOptions, classification_learner
from lstm_jax.tasks.classification_figures import draw_confusion
from lstm_jax.tasks.classification_loss import ClassificationLoss
from lstm_jax.tasks.left_out import tell
from lstm_jax.tasks.task import FLOAT32, Array, Compute, Dataset, Learner
from lstm_jax.tasks.video_figures import draw_clips

_CLASSES = "classes.json"


@dataclasses.dataclass(frozen=True, kw_only=True)
class ClipData:
    """Where clips come from and how they become batches.

    Attributes:
      source: where clips and classes come from.
      batch_size: clips in a step.
      evaluation_batch_size: clips in a batch of an evaluation.
      memory: MiB of decoded clips that are kept for each split; the others are decoded again.
      seed: of the order of the clips.
    """

    source: ClipSource = part_of("clip_source", "clip_folders", inline=True)
    batch_size: PositiveInt = 16
    evaluation_batch_size: PositiveInt = 32
    memory: NonNegativeInt = 1024
    seed: Seed = 0

    @functools.cached_property
    def clips(self) -> Mapping[str, Clips]:
        """The clips of every split, which a command looks up once."""
        return self.source.read()

    def batches(
        self, clips: Clips, labels: np.ndarray, batch_size: int, *, seed: int | None = None,
        keep: bool = False,
    ) -> ClipBatches:  # fmt: skip
        """Batches of clips with the number of a class each.

        Args:
          clips: the clips.
          labels: the number of the class of each.
          batch_size: clips in a batch.
          seed: of the order; None for that of the clips.
          keep: whether decoded clips are kept, as far as there is memory for them.
        """
        return ClipBatches(
            clips,
            labels,
            self.source.size,
            self.source.frames,
            batch_size=batch_size,
            seed=seed,
            memory=keep * self.memory * 2**20,
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class VideoClassifierOptions(ClassifierOptions):
    """The network.

    Attributes:
      filters: of the first convolution of a frame; each further one has twice those before.
      convolutions: how many, each of which halves the sides of a frame.
      frame_size: size of the vector of a frame, without a ConvLSTM.
      conv_lstm_size: memory cells at every place of a ConvLSTM behind the convolutions; 0 for none.
      cell: the recurrent cell of every layer.
      hidden_size: memory cells in each layer and direction.
      num_layers: recurrent layers; 0 for a ConvLSTM alone.
      last_size: memory cells in the last layer; hidden_size if None.
      bidirectional: whether every layer also reads from the end.
      pooling: how outputs become one vector: last, mean, max, attention, or several of them.
      head_size: a hidden layer before the classes; 0 for none.
      dropout: what is dropped in training.
    """

    filters: PositiveInt = 16
    convolutions: PositiveInt = 3
    frame_size: PositiveInt = 128
    conv_lstm_size: NonNegativeInt = 0
    num_layers: NonNegativeInt = 1
    dropout: ClassifierDropout

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.num_layers and not self.conv_lstm_size:
            raise ConfigError("num_layers: must be at least 1 without a ConvLSTM, got 0")


@register("task")
@dataclasses.dataclass(frozen=True, kw_only=True)
class video_classification:
    """Classification of clips.

    Attributes:
      data: the clips.
      model: the network.
      loss: what is minimised.
    """

    data: ClipData
    model: VideoClassifierOptions
    loss: ClassificationLoss

    def prepare(self, assets: Path, compute: Compute = FLOAT32) -> tuple[Learner, Dataset]:
        """Reads what clips there are, and makes or takes the classes of the run."""
        found = self.data.clips
        classes = classes_of(found["train"].labels)
        labels = {s: numbered(s, found[s].labels, classes) for s in SPLITS}
        dataset = self._dataset(found, labels, classes)
        # A finished run that is only evaluated need not be ours to write to.
        if not (assets / _CLASSES).exists():
            save_classes(classes, assets / _CLASSES)
        return self._learner(classes, compute), dataset

    def restore(self, assets: Path, compute: Compute = FLOAT32) -> Learner:
        """The learner for the classes of a run."""
        return self._learner(load_classes(assets / _CLASSES), compute)

    def network(self, classes: Sequence[str], compute: Compute = FLOAT32) -> VideoClassifier:
        """The Flax module for these classes."""
        options = values_of(self.model)
        # Without recurrent layers there is no second half of the outputs that comes from the end.
        options["bidirectional"] = self.model.bidirectional and self.model.num_layers > 0
        return VideoClassifier(
            classes=len(classes), dtype=compute.dtype, remat=compute.remat, **options
        )

    def baselines(self, assets: Path) -> dict[str, dict[str, float]]:
        """Accuracy of the most frequent class of the training clips."""
        classes, found = load_classes(assets / _CLASSES), self.data.clips
        frequent = classes[np.bincount(numbered("train", found["train"].labels, classes)).argmax()]
        return {
            "most frequent class": {
                s: float(np.mean(np.array(found[s].labels) == frequent)) for s in SPLITS[1:]
            }
        }

    def show(self, assets: Path, params: Any, seed: int) -> str:
        """Nothing: `draw` writes what there is to see."""
        del assets, params, seed
        return ""

    def draw(self, assets: Path, params: Any, figures: Path) -> None:
        """The confusion matrix of the test split, and a clip of every class."""
        classes = load_classes(assets / _CLASSES)
        test = self.data.clips["test"]
        labels = numbered("test", test.labels, classes)
        probability = self.probabilities(assets, params, test)
        draw_confusion(
            labels, probability.argmax(axis=-1), classes, figures / "confusion_matrix.png"
        )
        draw_clips(test.load, labels, probability, classes, figures / "clips.png")

    def predict_file(self, assets: Path, params: Any, path: str) -> Iterator[Mapping[str, Any]]:
        """The likeliest class of a video, or of every video of a folder, with its probability."""
        classes = load_classes(assets / _CLASSES)
        clips = self.data.source.read_file("--input", Path(path).expanduser())
        tell(clips.notes)
        for name, row in zip(clips.names, self.probabilities(assets, params, clips), strict=True):
            label, probability = classes[int(row.argmax())], float(row.max())
            yield {"file": name, "label": label, "probability": probability}

    def probabilities(self, assets: Path, params: Any, clips: Clips) -> np.ndarray:
        """The probability of every class of the run for every clip [clips, classes]."""
        classes = load_classes(assets / _CLASSES)
        network, unknown = self.network(classes), np.zeros(len(clips.names), np.int32)
        batches = self.data.batches(clips, unknown, self.data.evaluation_batch_size)
        found = []
        for i in range(len(batches)):
            batch = batches[i]
            likely = _probabilities(network, params, batch["clips"], batch["clips_lengths"])
            found.append(np.asarray(likely)[batch["valid"]])
        return np.concatenate(found)

    def commands(self) -> Mapping[str, str]:
        """The commands for a finished run."""
        return {"predict": "classify a video, or the videos of a folder, with --input=file"}

    def _dataset(
        self, found: Mapping[str, Clips], labels: Mapping[str, np.ndarray], classes: Sequence[str]
    ) -> Dataset:
        data = self.data
        train = data.batches(
            found["train"], labels["train"], data.batch_size, seed=data.seed, keep=True
        )
        splits = {
            s: data.batches(found[s], labels[s], data.evaluation_batch_size, keep=True)
            for s in SPLITS
        }
        told = [f"{split}: {counted(labels[split], classes)}" for split in SPLITS]
        return Dataset(
            train=train,
            splits=splits,
            batch_size=data.batch_size,
            evaluation_batch_size=data.evaluation_batch_size,
            units=("clips", float(data.batch_size)),
            fingerprint=joint_fingerprint((train, *splits.values()), before=" ".join(classes)),
            notes=[*told, *(note for clips in found.values() for note in clips.notes)],
        )

    def _learner(self, classes: Sequence[str], compute: Compute) -> Learner:
        example = jnp.zeros((1, 1, *self.data.source.size), jnp.uint8)
        network = self.network(classes, compute)
        return classification_learner(network, example, self.loss, "clips")


@functools.partial(jax.jit, static_argnums=0)
def _probabilities(network: VideoClassifier, params: Any, clips: Array, lengths: Array) -> Array:
    return jax.nn.softmax(apply(network, params, clips, lengths))
