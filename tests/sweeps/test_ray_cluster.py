"""A search on two nodes of one machine, one of which is killed in the middle."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

from lstm_jax.records import read_metrics
from lstm_jax.sweeps.study import load_study
from lstm_jax.training.lock import trainer
from tests.runs import command

pytest.importorskip("ray.tune", reason="Ray is not installed: pip install 'lstm_jax[ray]'")
pytestmark = pytest.mark.long

_STEPS = 1500


@pytest.fixture
def cluster(monkeypatch):
    """A head with a CPU and a node with another one, started as SLURM starts one on each host."""
    import ray
    from ray.cluster_utils import Cluster

    monkeypatch.setenv("SLURM_STEP_NODELIST", "node[1-2]")
    monkeypatch.setenv("SLURM_NTASKS", "2")
    head = {"num_cpus": 1, "include_dashboard": False}
    found = Cluster(initialize_head=True, head_node_args=head)
    found.add_node(num_cpus=1)
    yield found
    ray.shutdown()
    found.shutdown()


def _search(cluster, folder, *options):
    _, config, _, *rest = command(
        folder,
        f"--config.train.duration={_STEPS} steps",
        f"--config.train.evaluate_every={_STEPS // 3} steps",
        "--config.sample.length=0",
        "--config.data.baselines=false",
    )
    arguments = ["sweep", config, f"--workdir={folder}", *rest, *options]
    cluster_options = ["--engine=ray", f"--address={cluster.address}", "--resources=cpu=1"]
    with folder.with_suffix(".log").open("ab") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "lstm_jax.cli.main", *arguments, *cluster_options],
            stdout=log,
            stderr=subprocess.STDOUT,
        )


def _wait(condition, process, seconds=400):
    latest = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < latest, "it takes too long"
        assert process.poll() is None, "the search ended before"
        time.sleep(0.05)


def _saved(folder):
    return any(path.name.isdecimal() for path in folder.glob("checkpoints/*"))


def _parent(pid):
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def _is_on(node, folder):
    """Whether the process that trains a run is the child of a worker of a node."""
    (raylet,) = node.all_processes["raylet"]
    holder = trainer(folder)
    return bool(holder) and _parent(_parent(holder["pid"])) == raylet.process.pid


def test_a_search_survives_a_node_and_the_command_itself(cluster, tmp_path):
    folder = tmp_path / "s"
    # How often it is saved changes no number: the trials must come to the same.
    options = ("--set=train.checkpoint_every=choice(50 steps,60 steps)", "--sampler=grid")
    search = _search(cluster, folder, *options)
    trials = [folder / "trial_0000", folder / "trial_0001"]
    (node,) = cluster.worker_nodes
    _wait(lambda: any(_saved(trial) and _is_on(node, trial) for trial in trials), search)
    (lost,) = (number for number, trial in enumerate(trials) if _is_on(node, trial))
    cluster.remove_node(node, allow_graceful=False)
    assert not (trials[lost] / "result.json").exists()
    _wait(lambda: load_study(folder).trials[lost].user_attrs.get("lost") == 1, search)

    search.kill()
    _wait_until_free(trials)  # they end with what started them
    assert not (trials[lost] / "result.json").exists()
    assert _search(cluster, folder, *options).wait(timeout=500) == 0
    found = load_study(folder).trials
    assert [t.state.name for t in found] == ["COMPLETE", "COMPLETE"]
    assert found[0].value == found[1].value
    assert "going on from step" in (folder / f"trial_{lost:04d}.log").read_text()
    for trial in trials:
        steps = [line["step"] for line in read_metrics(trial) if line["split"] == "validation"]
        assert steps == [_STEPS // 3, 2 * _STEPS // 3, _STEPS]


def _wait_until_free(folders, seconds=60):
    latest = time.monotonic() + seconds
    while any(trainer(folder) is not None for folder in folders):
        assert time.monotonic() < latest
        time.sleep(0.1)
