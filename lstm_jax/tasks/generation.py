"""Writing text with a language model, symbol by symbol from its carry."""

import functools
from collections.abc import Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from lstm_jax.data.tokenizers import UNKNOWN, Tokenizer
from lstm_jax.models.language_model import LanguageModel, run

Array = jax.Array
_CHUNK = 32  # symbols a compiled call: short enough to stream, long enough to hide the call


class Sampling(NamedTuple):
    """How the next symbol is drawn; numbers, not shapes, so that one program serves them all.

    Attributes:
      temperature: divides the logits; 0 takes the likeliest symbol.
      top_k: draws from this many likeliest symbols.
      top_p: draws from the fewest symbols that together have this probability ("nucleus":
        A. Holtzman et al., arXiv 1904.09751).
    """

    temperature: Array
    top_k: Array
    top_p: Array


def generate(
    network: LanguageModel,
    params: Any,
    vocabulary: Tokenizer,
    *,
    prompt: str,
    length: int,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float = 1.0,
    seed: int = 0,
    samples: int = 1,
) -> Iterator[list[str]]:
    """Writes texts and yields them piece by piece, one piece a sample.

    The carry is the memory: a symbol costs the same however long the text before it is. The
    unknown symbol is never drawn.

    Args:
      network: the model.
      params: its parameters.
      vocabulary: its symbols.
      prompt: text to begin with, not repeated in the output; if empty, a line break.
      length: symbols to write.
      temperature: below 1 safer, above 1 wilder; 0 always takes the likeliest symbol.
      top_k: draw from this many likeliest symbols; None for all.
      top_p: draw from the fewest symbols that together have this probability, in (0, 1].
      seed: the same seed writes the same text.
      samples: how many texts to write side by side.
    """
    decoders = [_Decoder(vocabulary) for _ in range(samples)]
    sampling = Sampling(
        jnp.float32(temperature), jnp.int32(top_k or len(vocabulary)), jnp.float32(top_p)
    )
    carry, logits = _read(network, params, vocabulary, prompt or "\n", samples)
    key = jax.random.key(seed)
    for start in range(0, length, _CHUNK):
        carry, logits, ids = _write(network, params, carry, logits, key, start, sampling)
        kept = np.asarray(ids)[: length - start]
        yield [decoder.text(kept[:, i]) for i, decoder in enumerate(decoders)]


def shown(prompt: str, vocabulary: Tokenizer) -> str:
    """The prompt as it stands before what is written: words need a space between them."""
    apart = vocabulary.units == "words" and prompt and not prompt[-1].isspace()
    return f"{prompt} " if apart else prompt


class _Decoder:
    """Turns numbers into text as they come: bytes of one character may come in two pieces."""

    def __init__(self, vocabulary: Tokenizer):
        self._vocabulary = vocabulary
        self._pending: list[int] = []

    def text(self, ids: np.ndarray) -> str:
        self._pending += ids.tolist()
        open_bytes = _open_bytes(self._pending) if self._vocabulary.units == "bytes" else 0
        end = len(self._pending) - open_bytes
        ready, self._pending = self._pending[:end], self._pending[end:]
        return self._vocabulary.decode(ready)


def _open_bytes(ids: list[int]) -> int:
    """How many bytes at the end begin a character that is not complete yet."""
    for back in range(1, min(4, len(ids)) + 1):
        byte = ids[-back] - 1
        if byte >= 0xC0:
            needed = 2 if byte < 0xE0 else 3 if byte < 0xF0 else 4
            return back if back < needed else 0
        if byte < 0x80:
            return 0
    return 0


def _read(
    network: LanguageModel, params: Any, vocabulary: Tokenizer, prompt: str, samples: int
) -> tuple[Any, Array]:
    """The carry behind the prompt and the logits of the next symbol."""
    ids = vocabulary.encode(prompt).ids
    if not len(ids):
        ids = np.array([UNKNOWN], np.int32)
    # Prompts are padded to a power of two, so that few lengths are ever compiled.
    padded = np.zeros(1 << (len(ids) - 1).bit_length(), np.int32)
    padded[: len(ids)] = ids
    tokens = np.tile(padded, (samples, 1))
    lengths = np.full(samples, len(ids), np.int32)
    return _apply_prompt(network, params, tokens, lengths)


@functools.partial(jax.jit, static_argnums=0)
def _apply_prompt(
    network: LanguageModel, params: Any, tokens: Array, lengths: Array
) -> tuple[Any, Array]:
    carry, logits = run(network, params, tokens, lengths=lengths)
    return carry, logits[jnp.arange(len(tokens)), lengths - 1]


@functools.partial(jax.jit, static_argnums=0)
def _write(
    network: LanguageModel,
    params: Any,
    carry: Any,
    logits: Array,
    key: Array,
    start: Array,
    sampling: Sampling,
) -> tuple[Any, Array, Array]:
    def step(state: tuple[Any, Array], i: Array) -> tuple[tuple[Any, Array], Array]:
        carry, logits = state
        ids = draw(jax.random.fold_in(key, start + i), logits, sampling)
        carry, logits = run(network, params, ids[:, None], carry)
        return (carry, logits[:, 0]), ids

    (carry, logits), ids = jax.lax.scan(step, (carry, logits), jnp.arange(_CHUNK))
    return carry, logits, ids


def draw(key: Array, logits: Array, sampling: Sampling) -> Array:
    """Symbols drawn from logits [..., vocabulary]; never the unknown one."""
    logits = logits.at[..., UNKNOWN].set(-jnp.inf)
    scaled = logits / jnp.maximum(sampling.temperature, 1e-6)
    falling = jnp.sort(scaled, axis=-1, descending=True)
    probability = jax.nn.softmax(falling, axis=-1)
    # The likeliest symbol is always kept: before it, no probability is used up.
    used_before = jnp.cumsum(probability, axis=-1) - probability
    kept = (jnp.arange(falling.shape[-1]) < sampling.top_k) & (used_before < sampling.top_p)
    least = jnp.min(jnp.where(kept, falling, jnp.inf), axis=-1, keepdims=True)
    drawn = jax.random.categorical(key, jnp.where(scaled >= least, scaled, -jnp.inf), axis=-1)
    return jnp.where(sampling.temperature > 0, drawn, jnp.argmax(logits, axis=-1))
