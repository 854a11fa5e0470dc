"""Captioning of clips of video: a sentence that says what happens."""

import dataclasses
import functools
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

import jax.numpy as jnp
import numpy as np

from lstm_jax.config import NonNegativeFloat, PositiveInt, part_of, register, values_of
from lstm_jax.data.caption_batches import CaptionBatches
from lstm_jax.data.clip_batches import ClipBatches
from lstm_jax.data.clips import Clips, ClipSource
from lstm_jax.data.held_out import SPLITS
from lstm_jax.data.joint_fingerprint import joint_fingerprint
from lstm_jax.data.tokenizers import Tokenizer, load_tokenizer
from lstm_jax.errors import ConfigError
from lstm_jax.models.video_captioner import VideoCaptioner
from lstm_jax.tasks.left_out import tell
from lstm_jax.tasks.perplexity import PERPLEXITY, perplexity
from lstm_jax.tasks.task import FLOAT32, Array, Compute, Dataset, Learner, Metric
from lstm_jax.tasks.translation import Seq2SeqOptions, TranslationLoss, train_loss
from lstm_jax.tasks.translation_scores import metrics, require_sacrebleu, scores
from lstm_jax.tasks.translator import search
from lstm_jax.tasks.video_classification import ClipData
from lstm_jax.tasks.video_figures import draw_captions

_TOKENIZER = "tokenizer.json"
_EXACT = Metric("exact", "share of captions that are the sentence", lower_is_better=False)
_SHOWN = 8


@dataclasses.dataclass(frozen=True, kw_only=True)
class CaptionData(ClipData):
    """Where clips and sentences come from and how they become batches.

    Attributes:
      source: where clips and sentences come from.
      tokenizer: what a symbol of a sentence is.
      batch_size: clips in a step.
      evaluation_batch_size: clips in a batch of an evaluation.
      memory: MiB of decoded clips that are kept for each split; the others are decoded again.
      seed: of the order of the clips.
    """

    source: ClipSource = part_of("caption_source", "captioned_videos", inline=True)
    tokenizer: Callable[[Iterable[str]], Tokenizer] = part_of("tokenizer", "words")


@dataclasses.dataclass(frozen=True, kw_only=True)
class CaptionerOptions(Seq2SeqOptions):
    """The network.

    Attributes:
      filters: of the first convolution of a frame; each further one has twice those before.
      convolutions: how many, each of which halves the sides of a frame.
      frame_size: size of the vector of a frame.
      cell: the recurrent cell of every layer.
      embedding_size: size of a symbol's vector, and of the attentional vector.
      hidden_size: memory cells in each layer of the decoder, and in each of the encoder in both
        directions together.
      encoder_layers: bidirectional layers of the encoder.
      decoder_layers: layers of the decoder.
      attention: the score (dot, general, concat of Luong), or bahdanau.
      input_feeding: whether a step reads the attentional vector of the step before it; training
        then goes step by step.
      copying: not possible here: frames hold no symbols.
      tie_embedding: use the embedding's matrix in the softmax.
      dropout: share of activations dropped in training, the same for all steps.
      token_dropout: share of symbols dropped in training.
      weight_drop: share of recurrent weights dropped in training.
    """

    filters: PositiveInt = 16
    convolutions: PositiveInt = 3
    frame_size: PositiveInt = 128

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.copying:
            raise ConfigError("copying: frames hold no symbols that could be copied")


@dataclasses.dataclass(frozen=True, kw_only=True)
class CaptionSearch:
    """How the best caption is looked for (see `lstm_jax.models.beam_search`).

    Attributes:
      beam_size: beginnings that are kept at every step; 1 is greedy search.
      length_penalty: 0 prefers short captions, 1 hardly.
      longest: symbols of the longest caption.
    """

    beam_size: PositiveInt = 3
    length_penalty: NonNegativeFloat = 0.6
    longest: PositiveInt = 30


@register("task")
@dataclasses.dataclass(frozen=True, kw_only=True)
class video_captioning:
    """Captioning by an encoder of frames and a decoder with attention.

    Attributes:
      data: clips and sentences.
      model: the network.
      loss: what is minimised.
      search: how the best caption is looked for.
    """

    data: CaptionData
    model: CaptionerOptions
    loss: TranslationLoss
    search: CaptionSearch

    only_training: ClassVar = ("loss", "model.dropout", "model.token_dropout", "model.weight_drop")

    def prepare(self, assets: Path, compute: Compute = FLOAT32) -> tuple[Learner, Dataset]:
        """Reads what clips there are, and makes or takes the tokenizer of the run."""
        require_sacrebleu()
        found, path = self.data.clips, assets / _TOKENIZER
        new = not path.exists()
        tokenizer = self.data.tokenizer(found["train"].labels) if new else load_tokenizer(path)
        dataset = self._dataset(found, tokenizer)
        if new:
            tokenizer.save(path)
        return self._learner(tokenizer, compute), dataset

    def restore(self, assets: Path, compute: Compute = FLOAT32) -> Learner:
        """The learner for the tokenizer of a run."""
        return self._learner(load_tokenizer(assets / _TOKENIZER), compute)

    def network(self, tokenizer: Tokenizer, compute: Compute = FLOAT32) -> VideoCaptioner:
        """The Flax module for a tokenizer; BEGIN and END stand behind its symbols."""
        options = values_of(self.model)
        del options["weight_drop"]  # of the parameters, before the network sees them
        return VideoCaptioner(
            vocabulary_size=len(tokenizer) + 2, dtype=compute.dtype, remat=compute.remat, **options
        )

    def baselines(self, assets: Path) -> dict[str, dict[str, float]]:
        """BLEU of saying the most frequent sentence of the training clips of every clip."""
        del assets
        found = self.data.clips
        ((frequent, _),) = Counter(found["train"].labels).most_common(1)
        return {
            "most frequent sentence": {
                s: scores([frequent] * len(found[s].labels), found[s].labels)["bleu"]
                for s in SPLITS[1:]
            }
        }

    def show(self, assets: Path, params: Any, seed: int) -> str:
        """Captions of some test clips, each with the sentence to reach."""
        test = self.data.clips["test"]
        chosen = np.random.default_rng(seed).permutation(len(test.names))[:_SHOWN]
        shown = test.take(chosen)
        found = self.captions(assets, params, shown)
        return "\n".join(
            f"{text}\n  ({label})" for text, label in zip(found, shown.labels, strict=True)
        )

    def draw(self, assets: Path, params: Any, figures: Path) -> None:
        """Some test clips with their captions."""
        test = self.data.clips["test"]
        shown = test.take(range(min(_SHOWN, len(test.names))))
        found = self.captions(assets, params, shown)
        draw_captions(shown.load, shown.labels, found, figures / "captions.png")

    def predict_file(self, assets: Path, params: Any, path: str) -> Iterator[Mapping[str, Any]]:
        """The caption of a video, or of every video of a folder."""
        clips = self.data.source.read_file("--input", Path(path).expanduser())
        tell(clips.notes)
        captions = self.captions(assets, params, clips)
        for name, text in zip(clips.names, captions, strict=True):
            yield {"file": name, "caption": " ".join(text.splitlines())}

    def captions(self, assets: Path, params: Any, clips: Clips) -> list[str]:
        """The likeliest caption of every clip."""
        tokenizer = load_tokenizer(assets / _TOKENIZER)
        batches = self.data.batches(clips, _no_classes(clips), self.data.evaluation_batch_size)
        return self._said(self.network(tokenizer), tokenizer, params, batches)

    def commands(self) -> Mapping[str, str]:
        """The commands for a finished run."""
        return {"predict": "caption a video, or the videos of a folder, with --input=file"}

    def _said(
        self, network: VideoCaptioner, tokenizer: Tokenizer, params: Any, batches: ClipBatches
    ) -> list[str]:
        longest, found = self.search.longest, []
        for i in range(len(batches)):
            batch = batches[i]
            limits = np.full(len(batch["valid"]), longest + 1, np.int32)  # END counts
            said = search(
                network, self.search.beam_size, longest + 1, params, batch["clips"],
                batch["clips_lengths"], limits, self.search.length_penalty, 0.0,
            )  # fmt: skip
            tokens, lengths = np.asarray(said.tokens), np.asarray(said.lengths)
            found += [
                tokenizer.decode(tokens[row, : lengths[row]]).strip()
                for row in np.flatnonzero(batch["valid"])
            ]
        return found

    def _dataset(self, found: Mapping[str, Clips], tokenizer: Tokenizer) -> Dataset:
        data = self.data
        end = np.array([len(tokenizer) + 1], np.int32)

        def captioned(split: str, batch_size: int, seed: int | None = None) -> CaptionBatches:
            clips = found[split]
            targets = [np.concatenate([tokenizer.encode(text).ids, end]) for text in clips.labels]
            made = data.batches(clips, _no_classes(clips), batch_size, seed=seed, keep=True)
            return CaptionBatches(made, targets, clips.labels)

        train = captioned("train", data.batch_size, data.seed)
        splits = {split: captioned(split, data.evaluation_batch_size) for split in SPLITS}
        sizes = ", ".join(f"{len(found[split].names):,} {split}" for split in SPLITS)
        return Dataset(
            train=train,
            splits=splits,
            batch_size=data.batch_size,
            evaluation_batch_size=data.evaluation_batch_size,
            units=("clips", float(data.batch_size)),
            fingerprint=joint_fingerprint((train, *splits.values())),
            notes=[
                f"{sizes} clips; {len(tokenizer):,} symbols",
                *(note for clips in found.values() for note in clips.notes),
            ],
        )

    def _learner(self, tokenizer: Tokenizer, compute: Compute) -> Learner:
        network, size = self.network(tokenizer, compute), self.data.source.size

        def init(key: Array) -> Any:
            one = jnp.ones((1, 1), jnp.int32)
            clip = jnp.zeros((1, 1, *size), jnp.uint8)
            return network.init(key, clip, jnp.ones(1, jnp.int32), one)["params"]

        def initial_carry(params: Any, batch_size: int) -> Any:
            del params, batch_size
            return {"steps": jnp.int32(0)} if self.loss.sampling_rate else ()

        def score(params: Any, batches: Any) -> dict[str, float]:
            found = self._said(network, tokenizer, params, batches.clips)
            exact = np.mean([a == b for a, b in zip(found, batches.texts, strict=True)])
            return {**scores(found, batches.texts), "exact": float(exact)}

        loss = functools.partial(train_loss, network, self.loss, self.model.weight_drop)
        return Learner(
            init,
            initial_carry,
            loss,
            _summarize,
            (*metrics(), _EXACT, PERPLEXITY),
            weight="symbols",
            score=score,
        )


def _no_classes(clips: Clips) -> np.ndarray:
    return np.zeros(len(clips.names), np.int32)


def _summarize(sums: Mapping[str, float]) -> dict[str, float]:
    nats = sums["nats"] / sums["symbols"]
    return {"loss": nats, "perplexity": perplexity(nats)}
