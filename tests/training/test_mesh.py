"""One device or many: the same losses, every array where the rules say, nothing moved in vain."""

import json
import os
import subprocess
import sys

import jax
import numpy as np
import pytest

from lstm_jax.errors import ConfigError
from lstm_jax.training import build_experiment, experiment
from lstm_jax.training.mesh import MeshOptions, Placement, make_mesh, parameter_spec
from tests.conftest import REPOSITORY

MESHES = ("1,1,1", "2,1,1", "4,1,1", "8,1,1", "1,4,1", "1,1,4", "2,2,2")


@pytest.fixture(scope="module")
def runs():
    flags = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count=8"
    done = subprocess.run(
        [sys.executable, "-m", "tests.training.on_meshes", *MESHES],
        # Eight devices that wait for each other need a thread each, or they wait for ever.
        env={**os.environ, "XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu", "NPROC": "64"},
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize("mesh", MESHES[1:])
def test_losses_and_parameters_are_those_of_one_device(runs, mesh):
    one, many = runs["1,1,1"], runs[mesh]
    for name, start in one["before"].items():
        np.testing.assert_allclose(many["before"][name], start, rtol=1e-6, atol=1e-7)
    np.testing.assert_allclose(many["nats"], one["nats"], rtol=1e-5)
    for name, end in one["after"].items():
        np.testing.assert_allclose(many["after"][name], end, rtol=2e-3, atol=2e-5)
    assert one["nats"][-1] < 6 * one["nats"][0], "the model learns"


def test_steps_compile_once_and_transfer_nothing_unasked(runs):
    # That they transfer nothing implicitly is what their guard would have said.
    for mesh, run in runs.items():
        assert run["compiled"] == [True, False, False, False, False, False], mesh


def test_parameters_optimizer_and_carry_lie_in_shards(runs):
    symbols = runs["1,1,1"]["shapes"]["softmax/bias"][0]
    assert symbols % 4 == 0, "the text has to fit the meshes"
    for mesh, kernel, embedding, batch in (
        ("1,1,1", [16, 64], [symbols, 8], 16),
        ("8,1,1", [16, 64], [symbols, 8], 2),
        ("1,4,1", [16, 16], [symbols // 4, 8], 4),
        ("1,1,4", [16, 16], [symbols // 4, 8], 16),
        ("2,2,2", [8, 32], [symbols // 2, 4], 4),
    ):
        run = runs[mesh]
        assert run["shapes"]["layer_1/cell/recurrent_kernel"] == kernel, mesh
        assert run["shapes"]["embedding/embedding"] == embedding, mesh
        momenta = [s for name, s in run["momenta"].items() if name.endswith("recurrent_kernel")]
        assert momenta == [kernel] * 4, mesh  # two moments of two layers
        assert set(map(tuple, run["carry"].values())) == {(batch, 16)}, mesh


@pytest.mark.parametrize(
    ("path", "shape", "expected"),
    [
        ("embedding/embedding", (100, 8), ("model", "fsdp")),
        ("embedding/embedding", (99, 8), (None, "model")),  # symbols do not divide
        ("softmax/kernel", (8, 100), ("fsdp", "model")),
        ("softmax/kernel", (8, 99), ("model", None)),
        ("softmax/bias", (100,), ("model",)),
        ("softmax/bias", (99,), ()),
        ("0/mu/layer_0/cell/kernel", (6, 16), ("fsdp", "model")),
        ("layer_0/cell/recurrent_kernel", (6, 15), ("fsdp", None)),  # gates alone
        ("layer_0/cell/forget_peephole", (16,), ()),
        ("conv/kernel", (3, 3, 4, 8), (None, None, "fsdp", "model")),
        ("something/else", (4, 6, 9), (None, "fsdp", None)),
        ("0/count", (), ()),
    ],
)
def test_rules(path, shape, expected):
    assert tuple(parameter_spec(path, shape, {"data": 1, "fsdp": 2, "model": 4})) == expected


@pytest.mark.parametrize(
    ("sizes", "count", "message"),
    [
        ({"data": 4}, 2, "mesh: data 4 x fsdp 1 x model 1 does not fit 2 device"),
        ({"model": 3}, 8, "does not fit 8 device"),
    ],
)
def test_a_mesh_that_does_not_fit_is_a_sentence(sizes, count, message):
    with pytest.raises(ConfigError, match=message):
        make_mesh(MeshOptions(**sizes), jax.devices() * count)


def test_wrong_sizes_are_told_with_the_config():
    with pytest.raises(ConfigError, match=r"mesh.fsdp: must be at least 1, or -1"):
        build_experiment(experiment(task="language_model", mesh={"fsdp": 0}))
    with pytest.raises(ConfigError, match=r"mesh.data, model: only one can be -1"):
        build_experiment(experiment(task="language_model", mesh={"model": -1}))


def test_a_batch_that_does_not_divide_is_a_sentence():
    place = Placement(make_mesh(MeshOptions()))
    place.require_batch_size(6, 3)
    with pytest.raises(ConfigError, match=r"a batch of 6 does not divide by 1 .* 4 accumulation"):
        place.require_batch_size(6, 4)
