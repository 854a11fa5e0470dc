"""Times of steps against a clock by hand, and norms against numpy."""

import time

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lstm_jax.training import statistics
from lstm_jax.training.peaks import peak_flops
from lstm_jax.training.statistics import StepClock, is_of_the_clock, kept, parameter_figures


class Step:
    """What a device makes: it is there after some seconds, whoever waits for it."""

    def __init__(self, clock, seconds):
        self.clock, self.done = clock, max(clock.now, clock.device) + seconds
        clock.device = self.done


class FakeTime:
    """A host and a device with a clock that moves when something takes time."""

    def __init__(self, monkeypatch):
        self.now, self.device = 0.0, 0.0
        monkeypatch.setattr(time, "perf_counter", lambda: self.now)
        monkeypatch.setattr(jax, "block_until_ready", self.block)
        monkeypatch.setattr(statistics, "_copy", lambda step: step)

    def block(self, step):
        self.now = max(self.now, step.done)


def test_times_are_those_of_the_device_though_the_host_runs_ahead(monkeypatch):
    fake = FakeTime(monkeypatch)
    clock = StepClock(flops=30.0)
    for seconds in (1.0, 1.0, 1.0, 5.0):
        fake.now += 0.01  # to dispatch
        clock.tick(Step(fake, seconds))
    found = clock.figures()
    assert found["step_seconds"] == pytest.approx(8.01 / 4)
    assert found["step_seconds_p50"] == pytest.approx(1.0, abs=0.02)
    assert found["step_seconds_p95"] == pytest.approx(np.quantile([1.01, 1, 1, 5], 0.95))
    assert found["input_wait"] == 0
    assert found["model_flops_per_second"] == pytest.approx(30 / (8.01 / 4))
    assert "model_flops_utilization" not in found  # nobody publishes one of this CPU
    assert clock.figures() == {}


def test_the_device_has_a_step_to_do_while_the_host_waits_for_one(monkeypatch):
    fake = FakeTime(monkeypatch)
    clock = StepClock()
    idle = 0.0
    for _ in range(5):
        fake.now += 0.5  # of work on the host, behind which the device must not wait
        idle += max(fake.now - fake.device, 0.0) if fake.device else 0.0
        clock.tick(Step(fake, 1.0))
    assert idle == 0


def test_waiting_for_data_is_counted(monkeypatch):
    fake = FakeTime(monkeypatch)
    clock = StepClock()
    for _ in range(4):
        with clock.waiting():
            fake.now += 3.0
        clock.tick(Step(fake, 1.0))
    found = clock.figures()
    assert found["step_seconds"] == pytest.approx(13 / 4)
    assert found["input_wait"] == pytest.approx(12 / 13)


def test_an_evaluation_between_steps_counts_for_none(monkeypatch):
    fake = FakeTime(monkeypatch)
    clock = StepClock()
    for _ in range(3):
        clock.tick(Step(fake, 1.0))
        clock.figures()
        fake.now += 100  # an evaluation
        clock.restart()
    clock.tick(Step(fake, 1.0))
    assert clock.figures()["step_seconds"] == pytest.approx(1.0)


def test_utilization_is_the_share_of_the_peak(monkeypatch):
    monkeypatch.setattr(statistics, "peak_of_all_devices", lambda: 100.0)
    fake = FakeTime(monkeypatch)
    clock = StepClock(flops=30.0)
    clock.tick(Step(fake, 2.0))
    assert clock.figures()["model_flops_utilization"] == pytest.approx(0.15)


def test_a_real_step_may_take_its_state_over():
    clock = StepClock()
    step = jax.jit(lambda state: jax.tree.map(lambda leaf: leaf + 1, state), donate_argnums=0)
    state = {"step": jnp.int32(0), "w": jnp.zeros((300, 300))}
    for _ in range(20):
        state = step(state)
        clock.tick(state["step"])
    found = clock.figures()
    assert int(state["step"]) == 20
    assert 0 < found["step_seconds_p50"] <= found["step_seconds_p95"]


@pytest.mark.parametrize(
    ("kind", "peak"),
    [
        ("TPU v5 lite", 197e12),
        ("TPU v5p", 459e12),
        ("TPU v5", 459e12),
        ("TPU v6 lite", 918e12),
        ("NVIDIA A100-SXM4-80GB", 312e12),
        ("NVIDIA H100 80GB HBM3", 989e12),
        ("NVIDIA H100 PCIe", 756e12),
        ("NVIDIA H100 NVL", None),
        ("NVIDIA H200", 989e12),
        ("cpu", None),
    ],
)
def test_the_longest_name_counts(kind, peak):
    assert peak_flops(kind) == peak


def test_norms_and_ratios_equal_numpy():
    rng = np.random.default_rng(0)
    before = {"a": {"x": rng.normal(size=(3, 4)), "y": rng.normal(size=5)}, "b": rng.normal(size=2)}
    before = jax.tree.map(np.float32, before)
    after = jax.tree.map(lambda leaf: leaf + np.float32(rng.normal(size=leaf.shape)), before)
    found = parameter_figures(before, after)

    def flat(tree):
        return np.concatenate([leaf.ravel() for leaf in jax.tree.leaves(tree)])

    for suffix, old, new in (
        ("", before, after), ("/a", before["a"], after["a"]), ("/b", before["b"], after["b"]),
    ):  # fmt: skip
        norm, moved = np.linalg.norm(flat(new)), np.linalg.norm(flat(new) - flat(old))
        assert found[f"parameter_norm{suffix}"] == pytest.approx(norm, rel=1e-6)
        ratio = moved / np.linalg.norm(flat(old))
        assert found[f"update_ratio{suffix}"] == pytest.approx(ratio, rel=1e-6)
    assert len(found) == 6


def test_parameters_at_zero_have_no_ratio():
    found = parameter_figures({"b": jnp.zeros(3)}, {"b": jnp.ones(3)})
    assert found["update_ratio/b"] == 0
    assert found["parameter_norm/b"] == pytest.approx(3**0.5)


def test_kept_parameters_outlive_the_step():
    params = {"w": jnp.arange(4.0)}
    before = kept(params)
    step = jax.jit(lambda p: {"w": p["w"] * 2}, donate_argnums=0)
    after = step(params)
    assert parameter_figures(before, after)["update_ratio"] == pytest.approx(1.0)


def test_figures_of_the_clock_are_known_by_name():
    clock = StepClock(flops=1.0)
    clock.tick(jnp.int32(1))
    names = {*clock.figures(), "seconds", "characters_per_second"}
    assert all(map(is_of_the_clock, names))
    others = ("loss", "gradient_norm", "update_ratio/layer_0", "learning_rate", "gates/layer_0/f")
    assert not any(map(is_of_the_clock, others))
