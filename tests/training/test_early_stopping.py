"""The end of a run that no longer improves."""

import json
import math

import pytest

from lstm_jax.training.early_stopping import EarlyStopping


def _ends_at(rule, scores):
    history = rule.begin()
    for i, score in enumerate(scores):
        # As a checkpoint keeps it.
        history = json.loads(json.dumps(rule.observe(history, score)))
        if rule.ends(history):
            return i
    return None


@pytest.mark.parametrize(
    ("patience", "min_delta", "scores", "end"),
    [
        (2, 0.0, [5, 4, 3, 2, 1], None),
        (2, 0.0, [5, 4, 4, 4], 3),
        (2, 0.0, [5, 6, 4, 4.5, 3, 9, 3], 6),
        (2, 0.5, [5, 4.6, 4.4, 4.3, 4.2], 4),
        (1, 0.0, [-0.8, -0.9, -0.85], 2),  # a metric that is better when higher
        (None, 0.0, [1, 2, 3, 4], None),
        (2, 0.0, [math.nan, math.nan, 1], 1),
        (2, 0.0, [1, math.nan, 0.5, math.inf, 2], 4),
    ],
)
def test_the_run_ends_after_as_many_evaluations(patience, min_delta, scores, end):
    assert _ends_at(EarlyStopping(patience=patience, min_delta=min_delta), scores) == end


@pytest.mark.parametrize(
    ("target", "lower", "scores", "end"),
    [
        (2.0, True, [5, 3, 2.0, 1], 2),
        (2.0, True, [5, math.nan, 3], None),
        (0.9, False, [-0.5, -0.85, -0.95], 2),  # scores are negated where higher is better
        (0.9, False, [-0.5, -0.6], None),
    ],
)
def test_the_run_ends_at_the_target(target, lower, scores, end):
    rule = EarlyStopping(target=target)
    history, ended = rule.begin(), None
    for i, score in enumerate(scores):
        history = rule.observe(history, score)
        if ended is None and rule.ends(history, lower_is_better=lower):
            ended = i
    assert ended == end
