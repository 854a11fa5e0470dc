"""How often several processes ask each other, seen from one of them."""

import signal
import time

import jax
import numpy as np
import pytest
from jax.experimental import multihost_utils

from lstm_jax.training.agreement import Agreement


class Devices:
    """Steps are sent off at once and take their time; asking waits for those that were sent."""

    def __init__(self, per_step: float):
        self.per_step, self.now, self.sent, self.waits = per_step, 0.0, 0, []
        self.done = 1  # the first step compiles, and is waited for
        self.elsewhere = 0  # the signal that came to the other process

    def gather(self, own):
        self.now += (self.sent - self.done) * self.per_step
        self.done = self.sent
        self.waits.append(self.now)
        return np.stack([own, np.array([self.elsewhere, 1, 0, 0], np.int32)])


@pytest.fixture(params=[0.3, 0.001])
def devices(request, monkeypatch):
    found = Devices(request.param)
    monkeypatch.setattr(jax, "process_count", lambda: 2)
    monkeypatch.setattr(multihost_utils, "process_allgather", found.gather)
    monkeypatch.setattr(time, "monotonic", lambda: found.now)
    return found


def test_processes_ask_about_every_two_seconds(devices):
    agreement = Agreement(0.0)
    while devices.now < 20:
        devices.sent += 1
        assert agreement.ask(devices.sent, None)[1] is None
    assert max(np.diff(devices.waits)) <= 2.1
    assert len(devices.waits) < 30, "and not at every step"
    devices.elsewhere = signal.SIGTERM
    while (found := agreement.ask(devices.sent, None))[1] is None:
        devices.sent += 1
    assert found[1] is signal.SIGTERM
    assert devices.now - devices.waits[-2] <= 2.1
