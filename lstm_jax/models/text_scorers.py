"""What is known of texts, symbol by symbol: language models and word lists for a search."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from lstm_jax.cells import Array
from lstm_jax.errors import UserError
from lstm_jax.models.ngram import next_symbol_tables

NEVER = -1e30  # a log-probability; minus infinity would make a NaN of 0 * log p
_MOST = 1 << 28  # numbers in a table: a gigabyte


class Scorer(NamedTuple):
    """A model that gives every text a score, the sum of those of its symbols and of its end.

    Symbol 0 is no symbol of a text; what is ahead in its place is the end.

    Attributes:
      initial: the state before the first symbol, a pytree of arrays of one text.
      ahead: `state -> scores [..., symbols]` of what may come next.
      advance: `(state, symbols [...]) -> state`.
    """

    initial: Any
    ahead: Callable[[Any], Array]
    advance: Callable[[Any, Array], Any]


def no_scorer(symbols: int) -> Scorer:
    """Every text scores 0.

    Args:
      symbols: how many there are.
    """
    return Scorer(
        jnp.zeros(()), lambda state: jnp.zeros((*state.shape, symbols)), lambda state, _: state
    )


def automaton(following: np.ndarray, scores: np.ndarray, initial: int) -> Scorer:
    """A scorer whose states are finitely many.

    Args:
      following: the state behind each state and symbol, integers [states, symbols].
      scores: of each symbol at each state [states, symbols].
      initial: the state before the first symbol.
    """
    behind, ahead = jnp.asarray(following, jnp.int32), jnp.asarray(scores, jnp.float32)
    return Scorer(
        jnp.int32(initial), lambda state: ahead[state], lambda state, symbol: behind[state, symbol]
    )


def ngram_scorer(texts: Sequence[np.ndarray], symbols: int, order: int) -> Scorer:
    """Log-probabilities by a Kneser-Ney n-gram of texts (`lstm_jax.models.ngram`).

    A text is what stands between two symbols 0, so that its beginning and its end are learnt.

    >>> scorer = ngram_scorer([np.array([1, 2])] * 3, symbols=3, order=2)
    >>> after_1 = scorer.advance(scorer.initial, jnp.array(1))
    >>> int(jnp.argmax(scorer.ahead(scorer.initial))), int(jnp.argmax(scorer.ahead(after_1)))
    (1, 2)

    Args:
      texts: symbol numbers of each; those that are 0 are passed over.
      symbols: how many there are, 0 counted.
      order: length of the longest n-gram.

    Raises:
      UserError: the table would be too large.
    """
    end = np.zeros(1, np.int64)
    parts = [part for text in texts for part in (text[text != 0].astype(np.int64), end)]
    train = np.concatenate([end, *parts])
    tables = next_symbol_tables(train, symbols, order, most=_MOST)
    if tables is None:
        raise UserError(
            f"an n-gram of order {order} over {symbols:,} symbols has a table too large for a "
            "search; take a lower order or fewer symbols"
        )
    following, probabilities, empty = tables
    return automaton(following, np.log(probabilities), int(following[empty, 0]))


def word_list(words: Iterable[Sequence[int]], symbols: int, space: int) -> Scorer:
    """0 for texts of these words alone, and `NEVER` for others: the words as a tree of symbols.

    Between two words stands one space, and one may stand at the end.

    >>> scorer = word_list([(1, 1), (1, 2)], symbols=4, space=3)
    >>> after_1 = scorer.advance(scorer.initial, jnp.array(1))
    >>> (scorer.ahead(after_1) == 0).tolist()  # neither the end nor a space yet
    [False, True, True, False]

    Args:
      words: the symbols of each.
      symbols: how many there are.
      space: the symbol between two words.

    Raises:
      UserError: there is no word.
    """
    nodes: list[dict[int, int]] = [{}]
    whole = set()
    for word in words:
        node = 0
        for symbol in word:
            if symbol not in nodes[node]:
                nodes[node][symbol] = len(nodes)
                nodes.append({})
            node = nodes[node][symbol]
        whole.add(node)
    whole.discard(0)
    if not whole:
        raise UserError("the word list holds no word")
    following = np.zeros((len(nodes), symbols), np.int32)
    scores = np.full((len(nodes), symbols), NEVER, np.float32)
    for node, behind in enumerate(nodes):
        for symbol, after in behind.items():
            following[node, symbol], scores[node, symbol] = after, 0
    ends = sorted(whole)
    scores[ends, space] = scores[ends, 0] = 0  # a space leads to the root, which is 0
    scores[0, 0] = 0  # nothing at all is a text, too
    return automaton(following, scores, 0)


def weighted(scorers: Sequence[tuple[float, Scorer]], bonus: float = 0.0) -> Scorer:
    """The weighted sum of scores, and a bonus for every symbol, the end not counted.

    Args:
      scorers: each with its weight; at least one.
      bonus: what a symbol is worth, in nats; longer texts are less likely without one.
    """

    def ahead(state: Any) -> Array:
        total = sum(
            weight * scorer.ahead(own) for (weight, scorer), own in zip(scorers, state, strict=True)
        )
        return jnp.asarray(total).at[..., 1:].add(bonus)

    def advance(state: Any, symbols: Array) -> Any:
        return tuple(
            scorer.advance(own, symbols) for (_, scorer), own in zip(scorers, state, strict=True)
        )

    return Scorer(tuple(scorer.initial for _, scorer in scorers), ahead, advance)
