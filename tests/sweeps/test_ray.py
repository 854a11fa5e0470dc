"""What Ray asks and is told, with no Ray; `test_ray_cluster` has a cluster."""

import socket
import socketserver
import subprocess
import sys
import textwrap
import threading
import types

import pytest

from lstm_jax.cli.main import main
from lstm_jax.errors import UserError
from lstm_jax.sweeps import choice, ray_child
from lstm_jax.sweeps.ray_cluster import choose_resources, connect
from lstm_jax.sweeps.ray_engine import Ledger
from lstm_jax.sweeps.ray_trial import ClusterTrial
from lstm_jax.sweeps.search import Ending, Search
from lstm_jax.sweeps.study import Objective, keep_settings, open_study
from lstm_jax.training.lock import Lock
from tests.conftest import CHAR_LM

optuna = pytest.importorskip("optuna")
_LOSS = Objective("loss", lower_is_better=True, decimals=3)

# A run of two figures, which crashes before the second if it has a folder for the first time.
_PROGRAM = textwrap.dedent("""
    import json, os, pathlib, sys
    folder = pathlib.Path(sys.argv[1])
    first = not folder.exists()
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text("{}")
    about = {"name": "loss", "label": "loss", "decimals": 3, "lower_is_better": True}
    (folder / "heartbeat.json").write_text(json.dumps({"state": "running", "metric": about}))
    with (folder / "metrics.jsonl").open("w") as file:
        for step in (1, 2)[: 1 if first else 2]:
            print(json.dumps({"step": step, "split": "validation", "loss": 3.0 - step}), file=file)
    if first:
        sys.exit("out of memory")
    (folder / "result.json").write_text(json.dumps({"steps": 2, "validation/loss": 1.0}))
""")


@pytest.fixture
def search(tmp_path):
    folder = tmp_path / "s"
    keep_settings(folder, {"objectives": [list(_LOSS)], "trials": 2})
    return Search(folder, "config.py", (), (), {"x": choice("1", "2")}, [_LOSS], 2)


def _start(run, origin):
    with run.log.open("ab") as log:
        return subprocess.Popen(
            [sys.executable, "-c", _PROGRAM, str(run.folder)], stderr=log, cwd=origin
        )


def _all_turns(trial):
    figures, turns = {}, 0
    while True:
        news, ending = trial.turn()
        assert not figures.keys() & news.keys()  # each is told once
        figures, turns = figures | news, turns + 1
        if ending is not None:
            return figures, ending
        assert turns < 20


def test_a_trial_that_crashes_on_its_node_is_tried_again(search, tmp_path, monkeypatch):
    monkeypatch.setattr("lstm_jax.sweeps.ray_trial.start", _start)
    figures, ending = _all_turns(ClusterTrial(search, 0, ["x=1"], tmp_path))
    assert figures == {1: 2.0, 2: 1.0}
    assert ending == Ending({"steps": 2, "validation/loss": 1.0})
    never = ClusterTrial(search._replace(retries=0), 1, ["x=1"], tmp_path)
    assert _all_turns(never) == ({1: 2.0}, Ending(None, "out of memory", may_go_on=True))


def test_a_node_that_does_not_see_the_folders_is_told(search, tmp_path):
    for folder, origin in ((tmp_path / "else", tmp_path), (search.folder, tmp_path / "else")):
        trial = ClusterTrial(search._replace(folder=folder), 0, ["x=1"], origin)
        _, ending = trial.turn()
        assert f"{socket.gethostname()} does not see {tmp_path / 'else'}" in ending.error


def test_the_study_answers_what_the_cluster_asks(search):
    study, told = open_study(search.folder, [_LOSS]), []
    ledger = Ledger(study, search, told.append)
    first, second = ledger.ask("a"), ledger.ask("b")
    assert first == {"number": 0, "overrides": [f"x={study.trials[0].params['x']}"]}
    assert second["number"] == 1
    assert ledger.ask("c") is None  # two are all
    assert not ledger.should_stop("a", {10: 0.5})
    ledger.lost("a", "node died")
    assert not ledger.should_stop("a", {10: 0.5})  # again, after its node was lost
    ledger.ended("a", {20: 0.25}, Ending({"validation/loss": 0.25, "steps": 20}))
    ledger.lost("b", "no module named x")
    ledger.given_up("b")
    assert [t.state.name for t in told] == ["COMPLETE", "FAIL"]
    assert told[0].intermediate_values == {10: 0.5, 20: 0.25}
    assert told[0].user_attrs["lost"] == 1
    assert told[1].user_attrs["error"] == "its worker was lost 6 times: no module named x"


def test_trials_of_a_driver_that_is_gone_are_asked_again(search):
    study = open_study(search.folder, [_LOSS])
    gone = Ledger(study, search, print)
    asked = gone.ask("a")
    del gone  # with its locks
    assert Ledger(study, search, print).ask("b") == asked


def test_the_pruner_of_the_study_ends_trials(search):
    study, told = open_study(search.folder, [_LOSS], pruner="asha"), []
    ledger = Ledger(study, search._replace(trials=9), told.append)
    for name, value in zip("abcdef", [1.0] * 5 + [9.0], strict=True):
        ledger.ask(name)
        stops = [ledger.should_stop(name, {step: value}) for step in range(1, 5)]
        ledger.ended(name, {}, None if any(stops) else Ending({"validation/loss": value}))
    assert told[0].state.name == "COMPLETE"
    assert told[-1].state.name == "PRUNED"


def test_a_child_ends_with_its_worker():
    code = (
        "import threading, time; from lstm_jax.sweeps.ray_child import _end_with_parent; "
        "threading.Thread(target=_end_with_parent).start(); print('up', flush=True); time.sleep(99)"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", code],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    assert child.stdout.readline() == b"up\n"
    assert child.poll() is None
    child.stdin.close()
    assert child.wait(timeout=30) == -9
    child.stdout.close()


def test_a_child_waits_for_the_process_that_trained_before(tmp_path):
    held = [Lock(tmp_path)]
    threading.Timer(0.2, held.clear).start()
    ray_child._wait_until_free(tmp_path)
    assert not held


@pytest.fixture
def ray(monkeypatch):
    """A Ray that is installed, of no cluster."""
    fake = types.ModuleType("ray")
    fake.tune, fake.is_initialized = types.ModuleType("ray.tune"), lambda: False
    monkeypatch.setitem(sys.modules, "ray", fake)
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    return fake


class _Web(socketserver.BaseRequestHandler):
    def handle(self):
        self.request.recv(100)
        self.request.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")


def test_an_address_that_nobody_answers_is_a_sentence(ray):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and does not listen
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(UserError, match=f"--address: nobody answers at {address}"):
            connect(address)
    with socketserver.TCPServer(("127.0.0.1", 0), _Web) as other:
        thread = threading.Thread(target=other.handle_request)
        thread.start()
        with pytest.raises(UserError, match=r"what answers at 127.0.0.1:\d+ is not Ray"):
            connect(f"127.0.0.1:{other.server_address[1]}")
        thread.join()
    for wrong in ("127.0.0.1", "host:port", ":"):
        with pytest.raises(UserError, match="must be HOST:PORT or auto, got"):
            connect(wrong)


def test_what_ray_says_of_an_address_is_a_sentence(ray):
    def init(**options):
        raise ConnectionError("could not find any running Ray instance\nmore")

    ray.init = init
    with pytest.raises(UserError, match=r"auto cannot be used \(could not find any running Ray"):
        connect("auto")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("cpu=8", r"no node has CPU=8; there are nodes of CPU=2; CPU=4, GPU=1"),
        ("cpu=4,TPU=1", r"no node has CPU=4, TPU=1"),
        ("cpu", "must be as cpu=4 or cpu=4,gpu=1, got 'cpu'"),
        ("cpu=0", "must be as cpu=4"),
        ("gpu=0.5", "must be as cpu=4"),
    ],
)
def test_resources_that_no_node_has_are_a_sentence(text, message):
    nodes = [{"CPU": 2.0, "memory": 9e9, "node:10.0.0.1": 1.0}, {"CPU": 4.0, "GPU": 1.0}]
    with pytest.raises(UserError, match=f"--resources: {message}"):
        choose_resources(text, nodes)


def test_a_trial_takes_an_accelerator_where_there_are_any():
    assert choose_resources(None, [{"CPU": 2.0}]) == {"CPU": 1}
    assert choose_resources(None, [{"CPU": 2.0}, {"CPU": 8.0, "GPU": 8.0}]) == {"GPU": 1}
    assert choose_resources("CPU=2,gpu=1", [{"CPU": 8.0, "GPU": 8.0}]) == {"CPU": 2, "GPU": 1}


def test_without_ray_the_extra_is_named_before_anything_is_there(tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)  # as if it were not installed
    space = "--set=optimizer.learning_rate=loguniform(1e-3,1e-2)"
    arguments = ["sweep", f"--config={CHAR_LM}:smoke", f"--workdir={tmp_path / 's'}", space]
    assert main([*arguments, "--engine=ray"]) == 2
    assert "pip install 'lstm_jax[ray]'" in capsys.readouterr().err
    assert main([*arguments, "--resources=cpu=1"]) == 2
    assert "--resources: is for --engine=ray" in capsys.readouterr().err
    assert not (tmp_path / "s").exists()
