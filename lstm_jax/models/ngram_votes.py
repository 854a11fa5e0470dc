"""A linear model of the n-grams of a text, each weighted by what it says of the classes."""

from collections.abc import Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from lstm_jax.cells import Array

_BEGIN = 0.05  # all n-grams alike: naive Bayes, of which hundreds of votes do not all count in full


class NGramVotes(nn.Module, kw_only=True):
    """Logits from which n-grams a text holds.

        logit_c = sum over the n-grams f of the text of weight_f * ratio_fc

    `ratio` says how much likelier an n-gram is in a class than in the mean class, counted once
    before training (`log_ratios`) and never learnt; `weight` is learnt, and begins as naive Bayes.
    S. Wang and C. Manning, "Baselines and Bigrams: Simple, Good Sentiment and Topic
    Classification", 2012.

    Params: `weight` [size]; `ratio` [classes, size].

    >>> model = NGramVotes(size=3, classes=2)
    >>> numbers = jnp.array([[[1, 0], [2, 3]]])
    >>> params = {"weight": jnp.ones(3), "ratio": jnp.array([[0.0, 1, 2], [0, -1, -2]])}
    >>> model.apply({"params": params}, numbers).tolist()
    [[3.0, -3.0]]

    Attributes:
      size: number of n-grams.
      classes: number of classes.
    """

    size: int
    classes: int

    @nn.compact
    def __call__(self, numbers: Array) -> Array:
        """Logits [batch, classes] from the numbers of n-grams [batch, time, order], 0 for none."""
        weight = self.param("weight", nn.initializers.constant(_BEGIN), (self.size,))
        ratio = self.param("ratio", nn.initializers.zeros_init(), (self.classes, self.size))
        numbers = numbers.reshape(len(numbers), -1)
        place = jnp.maximum(numbers - 1, 0)
        votes = weight[place] * jax.lax.stop_gradient(ratio)[:, place]  # [classes, batch, n-grams]
        return jnp.sum(votes * (numbers > 0), axis=-1).T


def log_ratios(
    marked: Sequence[np.ndarray], labels: np.ndarray, *, size: int, classes: int
) -> np.ndarray:
    """How much likelier each n-gram is in a class than in the mean of all, float32 [classes, size].

        ratio_fc = log p(f | c) - mean over the classes of log p(f | .)

    where p(f | c) is the share of f in the n-grams of the texts of c, each count raised by one.

    >>> log_ratios([np.array([[1]]), np.array([[2]])], np.array([0, 1]), size=2, classes=2).round(2)
    array([[ 0.35, -0.35],
           [-0.35,  0.35]], dtype=float32)

    Args:
      marked: the numbers of the n-grams of every text, as `NGramVocabulary.mark` gives them.
      labels: the classes of the texts.
      size: number of n-grams.
      classes: number of classes.
    """
    counts = np.ones((classes, size + 1))
    for numbers, label in zip(marked, labels, strict=True):
        counts[label, numbers[numbers > 0]] += 1
    share = counts[:, 1:] / counts[:, 1:].sum(axis=1, keepdims=True)
    return (np.log(share) - np.log(share).mean(axis=0)).astype(np.float32)
