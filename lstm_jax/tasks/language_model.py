"""Language modelling: predict every next symbol of a text."""

import dataclasses
import functools
import hashlib
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import jax
import jax.numpy as jnp

from lstm_jax.cells import Cell, weight_drop
from lstm_jax.config import (
    LayerCount,
    NonNegativeFloat,
    PositiveInt,
    Range,
    Rate,
    Seed,
    part_of,
    parts_of,
    register,
    values_of,
)
from lstm_jax.data.held_out import SPLITS
from lstm_jax.data.sources import Source
from lstm_jax.data.streams import RandomWindows, StreamWindows
from lstm_jax.data.text_steps import apply_steps
from lstm_jax.data.tokenizers import UNKNOWN, Encoded, Tokenizer, load_tokenizer
from lstm_jax.errors import ConfigError, UserError
from lstm_jax.models.heads import HeadFactory, HeadShape
from lstm_jax.models.language_model import LanguageModel, Regularization, Scores, score
from lstm_jax.tasks.generation import generate, shown
from lstm_jax.tasks.perplexity import PERPLEXITY, perplexity
from lstm_jax.tasks.sized_cell import sized_cell
from lstm_jax.tasks.task import FLOAT32, Array, Batch, Compute, Dataset, Learner, Metric, Sums
from lstm_jax.tasks.text_baselines import text_baselines

_BITS = Metric("bits_per_character", "bits per character")
_ACCURACY = Metric("accuracy", "accuracy of the next symbol", lower_is_better=False)
_VOCABULARY = "vocabulary.json"
_DOCUMENT_BREAK = "\n\n\n"
_MANY_SYMBOLS = 2**31  # a vocabulary that no head's options are too big for
_EVALUATION_WINDOW = 512  # symbols a compiled call; the carry goes on, so it changes no figure


@dataclasses.dataclass(frozen=True, kw_only=True)
class TextData:
    """Where the text comes from and how it is cut.

    Attributes:
      source: where the text comes from.
      steps: what is done to every document before it is cut into symbols.
      tokenizer: what a symbol is.
      vocabulary_from: the text whose symbols are counted: that of the training split, or all of
        it, as in experiments of old; a figure then says less of text that nobody has seen.
      batch_size: contiguous streams trained side by side.
      window: symbols of each stream between two updates, the length of back-propagation.
      random_windows: whether lengths are drawn, most near `window` and one in twenty near half of
        it, and the learning rate of each step is scaled by its length.
      window_seed: of these lengths.
      evaluation_batch_size: streams at evaluation; 1 carries state through the whole text.
      baselines: whether xz and an n-gram are computed for the same text.
    """

    source: Source = part_of("source", "python_docs", inline=True)
    steps: Sequence[Callable[[str], str]] = parts_of("text_step")
    tokenizer: Callable[[Iterable[str]], Tokenizer] = part_of("tokenizer", "characters")
    vocabulary_from: Literal["train", "all"] = "train"
    batch_size: PositiveInt = 16
    window: PositiveInt = 64
    random_windows: bool = False
    window_seed: Seed = 0
    evaluation_batch_size: PositiveInt = 1
    baselines: bool = True


@dataclasses.dataclass(frozen=True, kw_only=True)
class ModelOptions:
    """The network.

    Attributes:
      cell: the recurrent cell of every layer.
      embedding_size: size of a symbol's vector.
      hidden_size: memory cells in each layer.
      num_layers: recurrent layers.
      last_size: memory cells in the last layer; hidden_size if None.
      dropout: share of activations dropped between layers in training, at every step anew.
      regularization: what else keeps the network from fitting too well.
      head: from the last layer to the probabilities of symbols.
      tie_embedding: use the embedding's matrix in the head.
    """

    cell: Callable[[int], Cell] = part_of("cell", "lstm")
    embedding_size: PositiveInt = 64
    hidden_size: PositiveInt = 256
    num_layers: LayerCount = 2
    last_size: PositiveInt | None = None
    dropout: Rate = 0.0
    regularization: Regularization
    head: HeadFactory = part_of("head", "softmax")
    tie_embedding: bool = False

    def __post_init__(self) -> None:
        cell = sized_cell(self.cell, self.last_size or self.hidden_size)
        try:
            if self.regularization.weights:
                params = jax.eval_shape(lambda key: cell.init(key, 1), jax.random.key(0))
                weight_drop(None, params, self.regularization.weights)
        except ValueError as error:
            raise ConfigError(f"cell: {error}") from None
        self.require_head(_MANY_SYMBOLS, cell.output_size)

    def require_head(self, vocabulary_size: int, features: int = 0) -> None:
        """Raises a ConfigError if the head does not fit a vocabulary.

        Args:
          vocabulary_size: how many symbols there are.
          features: size of what the head reads; that of the last layer, if 0.
        """
        features = features or self.cell(self.last_size or self.hidden_size).output_size
        try:
            self.head(HeadShape(vocabulary_size, features, self.embedding_size, self.tie_embedding))
        except ValueError as error:
            raise ConfigError(f"head: {error}") from None


@dataclasses.dataclass(frozen=True, kw_only=True)
class SampleOptions:
    """The text written at the end of a run.

    Attributes:
      length: symbols to write; 0 for none.
      temperature: below 1 safer, above 1 wilder; 0 always takes the likeliest symbol.
      prompt: text to begin with.
    """

    length: Annotated[int, Range(0, 1_000_000)] = 400
    temperature: NonNegativeFloat = 0.7
    prompt: str = "The "


@register("task")
@dataclasses.dataclass(frozen=True, kw_only=True)
class language_model:
    """Language modelling with truncated back-propagation through time.

    The text is read as contiguous streams; the carry is handed from window to window and starts
    anew with every epoch. Held-out text is evaluated with the carry handed through all of it.

    Attributes:
      data: the text.
      model: the network.
      sample: the text written at the end of a run.
    """

    data: TextData
    model: ModelOptions
    sample: SampleOptions

    def prepare(self, assets: Path, compute: Compute = FLOAT32) -> tuple[Learner, Dataset]:
        """Reads the text, and makes or takes the vocabulary of the run."""
        texts = self._texts()
        path = assets / _VOCABULARY
        if path.exists():
            vocabulary = load_tokenizer(path)
        else:
            splits = SPLITS if self.data.vocabulary_from == "all" else ("train",)
            vocabulary = self.data.tokenizer([texts[split] for split in splits])
        dataset = self._dataset(texts, vocabulary)
        if not path.exists():
            vocabulary.save(path)
        return self._learner(vocabulary, compute), dataset

    def restore(self, assets: Path, compute: Compute = FLOAT32) -> Learner:
        """The learner for the vocabulary of a run."""
        return self._learner(self.vocabulary(assets), compute)

    def vocabulary(self, assets: Path) -> Tokenizer:
        """The vocabulary of a run."""
        return load_tokenizer(assets / _VOCABULARY)

    def encoded(self, assets: Path) -> dict[str, Encoded]:
        """The text of every split as numbers, by the vocabulary of a run."""
        vocabulary = self.vocabulary(assets)
        return {split: vocabulary.encode(text) for split, text in self._texts().items()}

    def network(self, vocabulary: Tokenizer, compute: Compute = FLOAT32) -> LanguageModel:
        """The Flax module for a vocabulary.

        Raises:
          ConfigError: the head does not fit the vocabulary.
        """
        try:
            self.model.require_head(len(vocabulary))
        except ConfigError as error:
            raise ConfigError([f"model.{problem}" for problem in error.problems]) from None
        return LanguageModel(
            vocabulary_size=len(vocabulary),
            dtype=compute.dtype,
            remat=compute.remat,
            **values_of(self.model),
        )

    def clean(self, text: str) -> str:
        """The text after the pipeline's steps."""
        return apply_steps(text, self.data.steps)

    def baselines(self, assets: Path) -> dict[str, dict[str, float]]:
        """Bits per character of xz and of a 5-gram; empty when switched off or much too long."""
        texts = self._texts()
        return {} if not self.data.baselines else text_baselines(texts, self.vocabulary(assets))

    def show(self, assets: Path, params: Any, seed: int) -> str:
        """A text by the model."""
        if not self.sample.length:
            return ""
        vocabulary = self.vocabulary(assets)
        pieces = generate(
            self.network(vocabulary),
            params,
            vocabulary,
            prompt=self.clean(self.sample.prompt),
            length=self.sample.length,
            temperature=self.sample.temperature,
            seed=seed,
        )
        return shown(self.sample.prompt, vocabulary) + "".join(piece[0] for piece in pieces)

    def commands(self) -> Mapping[str, str]:
        """The commands for a finished run."""
        return {"generate": 'write text, for instance with --prompt="The " --temperature=0.8'}

    def _texts(self) -> dict[str, str]:
        documents = self.data.source()
        return {split: _DOCUMENT_BREAK.join(map(self.clean, documents[split])) for split in SPLITS}

    def _dataset(self, texts: Mapping[str, str], vocabulary: Tokenizer) -> Dataset:
        data, units = self.data, vocabulary.units
        encoded = {split: vocabulary.encode(text) for split, text in texts.items()}
        self._require_length({split: len(text.ids) for split, text in encoded.items()}, units)
        window = max(data.window, _EVALUATION_WINDOW)
        cut = (data.batch_size, data.window)
        train = StreamWindows(encoded["train"], *cut)
        if data.random_windows:
            cut = (*cut, data.window_seed)
            train = RandomWindows(encoded["train"], *cut)
        return Dataset(
            train=train,
            splits={
                split: StreamWindows(text, data.evaluation_batch_size, window)
                for split, text in encoded.items()
            },
            batch_size=data.batch_size,
            evaluation_batch_size=data.evaluation_batch_size,
            units=(units, (len(encoded["train"].ids) - 1) / len(train)),
            fingerprint=_fingerprint(encoded, cut),
            notes=_notes(encoded, units, len(vocabulary)),
        )

    def _require_length(self, lengths: Mapping[str, int], units: str) -> None:
        streams, window = self.data.batch_size, self.data.window
        if lengths["train"] < streams * window + 1:
            raise UserError(
                f"the training text is too short: {lengths['train']:,} {units}, and one window of "
                f"every stream needs {streams} x {window} + 1 = {streams * window + 1:,}; use more "
                "text, or a smaller data.batch_size or data.window"
            )
        for split, length in lengths.items():
            if length <= self.data.evaluation_batch_size:
                raise UserError(
                    f"the {split} text is too short: {length:,} {units}; at least "
                    f"{self.data.evaluation_batch_size + 1:,} are needed"
                )

    def _learner(self, vocabulary: Tokenizer, compute: Compute) -> Learner:
        network = self.network(vocabulary, compute)
        random_windows = self.data.random_windows

        def init(key: Array) -> Any:
            return network.init(key, jnp.zeros((1, 1), jnp.int32))["params"]

        def initial_carry(params: Any, batch_size: int) -> Any:
            return network.apply({"params": params}, batch_size, method="initial_carry")

        def loss(
            params: Any, carry: Any, batch: Batch, key: Array | None
        ) -> tuple[Array, Any, Sums]:
            anew = initial_carry(params, batch["inputs"].shape[0])
            carry = jax.tree.map(lambda a, c: jnp.where(batch["start"], a, c), anew, carry)
            # Windows of one length need none: only the last of an epoch is padded, and no other
            # goes on from its carry.
            ends = jnp.sum(batch["mask"], axis=1) if random_windows else None
            carry, scores = score(
                network,
                params,
                batch["inputs"],
                batch["targets"],
                batch["mask"],
                carry,
                lengths=ends,
                deterministic=key is None,
                rngs=None if key is None else {"dropout": key},
            )
            return _loss(scores, carry, batch)

        # A word model need not spell the words it does not know, so that bits per character would
        # flatter it: the fewer words it knows, the more.
        with_bits = vocabulary.units != "words"
        metrics = (PERPLEXITY, _ACCURACY)
        if with_bits:
            metrics = (_BITS, *metrics)
        summarize = functools.partial(_summarize, with_bits=with_bits)
        full = float(self.data.batch_size * self.data.window) if random_windows else None
        return Learner(
            init, initial_carry, loss, summarize, metrics, weight="symbols", full_weight=full
        )


def _loss(scores: Scores, carry: Any, batch: Batch) -> tuple[Array, Any, Sums]:
    mask = batch["mask"]
    sums = {
        "nats": jnp.sum(scores.nats * mask),
        "symbols": jnp.sum(mask, dtype=jnp.float32),
        "right": jnp.sum(scores.right & mask, dtype=jnp.float32),
        "characters": jnp.sum(batch["characters"]).astype(jnp.float32),
    }
    return sums["nats"] / jnp.maximum(sums["symbols"], 1) + scores.penalty, carry, sums


def _summarize(sums: Mapping[str, float], with_bits: bool) -> dict[str, float]:
    nats = sums["nats"] / sums["symbols"]
    values = {"loss": nats}
    if with_bits:
        values["bits_per_character"] = sums["nats"] / math.log(2) / max(sums["characters"], 1)
    return values | {"perplexity": perplexity(nats), "accuracy": sums["right"] / sums["symbols"]}


def _fingerprint(encoded: Mapping[str, Encoded], cut: Sequence[int]) -> str:
    digest = hashlib.sha256(" ".join(map(str, cut)).encode())
    for split in SPLITS:
        digest.update(f"{split} {len(encoded[split].ids)}".encode())
        digest.update(encoded[split].ids.tobytes())
    return digest.hexdigest()


def _notes(encoded: Mapping[str, Encoded], units: str, symbols: int) -> list[str]:
    sizes = ", ".join(f"{len(text.ids):,} {split}" for split, text in encoded.items())
    notes = [f"{sizes} {units}; {symbols:,} symbols"]
    for split, text in encoded.items():
        unknown = int((text.ids == UNKNOWN).sum())
        if unknown:
            notes.append(f"{split}: {unknown:,} of {len(text.ids):,} {units} are unknown symbols")
    return notes
