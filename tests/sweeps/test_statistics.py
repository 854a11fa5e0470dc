"""Means, intervals and tests against SciPy's own."""

import math

import numpy as np
import pytest
from scipy import stats

from lstm_jax.sweeps import compare, spread

_A, _B = [0.91, 0.93, 0.90, 0.95], [0.96, 0.94, 0.99, 0.97, 0.95]


def test_the_interval_is_that_of_student():
    found = spread(_A)
    low, high = stats.t.interval(0.95, 3, loc=np.mean(_A), scale=stats.sem(_A))
    assert (found.low, found.high) == pytest.approx((low, high))
    assert (found.mean, found.deviation) == pytest.approx((np.mean(_A), np.std(_A, ddof=1)))


def test_runs_that_diverged_are_kept_and_not_counted():
    found = spread([*_A, math.nan, math.inf])
    assert found[:4] == spread(_A)[:4]
    assert len(found.values) == 6
    assert found.as_json()["values"][4:] == [None, None]
    one = spread([0.5])
    assert one.mean == 0.5
    assert one.as_json()["deviation"] is None


def test_the_tests_are_those_of_scipy():
    welch = stats.ttest_ind(_B, _A, equal_var=False)
    found = compare(_A, _B)
    assert found.p_value == pytest.approx(welch.pvalue)
    assert (found.low, found.high) == pytest.approx(tuple(welch.confidence_interval()))
    pairs = stats.ttest_rel(_B[:4], _A)
    found = compare(_A, _B[:4], paired=True)
    assert found.p_value == pytest.approx(pairs.pvalue)
    assert (found.low, found.high) == pytest.approx(tuple(pairs.confidence_interval()))


def test_without_deviation_equal_is_equal_and_unequal_is_not():
    assert not compare([1.0, 1.0], [1.0, 1.0]).is_told
    assert compare([1.0, 1.0], [2.0, 2.0]).is_told


def test_too_few_runs_are_refused():
    with pytest.raises(ValueError, match="two runs"):
        compare([1.0], [1.0, 2.0])
    with pytest.raises(ValueError, match="got 4 and 5"):
        compare(_A, _B, paired=True)
