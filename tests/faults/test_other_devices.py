"""A checkpoint is placed on the devices that there are, however many wrote it."""

import os
import signal
import subprocess
import sys
import textwrap

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lstm_jax.training.checkpoints import Checkpoints
from lstm_jax.training.digests import leaf_digests
from tests.runs import SAVED_EVERY, STEPS, figures, finish, go_on, start, unfinished, wait_for_line

FOUR = {"XLA_FLAGS": "--xla_force_host_platform_device_count=4"}
ON_DEVICES = """
    import pathlib, sys, jax, numpy as np
    from jax.sharding import Mesh, NamedSharding, PartitionSpec as P
    from lstm_jax.training.checkpoints import Checkpoints
    from lstm_jax.training.digests import leaf_digests
    checkpoints = Checkpoints(pathlib.Path(sys.argv[1]))
    assert jax.device_count() == 4
    for step, devices in ((2, 4), (3, 2)):
        mesh = Mesh(np.array(jax.devices()[:devices]), ("data",))
        def place(shape, dtype, *axes):
            return jax.ShapeDtypeStruct(shape, dtype, sharding=NamedSharding(mesh, P(*axes)))
        key = jax.eval_shape(jax.random.key, 0)
        like = {
            "params": {"w": place((8, 64), "float32", "data"), "b": place((4,), "bfloat16")},
            "training": {"m": place((64, 8), "float32", None, "data"), "key": place((), key.dtype)},
        }
        restored = checkpoints.resume(like)
        found = {"w": restored.trees["params"]["w"], **restored.trees["training"]}
        for name, leaf in found.items():
            assert len(leaf.sharding.device_set) == devices, name
        checkpoints.save(step, restored.trees, restored.meta, None)
        checkpoints.wait()
        print(leaf_digests(restored.trees))
    checkpoints.close()
"""


def test_a_checkpoint_goes_from_one_device_to_four_to_two_and_back(tmp_path):
    state = {
        "params": {
            "w": jax.random.normal(jax.random.key(1), (8, 64)),
            "b": jnp.ones(4, "bfloat16"),
        },
        "training": {"m": jax.random.normal(jax.random.key(2), (64, 8)), "key": jax.random.key(3)},
    }
    checkpoints = Checkpoints(tmp_path / "c")
    checkpoints.save(1, state, {}, None)
    checkpoints.close()
    output = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(ON_DEVICES), str(tmp_path / "c")],
        env=os.environ | FOUR,
        capture_output=True,
        text=True,
        check=True,
        timeout=240,
    ).stdout
    assert output == f"{leaf_digests(state)}\n" * 2
    restored = Checkpoints(tmp_path / "c").latest(state)
    assert restored is not None
    assert restored.step == 3
    assert leaf_digests(restored.trees) == leaf_digests(state)


def assert_as_on_one(workdir, run):
    found, expected = figures(workdir), figures(run)
    assert found["data"] == expected["data"]
    assert [line["step"] for line in found["lines"]] == [line["step"] for line in expected["lines"]]
    for line, other in zip(found["lines"], expected["lines"], strict=True):
        # Sums over devices are added in another order.
        np.testing.assert_allclose(line["loss"], other["loss"], rtol=1e-3)


@pytest.mark.slow
def test_a_run_of_four_devices_goes_on_on_one(run, tmp_path, capfd):
    workdir = tmp_path / "run"
    process = start(workdir, **FOUR)
    wait_for_line(process, "step 100/")
    process.send_signal(signal.SIGTERM)
    assert "saved step" in finish(process)
    assert process.returncode == 143
    go_on(workdir)
    assert "going on from step" in capfd.readouterr().out
    assert_as_on_one(workdir, run)


@pytest.mark.slow
def test_a_run_of_one_device_goes_on_on_four(run, tmp_path):
    workdir = unfinished(run, tmp_path / "run", back=1)
    assert f"going on from step {STEPS - SAVED_EVERY}" in finish(start(workdir, **FOUR))
    assert_as_on_one(workdir, run)
