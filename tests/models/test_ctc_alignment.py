"""Forced alignment, against all paths there are."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np

from lstm_jax.models.ctc_alignment import align

STEPS = [6, 4, 5, 3]
LABELS = [[1, 2, 2], [2, 0, 0], [1, 1, 0], [0, 0, 0]]
COUNTS = [3, 1, 2, 0]


def best_of_all_paths(log_p, labels):
    """The likeliest of all paths that collapse to the labels, and its log-probability."""

    def collapses(path):
        return [s for s, _ in itertools.groupby(path) if s] == labels

    paths = [p for p in itertools.product(range(log_p.shape[1]), repeat=len(log_p)) if collapses(p)]
    scores = [log_p[np.arange(len(path)), path].sum() for path in paths]
    return paths[int(np.argmax(scores))], max(scores)


def test_it_is_the_likeliest_of_all_paths():
    log_p = jax.nn.log_softmax(2 * jax.random.normal(jax.random.key(3), (4, 6, 3)))
    found = jax.jit(align)(log_p, jnp.array(STEPS), jnp.array(LABELS), jnp.array(COUNTS))
    for i, (steps, count) in enumerate(zip(STEPS, COUNTS, strict=True)):
        path, score = best_of_all_paths(np.asarray(log_p[i, :steps]), LABELS[i][:count])
        np.testing.assert_allclose(found.log_probabilities[i], score, rtol=1e-5)
        runs = [(s, len(list(run))) for s, run in itertools.groupby(path)]
        ends = np.cumsum([length for _, length in runs])
        spoken = [(e - n, e - 1) for (s, n), e in zip(runs, ends, strict=True) if s]
        assert [(int(a), int(b)) for a, b in zip(found.first[i], found.last[i], strict=True)][
            :count
        ] == spoken
