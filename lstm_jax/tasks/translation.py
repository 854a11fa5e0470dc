"""Translation: from a text in one language to a text in another."""

import dataclasses
import functools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal

import jax
import jax.numpy as jnp
import numpy as np

from lstm_jax.cells import Cell, weight_drop
from lstm_jax.config import (
    Fraction,
    PositiveInt,
    Rate,
    Seed,
    part_of,
    parts_of,
    register,
    values_of,
)
from lstm_jax.data.bucketing import BucketedBatches, best_bounds, longest_of
from lstm_jax.data.held_out import SPLITS
from lstm_jax.data.joint_fingerprint import joint_fingerprint
from lstm_jax.data.pairs import Pairs, PairSource
from lstm_jax.data.text_steps import apply_steps
from lstm_jax.data.tokenizers import UNKNOWN, Tokenizer, load_tokenizer
from lstm_jax.errors import ConfigError, UserError
from lstm_jax.models.seq2seq import Seq2Seq
from lstm_jax.tasks.perplexity import PERPLEXITY, perplexity
from lstm_jax.tasks.sized_cell import sized_cell
from lstm_jax.tasks.task import FLOAT32, Array, Batch, Compute, Dataset, Learner, Sums
from lstm_jax.tasks.translation_figures import draw_attention
from lstm_jax.tasks.translation_scores import metrics, require_sacrebleu, scores
from lstm_jax.tasks.translator import SearchOptions, Translator

_TOKENIZER = "tokenizer.json"
_SHOWN = 5  # examples at the end of a run


@dataclasses.dataclass(frozen=True, kw_only=True)
class PairData:
    """Where the pairs come from and how they become batches.

    Attributes:
      source: where pairs of texts come from.
      steps: what is done to every text, of both languages, before it is cut into symbols.
      tokenizer: what a symbol is; one for both languages.
      max_length: symbols of the longest training text; pairs with a longer one are left out.
      batch_size: pairs in a step.
      evaluation_batch_size: pairs in a batch of an evaluation.
      buckets: lengths to which batches are padded; each is compiled once.
      seed: of the order of the pairs.
    """

    source: PairSource = part_of("pair_source", "tsv_pairs", inline=True)
    steps: Sequence[Callable[[str], str]] = parts_of("text_step")
    tokenizer: Callable[[Iterable[str]], Tokenizer] = part_of("tokenizer", "bpe")
    max_length: PositiveInt = 100
    batch_size: PositiveInt = 64
    evaluation_batch_size: PositiveInt = 64
    buckets: PositiveInt = 8
    seed: Seed = 0


@dataclasses.dataclass(frozen=True, kw_only=True)
class Seq2SeqOptions:
    """The network.

    Attributes:
      cell: the recurrent cell of every layer.
      embedding_size: size of a symbol's vector, and of the attentional vector.
      hidden_size: memory cells in each layer of the decoder, and in each of the encoder in both
        directions together.
      encoder_layers: bidirectional layers of the encoder.
      decoder_layers: layers of the decoder.
      attention: the score (dot, general, concat of Luong), or bahdanau.
      input_feeding: whether a step reads the attentional vector of the step before it; training
        then goes step by step.
      copying: whether symbols may be copied from the source.
      tie_embedding: use the embedding's matrix in the softmax.
      dropout: share of activations dropped in training, the same for all steps.
      token_dropout: share of symbols dropped in training.
      weight_drop: share of recurrent weights dropped in training.
    """

    cell: Callable[[int], Cell] = part_of("cell", "lstm")
    embedding_size: PositiveInt = 256
    hidden_size: PositiveInt = 512
    encoder_layers: PositiveInt = 1
    decoder_layers: PositiveInt = 1
    attention: Literal["dot", "general", "concat", "bahdanau"] = "general"
    input_feeding: bool = False
    copying: bool = False
    tie_embedding: bool = True
    dropout: Rate = 0.3
    token_dropout: Rate = 0.0
    weight_drop: Rate = 0.0

    def __post_init__(self) -> None:
        if self.hidden_size % 2:
            raise ConfigError(f"hidden_size: must be even, got {self.hidden_size}")
        if self.attention == "bahdanau" and self.input_feeding:
            raise ConfigError("input_feeding: bahdanau has none, it feeds what attention found")
        both = (self.hidden_size // 2, self.hidden_size)
        sizes = [sized_cell(self.cell, size).output_size for size in both]
        if self.attention == "dot" and 2 * sizes[0] != sizes[1]:
            raise ConfigError(
                "attention: dot needs encoder and decoder outputs of one size, got "
                f"{2 * sizes[0]} and {sizes[1]}"
            )


@dataclasses.dataclass(frozen=True, kw_only=True)
class TranslationLoss:
    """What is minimised, and from which inputs.

    Attributes:
      label_smoothing: share of the target that is spread over all symbols.
      sampling_rate: share of the decoder's inputs that are what it finds likeliest itself, in the
        end ("scheduled sampling": S. Bengio et al., arXiv 1506.03099); 0 for none. All are found
        in one more pass of the decoder.
      sampling_steps: steps over which that share rises to its end from zero.
    """

    label_smoothing: Fraction = 0.1
    sampling_rate: Rate = 0.0
    sampling_steps: PositiveInt = 10_000


class _Pairs(BucketedBatches):
    """Batches that know their texts: figures of translations compare texts.

    Attributes:
      texts: (source, target) of every row.
      sources: the symbols of every source.
      target_symbols: how many there are in all targets, each with END.
    """

    texts: Sequence[tuple[str, str]]
    sources: Sequence[np.ndarray]
    target_symbols: int


@register("task")
@dataclasses.dataclass(frozen=True, kw_only=True)
class translation:
    """Translation by an encoder and a decoder with attention.

    Attributes:
      data: the pairs of texts.
      model: the network.
      loss: what is minimised.
      search: how the best translation is looked for.
    """

    data: PairData
    model: Seq2SeqOptions
    loss: TranslationLoss
    search: SearchOptions

    only_training: ClassVar = ("loss", "model.dropout", "model.token_dropout", "model.weight_drop")

    def prepare(self, assets: Path, compute: Compute = FLOAT32) -> tuple[Learner, Dataset]:
        """Reads the pairs, and makes or takes the tokenizer of the run."""
        require_sacrebleu()
        pairs = self._pairs()
        path = assets / _TOKENIZER
        if path.exists():
            tokenizer = load_tokenizer(path)
        else:
            tokenizer = self.data.tokenizer([text for pair in pairs["train"] for text in pair])
        dataset = self._dataset(pairs, tokenizer)
        if not path.exists():
            tokenizer.save(path)
        return self._learner(tokenizer, compute), dataset

    def restore(self, assets: Path, compute: Compute = FLOAT32) -> Learner:
        """The learner for the tokenizer of a run."""
        return self._learner(self.tokenizer(assets), compute)

    def tokenizer(self, assets: Path) -> Tokenizer:
        """The tokenizer of a run."""
        return load_tokenizer(assets / _TOKENIZER)

    def network(self, tokenizer: Tokenizer, compute: Compute = FLOAT32) -> Seq2Seq:
        """The Flax module for a tokenizer; BEGIN and END stand behind its symbols."""
        options = values_of(self.model)
        del options["weight_drop"]  # of the parameters, before the network sees them
        return Seq2Seq(
            vocabulary_size=len(tokenizer) + 2, dtype=compute.dtype, remat=compute.remat, **options
        )

    def translator(self, assets: Path, params: Any) -> Translator:
        """What translates texts with the parameters of a run."""
        tokenizer = self.tokenizer(assets)
        return Translator(self.network(tokenizer), tokenizer, self.search, params)

    def baselines(self, assets: Path) -> dict[str, dict[str, float]]:
        """BLEU of the source as it is."""
        del assets
        pairs, copied = self._pairs(), {}
        for split in SPLITS[1:]:
            sources, targets = zip(*pairs[split], strict=True)
            copied[split] = scores(sources, targets)["bleu"]
        return {"copying the source": copied}

    def show(self, assets: Path, params: Any, seed: int) -> str:
        """Some sources of the test split, each with its translation and the one to reach."""
        pairs = self._pairs()["test"]
        chosen = np.random.default_rng(seed).permutation(len(pairs))[:_SHOWN]
        shown = [pairs[i] for i in chosen]
        found = self.translator(assets, params).translate([source for source, _ in shown])
        return "\n\n".join(
            f"{source}\n  {text}\n  ({target})"
            for (source, target), text in zip(shown, found, strict=True)
        )

    def draw(self, assets: Path, params: Any, figures: Path) -> None:
        """Where the decoder looked, for some sources of the test split."""
        translator = self.translator(assets, params)
        pairs = self._pairs()["test"]
        chosen = np.random.default_rng(0).permutation(len(pairs))[:_SHOWN]
        for number, i in enumerate(sorted(chosen), start=1):
            draw_attention(translator, pairs[i][0], figures / f"attention_{number}.png")

    def predict(
        self, assets: Path, params: Any, lines: Sequence[str]
    ) -> Iterator[Mapping[str, Any]]:
        """The translation of every line, in order."""
        translator = self.translator(assets, params)
        for text in translator.translate([self._clean(line) for line in lines]):
            # One line for each: a model may have learnt to write line breaks.
            yield {"translation": " ".join(text.splitlines())}

    def commands(self) -> Mapping[str, str]:
        """The commands for a finished run."""
        return {"predict": "translate lines, for instance with --input=file, or - for a pipe"}

    def _clean(self, text: str) -> str:
        return apply_steps(text, self.data.steps)

    def _pairs(self) -> Pairs:
        """The pairs after the pipeline's steps."""
        found = self.data.source()
        cleaned = {
            split: [(self._clean(source), self._clean(target)) for source, target in found[split]]
            for split in SPLITS
        }
        for split, pairs in cleaned.items():
            if not pairs:
                raise UserError(f"data: the {split} split has no pairs")
        return cleaned

    def _dataset(self, pairs: Pairs, tokenizer: Tokenizer) -> Dataset:
        data, notes = self.data, []
        encoded = {split: self._encode(pairs[split], tokenizer) for split in SPLITS}
        train, dropped = self._batches(
            pairs["train"], encoded["train"], data.batch_size, data.seed, data.max_length
        )
        if dropped:
            notes.append(
                f"train: {dropped:,} of {len(pairs['train']):,} pairs have a text of more than "
                f"{data.max_length:,} {tokenizer.units} and were left out"
            )
        splits = {
            split: self._batches(pairs[split], encoded[split], data.evaluation_batch_size)[0]
            for split in SPLITS
        }
        for split, batches in splits.items():
            notes += _notes(split, batches, tokenizer)
        sizes = ", ".join(f"{len(pairs[split]):,} {split}" for split in SPLITS)
        return Dataset(
            train=train,
            splits=splits,
            batch_size=data.batch_size,
            evaluation_batch_size=data.evaluation_batch_size,
            units=(f"target {tokenizer.units}", train.target_symbols / len(train)),
            fingerprint=joint_fingerprint((train, *splits.values())),
            notes=[
                f"{sizes} pairs; {len(tokenizer):,} symbols",
                f"batches of {train.bounds} {tokenizer.units}, {train.padding:.0%} of it padding",
                *notes,
            ],
        )

    def _encode(
        self, pairs: Sequence[tuple[str, str]], tokenizer: Tokenizer
    ) -> list[tuple[np.ndarray, np.ndarray]]:
        """Sources and targets as symbols, each target with END."""
        end = np.array([len(tokenizer) + 1], np.int32)
        return [
            (tokenizer.encode(source).ids, np.concatenate([tokenizer.encode(target).ids, end]))
            for source, target in pairs
        ]

    def _batches(
        self,
        pairs: Sequence[tuple[str, str]],
        encoded: Sequence[tuple[np.ndarray, np.ndarray]],
        batch_size: int,
        seed: int | None = None,
        max_length: int | None = None,
    ) -> tuple[_Pairs, int]:
        """The batches, and how many pairs were left out of them."""
        kept = [
            i
            for i, (source, target) in enumerate(encoded)
            if max_length is None or max(len(source), len(target) - 1) <= max_length
        ]
        if not kept:
            raise UserError(
                f"data.max_length: no training pair has texts of at most {max_length} symbols"
            )
        sequences = {
            "source": [encoded[i][0] for i in kept],
            "target": [encoded[i][1] for i in kept],
        }
        bounds = best_bounds(longest_of(sequences), self.data.buckets, multiple=4)
        batches = _Pairs(sequences, {}, batch_size=batch_size, bounds=bounds, seed=seed)
        batches.texts = [pairs[i] for i in kept]
        batches.sources = sequences["source"]
        batches.target_symbols = sum(map(len, sequences["target"]))
        return batches, len(pairs) - len(kept)

    def _learner(self, tokenizer: Tokenizer, compute: Compute) -> Learner:
        network = self.network(tokenizer, compute)

        def init(key: Array) -> Any:
            one = jnp.ones((1, 1), jnp.int32)
            return network.init(key, one, jnp.ones(1, jnp.int32), one)["params"]

        def initial_carry(params: Any, batch_size: int) -> Any:
            del params, batch_size
            return {"steps": jnp.int32(0)} if self.loss.sampling_rate else ()

        def score(params: Any, batches: Any) -> dict[str, float]:
            translator = Translator(network, tokenizer, self.search, params)
            found = translator.translate_ids(batches.sources)
            return scores(
                [tokenizer.decode(ids) for ids in found], [target for _, target in batches.texts]
            )

        loss = functools.partial(train_loss, network, self.loss, self.model.weight_drop)
        return Learner(
            init,
            initial_carry,
            loss,
            _summarize,
            (*metrics(), PERPLEXITY),
            weight="symbols",
            score=score,
        )


def train_loss(
    network: Seq2Seq,
    options: TranslationLoss,
    dropped_weights: float,
    params: Any,
    carry: Any,
    batch: Batch,
    key: Array | None,
) -> tuple[Array, Any, Sums]:
    """The loss of a batch, as a `Learner` has it, and the sums of its figures.

    Args:
      network: the model.
      options: what is minimised.
      dropped_weights: share of the recurrent weights that are dropped.
      params: the parameters.
      carry: the steps that were done, if inputs are sampled.
      batch: as `BucketedBatches` has it, each `target` with END.
      key: randomness; None for an evaluation.
    """
    source, targets = batch["source"], batch["target"]
    begin = jnp.full_like(targets[:, :1], network.vocabulary_size - 2)
    inputs = jnp.concatenate([begin, targets[:, :-1]], axis=1)
    noise: dict[str, Any] = {"deterministic": key is None}
    if key is not None:
        dropout, sampling, weights_key = jax.random.split(key, 3)
        noise["rngs"] = {"dropout": dropout, "sampling": sampling}
        if dropped_weights:
            params = weight_drop(weights_key, params, dropped_weights)
        if options.sampling_rate:
            share = jnp.minimum(carry["steps"] / options.sampling_steps, 1.0)
            noise["sampled_share"] = share * options.sampling_rate
            carry = {"steps": carry["steps"] + 1}
    vectors, weights = _apply(network, params, source, batch["source_lengths"], inputs, **noise)
    mask = jnp.arange(targets.shape[1]) < batch["target_lengths"][:, None]
    right, mean = _apply(
        network, params, source, vectors, weights, targets, mask, method="log_likelihood"
    )
    sums = {
        "nats": -jnp.sum(right),
        "symbols": jnp.sum(mask, dtype=jnp.float32),
    }
    smoothing = 0.0 if key is None else options.label_smoothing
    smoothed = (1 - smoothing) * sums["nats"] - smoothing * jnp.sum(mean)
    return smoothed / jnp.maximum(sums["symbols"], 1), carry, sums


def _apply(network: Seq2Seq, params: Any, *arguments: Any, **options: Any) -> Any:
    return network.apply({"params": params}, *arguments, **options)


def _summarize(sums: Mapping[str, float]) -> dict[str, float]:
    nats = sums["nats"] / sums["symbols"]
    return {"loss": nats, "perplexity": perplexity(nats)}


def _notes(split: str, batches: _Pairs, tokenizer: Tokenizer) -> list[str]:
    notes = []
    encoded = batches.sources
    unknown = sum(int((ids == UNKNOWN).sum()) for ids in encoded)
    empty = sum(not len(ids) for ids in encoded)
    if unknown:
        total = sum(map(len, encoded))
        notes.append(
            f"{split}: {unknown:,} of {total:,} {tokenizer.units} of the sources are unknown"
        )
    if empty:
        notes.append(f"{split}: {empty:,} of {len(encoded):,} sources are empty")
    return notes
