"""What is known of texts, symbol by symbol: language models and word lists for a search."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from lstm_jax.cells import Array
from lstm_jax.errors import UserError
from lstm_jax.models.language_model import LanguageModel, run
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


def recurrent_scorer(network: LanguageModel, params: Any, numbers: np.ndarray) -> Scorer:
    """Log-probabilities by a recurrent language model, whose carry is the state.

    "Shallow fusion", when it is added to what a recognizer says: C. Gulcehre et al., "On Using
    Monolingual Corpora in Neural Machine Translation", arXiv 1503.03535.

    >>> import lstm_jax as lj
    >>> model = LanguageModel(vocabulary_size=5, cell=lj.lstm, embedding_size=4, hidden_size=8)
    >>> params = jax.jit(model.init)(jax.random.key(0), jnp.zeros((1, 1), int))["params"]
    >>> scorer = recurrent_scorer(model, params, np.array([4, 1, 2]))
    >>> round(float(jnp.exp(scorer.ahead(scorer.initial)).sum()), 1)  # of 3 of the 5 symbols
    0.6

    Args:
      network: the language model.
      params: its parameters.
      numbers: what the language model calls each symbol; for 0, the one that parts two texts, which
        stands before the first symbol and behind the last.
    """
    theirs = jnp.asarray(numbers, jnp.int32)

    def read(tokens: Array, carry: Any) -> tuple[Any, Array]:
        carry, logits = run(network, params, tokens[:, None], carry)
        return carry, jax.nn.log_softmax(logits[:, 0])[:, theirs]

    def advance(state: Any, symbols: Array) -> Any:
        lead = symbols.shape
        carry = jax.tree.map(lambda leaf: leaf.reshape(-1, *leaf.shape[len(lead) :]), state[0])
        found = read(theirs[symbols].reshape(-1), carry)
        return jax.tree.map(lambda leaf: leaf.reshape(*lead, *leaf.shape[1:]), found)

    first = jax.tree.map(lambda leaf: leaf[0], read(theirs[:1], None))
    return Scorer(first, lambda state: state[1], advance)


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
