"""Several processes: the same run as one, and no one waits for ever for one that is gone."""

import json
import signal
import time

import jax
import numpy as np
import pytest

from lstm_jax.cli.main import main
from lstm_jax.errors import UserError
from lstm_jax.training.checkpoints import Checkpoints
from lstm_jax.training.distributed import FLAGS, Address, find_scheduler, join
from lstm_jax.training.run import Run
from lstm_jax.training.statistics import is_of_the_clock
from lstm_jax.training.writers import read_metrics
from tests.training.hosts import Hosts, free_port, last_meta, start, write_config

# Rounding grows: a few hundred steps on, two runs that add in another order part. And two processes
# on a core wait for each other for a third of a second a step.
STEPS = 48
RUN = {
    "train": {
        "duration": f"{STEPS} steps",
        "report_every": "8 steps",
        "evaluate_every": "24 steps",
        "checkpoint_every": "12 steps",
    },
    "mesh": {"data": 1, "fsdp": 4},  # every matrix lies in four parts on two processes
    "data": {"evaluation_batch_size": 16},
    "averaging": {"name": "ema", "decay": 0.9},
}


# How they find each other


@pytest.fixture
def nobody(monkeypatch):
    """An environment without a scheduler, in which a connection is noted and not made."""
    for name in (*FLAGS.values(), "SLURM_STEP_NODELIST", "OMPI_MCA_orte_hnp_uri"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TPU_WORKER_HOSTNAMES", "localhost")
    calls = []
    monkeypatch.setattr(
        jax.distributed, "initialize", lambda *given, **options: calls.append((given, options))
    )
    return calls


def slurm(monkeypatch, tasks: int) -> None:
    names = {
        "JOB_ID": "4242", "STEP_NODELIST": "node[07-08]", "NTASKS": str(tasks), "PROCID": "1",
        "LOCALID": "0",
    }  # fmt: skip
    for name, value in names.items():
        monkeypatch.setenv(f"SLURM_{name}", value)


def test_one_process_joins_nobody(nobody, monkeypatch):
    join()
    join(Address("localhost:1234", 1, 0))
    slurm(monkeypatch, 1)
    join()
    assert nobody == []


def test_slurm_is_left_to_jax(nobody, monkeypatch):
    slurm(monkeypatch, 2)
    join()
    ((given, options),) = nobody
    assert given == (None, None, None)
    assert "cluster_detection_method" not in options
    # What JAX makes of the same variables, as far as it can be asked.
    clusters = pytest.importorskip("jax._src.clusters")
    found = clusters.ClusterEnv.auto_detect_unset_distributed_params(*[None] * 5, 1)
    assert found[0].startswith("node07:")
    assert found[1:3] == (2, 1)


def test_variables_stand_for_flags(nobody, monkeypatch):
    monkeypatch.setenv("JAX_COORDINATOR_ADDRESS", "localhost:1234")
    monkeypatch.setenv("JAX_NUM_PROCESSES", "1")
    join(Address(process_id=0))
    assert nobody == []
    monkeypatch.setenv("JAX_NUM_PROCESSES", "two")
    with pytest.raises(UserError, match="JAX_NUM_PROCESSES: must be a number, got 'two'"):
        join()


@pytest.mark.parametrize(
    ("environment", "scheduler"),
    [
        ({"SLURM_STEP_NODELIST": "n[1-4]", "SLURM_NTASKS": "4"}, "SLURM"),
        ({"SLURM_NTASKS": "4", "TPU_WORKER_HOSTNAMES": "localhost"}, None),  # a shell of salloc
        ({"OMPI_MCA_orte_hnp_uri": "1.0;tcp://h:1", "OMPI_COMM_WORLD_SIZE": "2"}, "Open MPI"),
        ({"TPU_WORKER_HOSTNAMES": "w-0,w-1"}, "Cloud TPU"),
        ({"TPU_PROCESS_ADDRESSES": "local"}, None),  # a notebook's machine
        ({"TPU_WORKER_HOSTNAMES": "w-0", "MEGASCALE_NUM_SLICES": "2"}, "Cloud TPU"),
    ],
)
def test_schedulers(environment, scheduler):
    assert find_scheduler(environment) == scheduler


@pytest.mark.parametrize(
    ("address", "message"),
    [
        (
            Address(num_processes=2),
            "each needs --coordinator.*; not given: --coordinator, --proc",
        ),
        (Address("localhost:1234", 2), "not given: --process_id$"),
        (Address("localhost", 2, 0), "--coordinator: must be HOST:PORT, got 'localhost'"),
        (Address("localhost:99999", 2, 0), "--coordinator: must be HOST:PORT"),
        (Address("no.such.host.invalid:1", 2, 0), "--coordinator: no.such.host.invalid is no host"),
        (Address("localhost:1234", 0, 0), "--num_processes: must be at least 1, got 0"),
        (Address("localhost:1234", 2, 2), "--process_id: must be from 0 to 1, got 2"),
    ],
)
def test_what_is_not_enough_is_a_sentence(nobody, address, message):
    with pytest.raises(UserError, match=message):
        join(address)
    with pytest.raises(UserError, match="--process_timeout: must be at least 1, got 0"):
        join(Address("localhost:1234", 2, 0), timeout=0)
    assert nobody == []


def test_the_command_line_says_what_is_missing(nobody, tmp_path, capfd):
    assert main(["train", f"--workdir={tmp_path / 'run'}", "--process_id=1"]) == 2
    printed = capfd.readouterr().err
    assert "not given: --coordinator, --num_processes" in printed
    assert len(printed.splitlines()) == 1


@pytest.mark.slow
@pytest.mark.parametrize(
    ("process", "message"),
    [
        (0, "process 0 waited 3 s at {}, and not all of 2 processes came"),
        (1, "process 1 of 2 waited 3 s: no process 0 that knows it answers at {}"),
    ],
)
def test_who_comes_alone_does_not_wait_for_ever(tmp_path, process, message):
    address = f"127.0.0.1:{free_port()}"
    options = [f"--coordinator={address}", "--num_processes=2", f"--process_id={process}"]
    command = ["train", f"--workdir={tmp_path / 'run'}", *options, "--process_timeout=1"]
    log = tmp_path / "log"
    assert start(command, log, 1).wait(120) == 2
    assert log.read_text().splitlines()[-1].startswith(f"lstm-jax: {message.format(address)}")


# One run


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    return write_config(tmp_path_factory.mktemp("config"), **RUN)


@pytest.fixture(scope="module")
def run(tmp_path_factory, config):
    """A run of two processes with two devices each, which nothing disturbed; to be looked at."""
    workdir = tmp_path_factory.mktemp("runs") / "undisturbed"
    with Hosts(config, workdir, 2, 2) as hosts:
        hosts.finish()
        assert hosts.output(1) == "", "the first process speaks for both"
    return workdir


def lines(workdir) -> list[dict]:
    return [
        {name: value for name, value in line.items() if not is_of_the_clock(name)}
        for line in read_metrics(workdir)
    ]


def end(workdir) -> dict:
    """All that a run leaves, but for the time that it took."""
    meta = last_meta(workdir)
    result = json.loads((workdir / "result.json").read_text())
    timeless = {name: value for name, value in result.items() if not is_of_the_clock(name)}
    return {
        "lines": lines(workdir),
        "result": timeless,
        "digests": meta["digests"],
        "data": meta["data"],
        "checkpoints": Checkpoints(workdir / "checkpoints").steps(),
    }


def same_to_rounding(workdir, other) -> None:
    """Sums over devices are added in another order where the processes are others."""
    assert last_meta(workdir)["data"] == last_meta(other)["data"]
    found, expected = lines(workdir), lines(other)
    assert [(line["step"], line["split"]) for line in found] == [
        (line["step"], line["split"]) for line in expected
    ]
    for name in ("loss", "gradient_norm"):
        values, wanted = ([line[name] for line in of if name in line] for of in (found, expected))
        np.testing.assert_allclose(values, wanted, rtol=5e-5, err_msg=name)


@pytest.mark.slow
def test_two_processes_are_one(run, config, tmp_path):
    with Hosts(config, tmp_path / "one", 1, 4) as hosts:
        hosts.finish()
    same_to_rounding(tmp_path / "one", run)
    trained = []
    for workdir in (run, tmp_path / "one"):
        opened = Run.load(workdir)
        learner = opened.experiment.task.restore(opened.assets)
        trained.append(opened.restore_params(learner, "latest").trees["params"])
    for found, expected in zip(*map(jax.tree.leaves, trained), strict=True):
        assert np.linalg.norm(found - expected) < 1e-3 * np.linalg.norm(expected)
    first, last = (lines(run)[i]["loss"] for i in (0, -1))
    assert last < 0.95 * first, "the model learns"


@pytest.mark.parametrize(
    "mesh",
    [
        {"data": 4, "fsdp": 1},
        {"fsdp": 1, "model": 4},
    ],
)
@pytest.mark.long
def test_other_meshes_over_both_processes(run, config, tmp_path, mesh):
    # Rows are shared out between the processes, or both hold all of them.
    options = [f"--config.mesh.{axis}={size}" for axis, size in mesh.items()]
    with Hosts(
        config, tmp_path / "run", 2, 2, "--config.train.duration=10 steps", *options
    ) as hosts:
        hosts.finish()
    found, expected = (
        [line["loss"] for line in lines(of) if line["split"] == "train"][:1]
        for of in (tmp_path / "run", run)
    )
    np.testing.assert_allclose(found, expected, rtol=5e-5)


@pytest.mark.parametrize(
    "killed",
    [pytest.param(0, marks=pytest.mark.long), pytest.param(1, marks=pytest.mark.slow)],
)
def test_a_killed_process_ends_the_others_and_the_run_goes_on(run, config, tmp_path, killed):
    with Hosts(config, tmp_path / "run", 2, 2) as hosts:
        hosts.wait_for("step 16/")
        hosts.send(killed, signal.SIGKILL)
        began = time.monotonic()
        left = hosts.processes[1 - killed].wait(120)
        assert time.monotonic() - began < 60, "it is told by the connection, not by a timeout"
        said = hosts.output(1 - killed)
    # JAX's coordination may notice first, and ends the process with its own text before ours.
    ours = f"process {1 - killed} of 2: the devices of all processes cannot go on together"
    assert ours in said or "another task died" in said, said
    assert left in (2, -signal.SIGABRT), said
    with Hosts(config, tmp_path / "run", 2, 2) as hosts:
        hosts.finish()
        assert "going on from step" in hosts.output(0)
    assert end(tmp_path / "run") == end(run)


@pytest.mark.parametrize(
    "count",
    [pytest.param(1, marks=pytest.mark.slow), pytest.param(2, marks=pytest.mark.long)],
)
def test_a_signal_to_one_stops_all_and_the_run_goes_on(run, config, tmp_path, count):
    with Hosts(config, tmp_path / "run", 2, 2) as hosts:
        hosts.wait_for("step 16/")
        hosts.send(1, signal.SIGTERM)
        assert hosts.codes() == [143, 143], hosts.outputs()
        saved = last_meta(tmp_path / "run")["step"]
        assert f"saved step {saved}; to go on: lstm-jax train" in hosts.output(0)
        assert hosts.output(1) == "\nstopping after this step; once more to stop at once\n"
    assert 16 <= saved < STEPS
    with Hosts(config, tmp_path / "run", count, 4 // count) as hosts:
        hosts.finish()
        assert f"going on from step {saved}" in hosts.output(0)
    if count == 1:
        same_to_rounding(tmp_path / "run", run)
    else:
        assert end(tmp_path / "run")["digests"] == end(run)["digests"]
        assert lines(tmp_path / "run") == lines(run)


@pytest.mark.long
def test_a_run_of_one_process_goes_on_with_two(run, config, tmp_path):
    with Hosts(config, tmp_path / "run", 1, 4) as hosts:
        hosts.wait_for("step 16/")
        hosts.send(0, signal.SIGTERM)
        assert hosts.codes() == [143], hosts.outputs()
    with Hosts(config, tmp_path / "run", 2, 2) as hosts:
        hosts.finish()
        assert "going on from step" in hosts.output(0)
    same_to_rounding(tmp_path / "run", run)


@pytest.mark.slow
def test_processes_with_different_configs_say_so_and_end(config, tmp_path):
    seeds = ["--config.seed=1", "--config.seed=2"]
    with Hosts(config, tmp_path / "run", 2, 2, seeds) as hosts:
        assert hosts.codes() == [2, 2], hosts.outputs()
        assert hosts.output(0) == (
            "lstm-jax train: the config or its overrides of process 1 are not those of process 0\n"
        )
        assert hosts.output(1) == ""
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_what_one_process_lacks_ends_all(config, tmp_path):
    with Hosts(config, tmp_path / "run", 2, 2, "--config.data.batch_size=6") as hosts:
        assert hosts.codes() == [2, 2], hosts.outputs()
        assert "a batch of 6 does not divide by 4 device(s)" in hosts.output(0)
        assert hosts.output(1) == ""


@pytest.mark.long
def test_time_is_that_of_the_first_process(config, tmp_path):
    options = ("--config.train.duration=6 seconds", "--config.train.report_every=2 seconds",
               "--config.train.evaluate_every=50 percent")  # fmt: skip
    with Hosts(config, tmp_path / "run", 2, 2, *options) as hosts:
        hosts.finish()
    found = read_metrics(tmp_path / "run")
    assert max(line["seconds"] for line in found if line["split"] == "train") >= 6
    assert {line["split"] for line in found} == {"train", "validation"}


@pytest.mark.long
def test_numbers_that_go_wrong_are_kept_by_the_first_process(config, tmp_path, capsys):
    options = ["learning_rate=1e38", "momentum=0.0"]
    options = ["--config.optimizer=sgd", *(f"--config.optimizer.{option}" for option in options)]
    with Hosts(config, tmp_path / "run", 2, 2, *options) as hosts:
        assert hosts.codes() == [2, 2], hosts.outputs()
        assert "to see where: lstm-jax debug" in hosts.output(0)
        assert hosts.output(1) == ""
    report = json.loads(next((tmp_path / "run/debug").glob("step_*/report.json")).read_text())
    batch = np.load(next((tmp_path / "run/debug").glob("step_*/batch.npz")))
    assert batch["inputs"].shape == (16, 8), "the batch of all processes"
    assert main(["debug", f"--workdir={tmp_path / 'run'}"]) == 0
    assert report["words"] in capsys.readouterr().out
