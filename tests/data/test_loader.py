"""The loader's position."""

import itertools

from lstm_jax.data.loader import endless


def test_goes_on_from_a_saved_position():
    batches = [{"i": i} for i in range(5)]
    loader = endless(batches)
    assert [b["i"] for b in itertools.islice(loader, 7)] == [0, 1, 2, 3, 4, 0, 1]
    again = endless(batches)
    again.set_state(loader.get_state())
    assert next(again) == next(loader) == {"i": 2}
