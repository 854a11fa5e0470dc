"""Speech recognition: from sound to text, by connectionist temporal classification."""

import dataclasses
import functools
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import jax.numpy as jnp
import numpy as np

from lstm_jax.cells import Cell
from lstm_jax.config import (
    Fraction,
    LayerCount,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveInt,
    Range,
    Rate,
    Seed,
    part_of,
    parts_of,
    register,
    values_of,
    write_atomically,
)
from lstm_jax.data.audio_features import AudioFeatures
from lstm_jax.data.audio_files import AudioFile, read_audio, sound_files
from lstm_jax.data.audio_inputs import AudioInputs, AudioReading, Speed, features_of, read_inputs
from lstm_jax.data.bucketing import best_bounds, longest_of
from lstm_jax.data.feature_scale import FeatureScale, load_scale, scale_of
from lstm_jax.data.files import read_text
from lstm_jax.data.held_out import SPLITS
from lstm_jax.data.joined_batches import JoinedBatches
from lstm_jax.data.joint_fingerprint import joint_fingerprint
from lstm_jax.data.text_steps import apply_steps
from lstm_jax.data.tokenizers import Tokenizer, load_tokenizer
from lstm_jax.data.utterances import Speech, SpeechSource, Utterance
from lstm_jax.errors import ConfigError, UserError
from lstm_jax.json_files import read_json
from lstm_jax.models.attentive_recognizer import AttentiveRecognizer
from lstm_jax.models.audio_augmentation import SpecAugment
from lstm_jax.models.ctc import needed_steps
from lstm_jax.models.speech_recognizer import SpeechRecognizer
from lstm_jax.models.text_scorers import Scorer
from lstm_jax.tasks.sized_cell import sized_cell
from lstm_jax.tasks.speech_batches import (
    SpeechBatches,
    join_records,
    known_symbols,
    speech_loss,
    symbols_of,
)
from lstm_jax.tasks.speech_figures import draw_alignment, write_worst
from lstm_jax.tasks.speech_language_model import keep_language_model, language_model_scorer
from lstm_jax.tasks.speech_recognizer import Recognizer, SpeechSearch, make_scorer
from lstm_jax.tasks.speech_scores import METRICS, error_rates, require_jiwer
from lstm_jax.tasks.task import FLOAT32, Array, Compute, Dataset, Learner, no_carry

_TOKENIZER, _SCALE, _TRANSCRIPTS = "tokenizer.json", "scale.json", "transcripts.json"
_TEXTS, _LANGUAGE_MODEL = "texts.json", "language_model"
_SHOWN = 4  # recordings at the end of a run
_WORST = 20

Width = Annotated[int, Range(1, 101)]
Stride = Annotated[int, Range(1, 16)]


@dataclasses.dataclass(frozen=True, kw_only=True)
class SpeechData:
    """Where recordings and transcripts come from and how they become batches.

    Attributes:
      source: where they come from.
      steps: what is done to every transcript before it is cut into symbols.
      tokenizer: what a symbol is.
      features: what the network hears.
      reading: how recordings are read.
      speeds: in percent; every training recording comes once at each.
      joined: training recordings that are heard one behind another, from one alone to so many;
        which ones is drawn anew in every epoch.
      batch_size: recordings in a step.
      evaluation_batch_size: recordings in a batch of an evaluation.
      buckets: lengths to which batches are padded; each is compiled once.
      seed: of the order of the recordings.
    """

    source: SpeechSource = part_of("speech_source", "speech_folder", inline=True)
    steps: Sequence[Callable[[str], str]] = parts_of("text_step")
    tokenizer: Callable[[Iterable[str]], Tokenizer] = part_of("tokenizer", "characters")
    features: AudioFeatures
    reading: AudioReading
    speeds: tuple[Speed, ...] = (100,)
    joined: PositiveInt = 1
    batch_size: PositiveInt = 16
    evaluation_batch_size: PositiveInt = 16
    buckets: PositiveInt = 6
    seed: Seed = 0

    def __post_init__(self) -> None:
        if not self.speeds:
            raise ConfigError("speeds: names none; 100 is that of the recording")


@dataclasses.dataclass(frozen=True, kw_only=True)
class SpeechRecognizerOptions:
    """The network.

    Attributes:
      cell: the recurrent cell of every layer.
      channels: outputs of each convolution.
      width: steps that a convolution reads.
      strides: for each convolution, how many steps it makes one of.
      hidden_size: memory cells in each layer and direction.
      num_layers: recurrent layers.
      bidirectional: whether layers also read from the end; a stream cannot.
      dropout: share of the elements of what each layer yields that are dropped in training.
    """

    cell: Callable[[int], Cell] = part_of("cell", "lstm")
    channels: PositiveInt = 128
    width: Width = 5
    strides: tuple[Stride, ...] = (2, 2)
    hidden_size: PositiveInt = 160
    num_layers: LayerCount = 2
    bidirectional: bool = True
    dropout: Rate = 0.3

    def __post_init__(self) -> None:
        sized_cell(self.cell, self.hidden_size)
        if not self.strides:
            raise ConfigError("strides: names none; a convolution of stride 1 keeps all steps")


@dataclasses.dataclass(frozen=True, kw_only=True)
class SpeechDecoder:
    """A decoder with attention beside CTC (`lstm_jax.models.attentive_recognizer`).

    Its cell and its dropout are those of the model.

    Attributes:
      num_layers: its recurrent layers; 0 for no decoder, CTC alone.
      hidden_size: memory cells in each.
      embedding_size: size of a symbol's vector, and of the attentional vector.
      attention: how steps are scored.
      input_feeding: whether a step reads the attentional vector of the step before it; training
        then goes step by step.
      ctc_weight: share of CTC in the loss.
    """

    num_layers: NonNegativeInt = 0
    hidden_size: PositiveInt = 160
    embedding_size: PositiveInt = 64
    attention: Literal["general", "concat", "bahdanau"] = "general"
    input_feeding: bool = False
    ctc_weight: Fraction = 0.3

    def __post_init__(self) -> None:
        if self.attention == "bahdanau" and self.input_feeding:
            raise ConfigError("input_feeding: bahdanau has none, it feeds what attention found")


@register("task")
@dataclasses.dataclass(frozen=True, kw_only=True)
class speech_recognition:
    """Recognition of speech by a recurrent network and CTC.

    Attributes:
      data: recordings and transcripts.
      model: the network.
      decoder: of the network, with attention.
      augment: what is done to the features in training.
      consistency: how much it costs when the network finds something else in a recording that is
        masked otherwise, for each nat (Z. Yao et al., arXiv 2410.05101, take 0.2); twice the work.
      search: how the likeliest text is looked for.
    """

    data: SpeechData
    model: SpeechRecognizerOptions
    decoder: SpeechDecoder
    augment: SpecAugment
    consistency: NonNegativeFloat = 0.0
    search: SpeechSearch

    only_training: ClassVar = ("augment", "consistency", "decoder.ctc_weight", "model.dropout")

    def __post_init__(self) -> None:
        features = self.data.features
        if not self.model.bidirectional and (
            features.normalization == "utterance" or features.deltas
        ):
            raise ConfigError(
                "model.bidirectional: a network in one direction is for streams, whose features "
                "need data.features.normalization=training (or none) and data.features.deltas=0"
            )
        if self.search.needs_decoder and not self.decoder.num_layers:
            raise ConfigError(
                "search: attention is asked, and the model has no decoder; decoder.num_layers=1 "
                "gives it one"
            )
        if self.decoder.num_layers:
            sized_cell(self.model.cell, self.decoder.hidden_size)

    def prepare(self, assets: Path, compute: Compute = FLOAT32) -> tuple[Learner, Dataset]:
        """Reads the recordings, and makes or takes what a run keeps."""
        require_jiwer()
        speech = self._speech()
        inputs = {split: self._read(split, speech[split]) for split in SPLITS}
        if not (assets / _TRANSCRIPTS).exists():
            self._keep(assets, speech, inputs["train"])
        recognizer = self._recognizer(assets, compute)
        return self._learner(recognizer), self._dataset(speech, inputs, recognizer)

    def restore(self, assets: Path, compute: Compute = FLOAT32) -> Learner:
        """The learner for what a run kept."""
        return self._learner(self._recognizer(assets, compute))

    def recognizer(self, assets: Path) -> Recognizer:
        """What turns features into text with the parameters of a run."""
        return self._recognizer(assets, FLOAT32)

    def baselines(self, assets: Path) -> dict[str, dict[str, float]]:
        """The character error rate of the likeliest constant: nothing at all."""
        del assets
        return {"no text at all": dict.fromkeys(SPLITS[1:], 1.0)}

    def show(self, assets: Path, params: Any, seed: int) -> str:
        """Some recordings of the test split, each with its transcript and the one to reach."""
        test = self._speech()["test"]
        chosen = np.random.default_rng(seed).permutation(len(test))[:_SHOWN]
        shown = [test[i] for i in chosen]
        inputs = self._read("test", shown)
        found = self.recognizer(assets).transcribe(params, inputs.sequences).texts
        return "\n\n".join(
            f"{text}\n  ({shown[row].text})" for text, row in zip(found, inputs.rows, strict=True)
        )

    def draw(self, assets: Path, params: Any, figures: Path) -> None:
        """Alignments of some recordings of the test split, and the most wrong ones as text."""
        test, recognizer = self._speech()["test"], self.recognizer(assets)
        inputs = self._read("test", test)
        said = [test[row].text for row in inputs.rows]
        found = recognizer.transcribe(params, inputs.sequences).texts
        names = [test[row].name for row in inputs.rows]
        write_worst(names, said, found, _WORST, figures / "worst.txt")
        hop = self.data.features.hop_ms / 1000
        chosen = np.random.default_rng(0).permutation(len(said))[:_SHOWN]
        for number, i in enumerate(sorted(chosen), start=1):
            x = inputs.sequences[i]
            draw_alignment(
                recognizer.log_probabilities(params, x),
                x,
                len(x) * hop,
                recognizer.tokenizer,
                (said[i], found[i]),
                figures / f"alignment_{number}.png",
            )

    def predict_file(self, assets: Path, params: Any, path: str) -> Iterator[Mapping[str, Any]]:
        """The text of a recording, of each one in a folder, or of those that a text file names.

        Args:
          assets: of the run.
          params: the parameters.
          path: of the recording, of a folder, or of a file whose name ends in `.txt`, with a path
            a line; these are seen from its folder.
        """
        recognizer, size = self.recognizer(assets), self.search.batch_size
        files = _files(path)
        for start in range(0, len(files), size):
            named = files[start : start + size]
            sequences = [self._features(file) for file in named]
            texts = recognizer.transcribe(params, sequences).texts
            for file, text in zip(named, texts, strict=True):
                yield {"file": str(file), "text": text}

    def commands(self) -> Mapping[str, str]:
        """The commands for a finished run."""
        return {"predict": "transcribe a recording, a folder or a .txt of paths, with --input=path"}

    def network(self, tokenizer: Tokenizer, compute: Compute = FLOAT32) -> SpeechRecognizer:
        """The Flax module for a tokenizer."""
        options = values_of(self.model) | {
            "symbols": len(tokenizer),
            "dtype": compute.dtype,
            "remat": compute.remat,
        }
        decoder = self.decoder
        if not decoder.num_layers:
            return SpeechRecognizer(**options)
        return AttentiveRecognizer(
            **options,
            decoder_size=decoder.hidden_size,
            decoder_layers=decoder.num_layers,
            embedding_size=decoder.embedding_size,
            attention=decoder.attention,
            input_feeding=decoder.input_feeding,
        )

    def _speech(self) -> Speech:
        """The utterances, their transcripts after the pipeline's steps."""
        found = self.data.source()
        return {
            split: [
                one._replace(text=apply_steps(one.text, self.data.steps)) for one in found[split]
            ]
            for split in SPLITS
        }

    def _read(self, split: str, utterances: Sequence[Utterance]) -> AudioInputs:
        speeds = self.data.speeds if split == "train" else (100,)
        data = self.data
        return read_inputs(utterances, data.features, data.reading, name=split, speeds=speeds)

    def _features(self, path: Path) -> np.ndarray:
        data = self.data
        samples = read_audio(
            AudioFile(path),
            data.features.sample_rate,
            max_seconds=data.reading.max_seconds,
            may_be_silent=True,
        )
        return features_of(data.features, samples)

    def _keep(self, assets: Path, speech: Speech, train: AudioInputs) -> None:
        """Writes what prediction needs of the training data."""
        texts = [speech["train"][row].text for row in dict.fromkeys(train.rows)]
        tokenizer = self.data.tokenizer(texts)
        tokenizer.save(assets / _TOKENIZER)
        if self.search.language_model is not None:
            keep_language_model(self.search.language_model, tokenizer, assets / _LANGUAGE_MODEL)
        if self.data.features.normalization == "training":
            scale_of(train.sequences).save(assets / _SCALE)
        if self.search.texts:
            files = [Path(name).expanduser() for name in self.search.texts]
            lines = [line for file in files for line in read_text("search.texts", file).split("\n")]
            more = [apply_steps(line, self.data.steps) for line in lines if line.strip()]
            write_atomically(assets / _TEXTS, json.dumps(more, indent=0) + "\n")
        write_atomically(assets / _TRANSCRIPTS, json.dumps(texts, indent=0) + "\n")

    def _recognizer(self, assets: Path, compute: Compute) -> Recognizer:
        tokenizer = load_tokenizer(assets / _TOKENIZER)
        scale: FeatureScale | None = None
        if self.data.features.normalization == "training":
            scale = load_scale(assets / _SCALE)
        texts = [symbols_of(tokenizer, text) for text in _load_texts(assets / _TRANSCRIPTS)]
        if self.search.texts:
            more = [known_symbols(tokenizer, text) for text in _load_texts(assets / _TEXTS)]
            texts = texts * self.search.transcripts_count + more
        model: Scorer | None = None
        if self.search.language_model is not None:
            model = language_model_scorer(assets / _LANGUAGE_MODEL, tokenizer)
        scorer = make_scorer(self.search, tokenizer, texts, model)
        return Recognizer(self.network(tokenizer, compute), tokenizer, scale, scorer, self.search)

    def _dataset(
        self, speech: Speech, inputs: Mapping[str, AudioInputs], recognizer: Recognizer
    ) -> Dataset:
        data, notes = self.data, [note for read in inputs.values() for note in read.notes]

        def batches(split: str, size: int, seed: int | None, leave_out: bool) -> SpeechBatches:
            made, impossible = self._batches(
                speech[split], inputs[split], recognizer, size, seed, leave_out
            )
            if impossible and (leave_out or split != "train"):
                done = "are left out" if leave_out else "cost nothing in the loss"
                notes.append(
                    f"{split}: {impossible:,} of {len(inputs[split].rows):,} transcripts have more "
                    f"symbols than their recording has steps, and {done}"
                )
            return made

        records = batches("train", data.batch_size, data.seed, True)
        train = self._joined(records, recognizer) if data.joined > 1 else records
        splits = {
            split: batches(split, data.evaluation_batch_size, None, False) for split in SPLITS
        }
        joined = f"{data.joined}" if data.joined > 1 else ""
        sizes = ", ".join(f"{len(inputs[split].rows):,} {split}" for split in SPLITS)
        minutes = records.frames * data.features.hop_ms / 60_000
        return Dataset(
            train=train,
            splits=splits,
            batch_size=data.batch_size,
            evaluation_batch_size=data.evaluation_batch_size,
            units=("frames", records.frames / len(train)),
            fingerprint=joint_fingerprint((records, *splits.values()), behind=joined),
            notes=[
                f"{sizes} recordings (of all speeds); {minutes:.1f} minutes to train on; "
                f"{len(recognizer.tokenizer):,} symbols",
                f"batches of {train.bounds} frames",
                *notes,
            ],
        )

    def _joined(self, records: SpeechBatches, recognizer: Recognizer) -> JoinedBatches:
        data = self.data
        return JoinedBatches(
            1 + longest_of({"frames": records.features}),  # a space may need the one more
            functools.partial(join_records, records, recognizer.tokenizer),
            most=data.joined,
            batch_size=data.batch_size,
            buckets=data.buckets,
            seed=data.seed,
        )

    def _batches(
        self,
        utterances: Sequence[Utterance],
        inputs: AudioInputs,
        recognizer: Recognizer,
        size: int,
        seed: int | None,
        leave_out: bool,
    ) -> tuple[SpeechBatches, int]:
        """The batches, and how many transcripts are impossible."""
        labels = [symbols_of(recognizer.tokenizer, utterances[row].text) for row in inputs.rows]
        frames = longest_of({"features": inputs.sequences})
        needed = np.array([needed_steps(one) for one in labels])
        possible = needed <= recognizer.network.steps_of(frames)
        kept = np.flatnonzero(possible) if leave_out else np.arange(len(labels))
        if not len(kept):
            raise UserError(
                "data: every transcript has more symbols than its recording has steps; smaller "
                "model.strides or a shorter data.features.hop_ms make more steps"
            )
        features = _Chosen(inputs.sequences, kept)
        bounds = best_bounds(
            longest_of({"f": features, "l": [labels[i] for i in kept]}), self.data.buckets
        )
        made = SpeechBatches(
            {"features": features, "labels": [labels[i] for i in kept]},
            {},
            batch_size=size,
            bounds=bounds,
            seed=seed,
        )
        made.features, made.frames = features, int(frames[kept].sum())
        made.texts = [utterances[inputs.rows[i]].text for i in kept]
        return made, int((~possible).sum())

    def _learner(self, recognizer: Recognizer) -> Learner:
        network, size = recognizer.network, self.data.features.size

        def init(key: Array) -> Any:
            frames = jnp.zeros((1, network.subsampling, size))
            return network.init(key, frames, jnp.array([network.subsampling]))["params"]

        def score(params: Any, batches: Any) -> dict[str, float]:
            found = recognizer.transcribe(params, batches.features)
            greedy = error_rates(found.greedy, batches.texts)
            return error_rates(found.texts, batches.texts) | {
                f"greedy_{name}": value for name, value in greedy.items()
            }

        return Learner(
            init,
            no_carry,
            functools.partial(
                speech_loss, recognizer, self.augment, self.decoder.ctc_weight, self.consistency
            ),
            _summarize,
            METRICS,
            weight="symbols",
            score=score,
        )


class _Chosen(Sequence):
    """Some of the records, each as it is asked for."""

    def __init__(self, records: Sequence[np.ndarray], chosen: np.ndarray):
        self._records, self._chosen = records, chosen

    def __len__(self) -> int:
        return len(self._chosen)

    def __getitem__(self, index: Any) -> Any:
        return self._records[int(self._chosen[index])]


def _summarize(sums: Mapping[str, float]) -> dict[str, float]:
    return {"loss": sums["nats"] / max(sums["symbols"], 1)}


def _load_texts(path: Path) -> list[str]:
    try:
        texts = read_json(path)
        if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
            raise ValueError("it is no list of texts")
    except (OSError, ValueError) as error:
        raise UserError(f"{path} holds no list of texts ({error})") from None
    return texts


def _files(name: str) -> list[Path]:
    path = Path(name).expanduser()
    if path.suffix.lower() != ".txt" or path.is_dir():
        return sound_files("--input", path)
    lines = read_text("--input", path).splitlines()
    return [path.parent / Path(line.strip()).expanduser() for line in lines if line.strip()]
