"""Which forecasts of a series are for training, validation and test: splits by time."""

from typing import NamedTuple

import numpy as np


class Backtest(NamedTuple):
    """Rolling origins at the end of every series; before them is what is trained on.

    The last `test_origins` forecasts end where the series ends and begin `stride` steps after one
    another; those of validation come before, and none of them reaches a step of the test. Neither
    does what is trained on reach a step that is forecast in validation.

    >>> backtest = Backtest(horizon=2, stride=3, validation_origins=1, test_origins=2)
    >>> backtest.origins("test", 20).tolist(), backtest.origins("validation", 20).tolist()
    ([15, 18], [12])
    >>> backtest.train_end(20)
    12

    Attributes:
      horizon: steps of a forecast.
      stride: steps from one origin to the next.
      validation_origins: forecasts of every series for validation.
      test_origins: forecasts of every series for the test.
    """

    horizon: int
    stride: int
    validation_origins: int
    test_origins: int

    def origins(self, split: str, length: int) -> np.ndarray:
        """The first step of each forecast in a series of some length, rising, int64.

        Args:
          split: "validation" or "test".
          length: of the series; origins of one too short are negative.
        """
        last = length - self.horizon
        count = self.test_origins
        if split == "validation":
            # As many strides as keep all of these forecasts before the first one of the test.
            last = self.origins("test", length)[0] - self._strides * self.stride
            count = self.validation_origins
        return last - self.stride * np.arange(count - 1, -1, -1)

    def train_end(self, length: int) -> int:
        """The first step that nothing trained on may be, in a series of some length."""
        split = "validation" if self.validation_origins else "test"
        return int(self.origins(split, length)[0])

    @property
    def held_out(self) -> int:
        """Steps at the end of a series that are not trained on."""
        return -self.train_end(0)

    @property
    def _strides(self) -> int:
        return -(-self.horizon // self.stride)
