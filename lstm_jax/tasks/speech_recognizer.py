"""Features of speech turned into text with a trained network: by the best path and by a search."""

import dataclasses
import functools
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, cast

import jax
import jax.numpy as jnp
import numpy as np

from lstm_jax.config import NonNegativeFloat, PositiveInt, Range
from lstm_jax.data.audio_features import normalized
from lstm_jax.data.bucketing import BucketedBatches
from lstm_jax.data.feature_scale import FeatureScale
from lstm_jax.data.files import read_text
from lstm_jax.data.tokenizers import Tokenizer
from lstm_jax.errors import UserError
from lstm_jax.models.attentive_recognizer import AttentiveRecognizer
from lstm_jax.models.attentive_search import rescored, spell
from lstm_jax.models.ctc import BLANK, best_path
from lstm_jax.models.ctc_search import search
from lstm_jax.models.speech_recognizer import SpeechRecognizer, apply
from lstm_jax.models.text_scorers import Scorer, ngram_scorer, no_scorer, weighted, word_list
from lstm_jax.tasks.task import Array


@dataclasses.dataclass(frozen=True, kw_only=True)
class SpeechSearch:
    """How the likeliest text is looked for.

    By CTC (`lstm_jax.models.ctc_search`), by a decoder with attention that the model has, or by CTC
    with what the decoder says of all texts in the beam (`lstm_jax.models.attentive_search`).

    Attributes:
      by: ctc or attention: what looks for texts.
      attention_weight: what a nat of the decoder counts for the texts that CTC has found, where one
        of CTC is 1; it is not asked, if 0.
      length_penalty: of a search by attention: 0 prefers short texts, 1 hardly.
      beam_size: prefixes that are kept at every step.
      ngram_order: length of the longest n-gram of symbols in the language model, a Kneser-Ney one
        of the training transcripts; 0 for no language model.
      texts: files with a text a line, which the n-gram learns from as well; what the tokenizer does
        not know is passed over.
      transcripts_count: how often each transcript counts among them.
      language_weight: what a nat of the language model counts, where one of the network is 1.
      language_model: the folder of a run of language modelling on characters, which is asked too;
        the text between two line breaks of what it learnt from should be like a transcript.
      language_model_weight: what a nat of that one counts.
      bonus: nats that every symbol is worth in a search by CTC.
      words: a file with a word a line; only these are found, if it is named.
      batch_size: recordings that are searched side by side.
    """

    by: Literal["ctc", "attention"] = "ctc"
    attention_weight: NonNegativeFloat = 0.0
    length_penalty: NonNegativeFloat = 0.6
    beam_size: PositiveInt = 16
    ngram_order: Annotated[int, Range(0, 20)] = 6
    texts: tuple[str, ...] = ()
    transcripts_count: PositiveInt = 1
    language_weight: NonNegativeFloat = 0.5
    language_model: str | None = None
    language_model_weight: NonNegativeFloat = 0.5
    bonus: NonNegativeFloat = 0.5
    words: str | None = None
    batch_size: PositiveInt = 16

    @property
    def needs_decoder(self) -> bool:
        """Whether a decoder with attention is asked."""
        return self.by == "attention" or self.attention_weight > 0


class Transcripts(NamedTuple):
    """What was found in recordings.

    Attributes:
      texts: by the search.
      greedy: what the best path of each collapses to, no language model asked.
    """

    texts: list[str]
    greedy: list[str]


class Recognizer:
    """Turns features into text.

    Attributes:
      network: the model.
      tokenizer: its symbols; number 0, which stands for all it does not know, is the blank.
      scale: of the training set; None if features need none.
      scorer: of texts.
      options: how to search.
    """

    def __init__(
        self,
        network: SpeechRecognizer,
        tokenizer: Tokenizer,
        scale: FeatureScale | None,
        scorer: Scorer,
        options: SpeechSearch,
    ):
        self.network, self.tokenizer, self.scale = network, tokenizer, scale
        self.scorer, self.options = scorer, options

    def transcribe(self, params: Any, sequences: Sequence[np.ndarray]) -> Transcripts:
        """The text of every sequence of features [frames, features], in order."""
        found, greedy = [""] * len(sequences), [""] * len(sequences)
        for batch in self._batches(sequences):
            paths, texts = self._search(params, batch["features"], batch["features_lengths"])
            for i in np.flatnonzero(batch["valid"]):
                row = batch["rows"][i]
                greedy[row] = self.text_of(paths[i])
                found[row] = self.text_of(texts[i])
        return Transcripts(found, greedy)

    def log_probabilities(self, params: Any, features: np.ndarray) -> np.ndarray:
        """Of every symbol at every step of one recording [steps, symbols]."""
        lengths = jnp.array([len(features)])
        return np.asarray(self._log_p(params, jnp.asarray(features)[None], lengths)[0])

    def text_of(self, symbols: Any) -> str:
        """The text of symbols among blanks, with single spaces."""
        numbers = np.asarray(symbols)
        return " ".join(self.tokenizer.decode(numbers[numbers != BLANK]).split())

    def scaled(self, features: Array, lengths: Array) -> Array:
        """Features as the network reads them."""
        return features if self.scale is None else normalized(features, lengths, self.scale)

    def _batches(self, sequences: Sequence[np.ndarray]) -> list[dict[str, np.ndarray]]:
        longest = max((len(x) for x in sequences), default=1)
        bounds = [64]
        while bounds[-1] < longest:  # the same ones every time, and each is compiled once
            bounds.append(bounds[-1] * 2)
        size = self.options.batch_size
        batches = BucketedBatches({"features": sequences}, {}, batch_size=size, bounds=bounds)
        return [batches[i] for i in range(len(batches))]

    @functools.cached_property
    def _log_p(self) -> Any:
        @jax.jit
        def log_p(params: Any, features: Array, lengths: Array) -> Array:
            x = self.scaled(features, lengths)
            return jax.nn.log_softmax(apply(self.network, params, x, lengths))

        return log_p

    @functools.cached_property
    def _search(self) -> Any:
        @jax.jit
        def run(params: Any, features: Array, lengths: Array) -> tuple[Array, Array]:
            x = self.scaled(features, lengths)
            encoded, logits = apply(self.network, params, x, lengths, method="read")
            log_p, steps = jax.nn.log_softmax(logits), self.network.steps_of(lengths)
            greedy = best_path(log_p, steps).symbols
            if self.options.by == "attention":
                return greedy, self._spelled(params, encoded, lengths)
            return greedy, self._found(params, encoded, lengths, log_p)

        return run

    def _spelled(self, params: Any, encoded: Array, lengths: Array) -> Array:
        """The texts by attention [batch, symbols]."""
        options = self.options
        network = cast(AttentiveRecognizer, self.network)
        _, texts = spell(
            network,
            params,
            encoded,
            lengths,
            self.scorer,
            beam_size=options.beam_size,
            length_penalty=options.length_penalty,
        )
        return texts

    def _found(self, params: Any, encoded: Array, lengths: Array, log_p: Array) -> Array:
        """The texts by CTC, the decoder asked or not [batch, symbols]."""
        options, steps = self.options, self.network.steps_of(lengths)
        found, texts = search(log_p, steps, self.scorer, options.beam_size)
        if not options.attention_weight:
            return texts[:, 0]
        network = cast(AttentiveRecognizer, self.network)
        weight = options.attention_weight
        scores = rescored(network, params, encoded, lengths, found.scores, texts, weight)
        return texts[jnp.arange(len(texts)), jnp.argmax(scores, axis=1)]


def make_scorer(
    options: SpeechSearch,
    tokenizer: Tokenizer,
    transcripts: Sequence[np.ndarray],
    language_model: Scorer | None = None,
) -> Scorer:
    """What the search knows of texts.

    Args:
      options: of the search.
      tokenizer: the symbols.
      transcripts: the symbols of the texts that the n-gram learns from.
      language_model: what another run knows; None for none.

    Raises:
      UserError: the table of the n-gram would be too large, or the word list cannot be used.
    """
    size, parts = len(tokenizer), []
    if options.ngram_order:
        ngram = ngram_scorer(transcripts, size, options.ngram_order)
        parts.append((options.language_weight, ngram))
    if language_model is not None:
        parts.append((options.language_model_weight, language_model))
    if options.words is not None:
        parts.append((1.0, _word_list(options.words, tokenizer)))
    # A search by attention ends when no text can gain any more: none may by growing.
    bonus = options.bonus if options.by == "ctc" else 0.0
    return weighted(parts or [(1.0, no_scorer(size))], bonus)


def _word_list(name: str, tokenizer: Tokenizer) -> Scorer:
    if tokenizer.units != "characters":
        raise UserError("search.words: a word list needs data.tokenizer=characters")
    space = tokenizer.encode(" ").ids
    if not space.all():
        raise UserError("search.words: the training transcripts have no space, and so no words")
    words = read_text("search.words", Path(name).expanduser()).split()
    encoded = [tokenizer.encode(word).ids for word in words]
    known = [tuple(map(int, ids)) for ids in encoded if ids.all()]
    if not known:
        raise UserError(f"search.words: {name} holds no word of the characters that were learnt")
    return word_list(known, len(tokenizer), int(space[0]))
