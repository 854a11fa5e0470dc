"""Prefix beam search: the likeliest text of CTC outputs, with what is known of texts."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from lstm_jax.cells import Array
from lstm_jax.models.ctc import BLANK
from lstm_jax.models.text_scorers import NEVER, Scorer


class Beam(NamedTuple):
    """The best prefixes of each recording up to some step, best first only when the search ends.

    A prefix is known by 64 bits of a hash, by which it is found to be another one's continuation.

    Attributes:
      blank: log-probability of all paths of the prefix that end in the blank [batch, beam].
      symbol: of those that end in its last symbol [batch, beam].
      last: that symbol, or the blank for the empty prefix [batch, beam].
      code: of the prefix [batch, beam, 2].
      parent: code of the prefix without its last symbol [batch, beam, 2].
      text: what the scorer has given for its symbols [batch, beam].
      state: of the scorer behind it, arrays [batch, beam, ...].
      ahead: what the scorer gives for every next symbol [batch, beam, symbols]; for the end in the
        place of the blank.
    """

    blank: Array
    symbol: Array
    last: Array
    code: Array
    parent: Array
    text: Array
    state: Any
    ahead: Array


class Trail(NamedTuple):
    """Where the prefixes of every step came from.

    Attributes:
      places: of each prefix in the beam of the step before [steps, batch, beam].
      symbols: what was put to its end, the blank for nothing [steps, batch, beam].
    """

    places: Array
    symbols: Array


class Found(NamedTuple):
    """The prefixes in the end, best first.

    Attributes:
      scores: what they are sorted by [batch, beam].
      log_probabilities: of all paths that were kept of each [batch, beam].
      places: of each in the beam of the last step [batch, beam].
    """

    scores: Array
    log_probabilities: Array
    places: Array


def search(log_p: Array, steps: Array, scorer: Scorer, beam_size: int) -> tuple[Found, Array]:
    """Searches with the `beam_size` best prefixes of each recording.

        score(y) = log p(y | x) + scorer(y)

    where p sums all paths that stay within the beam. A. Graves, "Sequence Transduction with
    Recurrent Neural Networks", arXiv 1211.3711; A. Hannun et al., "First-Pass Large Vocabulary
    Continuous Speech Recognition using Bi-Directional Recurrent DNNs", arXiv 1408.2873. With as
    many prefixes as there are, the sum is exact. What stands behind a recording's end, or beside
    it in the batch, changes nothing.

    >>> from lstm_jax.models.text_scorers import no_scorer
    >>> p = jnp.array([[[0.6, 0.4], [0.6, 0.4]]])
    >>> found, symbols = search(jnp.log(p), jnp.array([2]), no_scorer(2), beam_size=3)
    >>> symbols[0, 0].tolist(), round(float(jnp.exp(found.scores[0, 0])), 2)  # greedy: 0.36
    ([1, 0], 0.64)

    Args:
      log_p: log-probabilities [batch, steps, symbols].
      steps: how many steps are valid [batch].
      scorer: of texts.
      beam_size: how many prefixes are kept.

    Returns:
      What was found, and the symbols of each prefix [batch, beam, steps] at the steps they were
      first put to its end, blanks elsewhere.
    """
    beam = begin(scorer, log_p.shape[0], beam_size)
    valid = jnp.arange(log_p.shape[1]) < steps[:, None]
    beam, trail = advance(scorer, beam, log_p, valid)
    found = finish(beam)
    return found, follow(trail, found.places)


def begin(scorer: Scorer, batch: int, beam_size: int) -> Beam:
    """The beam before the first step: the empty prefix, and places that nothing stands in yet."""
    shape = batch, beam_size
    state = jax.tree.map(lambda leaf: jnp.broadcast_to(leaf, (*shape, *leaf.shape)), scorer.initial)
    first = jnp.arange(beam_size) == 0
    return Beam(
        blank=jnp.where(first, jnp.zeros(shape), NEVER),
        symbol=jnp.full(shape, NEVER),
        last=jnp.full(shape, BLANK, jnp.int32),
        code=jnp.zeros((*shape, 2), jnp.uint32),
        parent=jnp.full((*shape, 2), jnp.uint32(0xFFFFFFFF)),
        text=jnp.zeros(shape),
        state=state,
        ahead=scorer.ahead(state),
    )


def advance(scorer: Scorer, beam: Beam, log_p: Array, valid: Array) -> tuple[Beam, Trail]:
    """Goes on through a recording, or a piece of it.

    Args:
      scorer: the one the beam began with.
      beam: up to here.
      log_p: log-probabilities of the steps that follow [batch, steps, symbols].
      valid: which of them count [batch, steps].
    """

    def step(beam: Beam, now: tuple[Array, Array]) -> tuple[Beam, Trail]:
        log_p, valid = now
        after, trail = _step(scorer, beam, log_p)
        held = jnp.arange(beam.blank.shape[1], dtype=jnp.int32)
        trail = Trail(
            jnp.where(valid[:, None], trail.places, held),
            jnp.where(valid[:, None], trail.symbols, BLANK),
        )

        def hold(new: Array, old: Array) -> Array:
            return jnp.where(valid.reshape(-1, *[1] * (new.ndim - 1)), new, old)

        return jax.tree.map(hold, after, beam), trail

    return jax.lax.scan(step, beam, (jnp.swapaxes(log_p, 0, 1), valid.T))


def finish(beam: Beam) -> Found:
    """The prefixes as whole texts, their ends scored, best first."""
    log_p = jnp.logaddexp(beam.blank, beam.symbol)
    scores, places = jax.lax.top_k(log_p + beam.text + beam.ahead[:, :, BLANK], beam.blank.shape[1])
    return Found(scores, jnp.take_along_axis(log_p, places, axis=1), places)


def follow(trail: Trail, places: Array) -> Array:
    """The symbols of the prefixes that end in these places of the beam [batch, beam, steps]."""

    def back(place: Array, now: Trail) -> tuple[Array, Array]:
        symbols = jnp.take_along_axis(now.symbols, place, axis=1)
        return jnp.take_along_axis(now.places, place, axis=1), symbols

    _, symbols = jax.lax.scan(back, places, trail, reverse=True)
    return jnp.moveaxis(symbols, 0, -1)


def _step(scorer: Scorer, beam: Beam, log_p: Array) -> tuple[Beam, Trail]:
    """One step of the search, log_p [batch, symbols]."""
    batch, size = beam.blank.shape
    vocabulary = log_p.shape[-1]
    rows, held = jnp.arange(batch)[:, None], jnp.arange(size)
    total = jnp.logaddexp(beam.blank, beam.symbol)
    symbols = jnp.arange(vocabulary)

    # A symbol again without a blank between is still the same one.
    before = jnp.where(symbols == beam.last[:, :, None], beam.blank[:, :, None], total[:, :, None])
    longer = (before + log_p[:, None]).at[:, :, BLANK].set(NEVER)
    same_blank = total + log_p[:, None, BLANK]
    same_symbol = beam.symbol + jnp.take_along_axis(log_p, beam.last, axis=1)

    # A prefix that is another's continuation takes what would come to it from there.
    alive = total > NEVER / 2
    is_parent = jnp.all(beam.parent[:, :, None] == beam.code[:, None], axis=-1)
    is_parent &= alive[:, :, None] & alive[:, None]  # [batch, child, parent]
    parent = jnp.argmax(is_parent, axis=-1)
    has_parent = jnp.any(is_parent, axis=-1)
    joined = jnp.where(has_parent, longer[rows, parent, beam.last], NEVER)
    same_symbol = jnp.logaddexp(same_symbol, joined)
    taken = jnp.where(has_parent, parent, size)
    longer = longer.at[rows, taken, beam.last].set(NEVER, mode="drop")

    stays = jnp.logaddexp(same_blank, same_symbol) + beam.text
    grows = longer + beam.text[:, :, None] + beam.ahead
    ranks = jnp.concatenate([stays, grows.reshape(batch, -1)], axis=1)
    _, chosen = jax.lax.top_k(ranks, size)
    is_new = chosen >= size
    place = jnp.where(is_new, (chosen - size) // vocabulary, chosen)
    added = jnp.where(is_new, (chosen - size) % vocabulary, BLANK).astype(jnp.int32)

    def pick(leaf: Array) -> Array:
        return leaf[rows, place]

    def choose(new: Array, old: Array) -> Array:
        return jnp.where(is_new.reshape(*is_new.shape, *[1] * (new.ndim - 2)), new, old)

    old = jax.tree.map(pick, beam)
    state = jax.tree.map(choose, scorer.advance(old.state, added), old.state)
    after = Beam(
        blank=jnp.maximum(jnp.where(is_new, NEVER, pick(same_blank)), NEVER),
        symbol=jnp.maximum(jnp.where(is_new, longer[rows, place, added], pick(same_symbol)), NEVER),
        last=choose(added, old.last),
        code=choose(_code(old.code, added), old.code),
        parent=choose(old.code, old.parent),
        text=jnp.where(is_new, old.text + old.ahead[rows, held, added], old.text),
        state=state,
        ahead=choose(scorer.ahead(state), old.ahead),
    )
    return after, Trail(place.astype(jnp.int32), added)


def _code(code: Array, symbol: Array) -> Array:
    """The code of a prefix with one more symbol: two mixers of 32 bits, as in MurmurHash3."""
    mixed = code ^ (symbol[..., None].astype(jnp.uint32) + jnp.array([1, 0x9E3779B9], jnp.uint32))
    mixed *= jnp.array([0xCC9E2D51, 0x85EBCA6B], jnp.uint32)
    mixed ^= mixed >> jnp.array([15, 13], jnp.uint32)
    mixed *= jnp.array([0x1B873593, 0xC2B2AE35], jnp.uint32)
    return mixed ^ (mixed >> 16)
