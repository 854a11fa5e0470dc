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


class ByEpoch:
    def __len__(self):
        return 3

    def __getitem__(self, index):
        return self.at(0, index)

    def at(self, epoch, index):
        return epoch, index


def test_batches_may_differ_by_epoch_and_the_position_holds_the_epoch():
    loader = endless(ByEpoch())
    assert list(itertools.islice(loader, 5)) == [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1)]
    again = endless(ByEpoch())
    again.set_state(loader.get_state())
    assert list(itertools.islice(again, 2)) == [(1, 2), (2, 0)]
