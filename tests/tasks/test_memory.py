"""Memory tasks: figures are those of the data, pictures those of the network, configs run."""

import importlib
import json
import sys
from typing import Any

import jax
import numpy as np
import pytest

from lstm_jax.cli.main import main
from lstm_jax.errors import ConfigError
from lstm_jax.models.sequence_model import apply
from lstm_jax.tasks.memory_figures import order_of_units, trace_layers
from lstm_jax.training import build_experiment, experiment
from lstm_jax.training.evaluation import make_evaluate
from tests.conftest import REPOSITORY

FOLDER = REPOSITORY / "configs/synthetic"
CONFIGS = sorted(set(FOLDER.glob("*.py")) - {FOLDER / "memory_training.py"})  # what they share
CELLS = ("lstm", "gru", "slstm", "mlstm", "min_lstm", "rnn")


def make(problem, model=None, **data) -> Any:
    data = {"problem": problem, "evaluation_examples": 25, "evaluation_batch_size": 10, **data}
    model = {"hidden_size": 8, **(model or {})}
    return build_experiment(experiment(task="memory", data=data, model=model)).task


def test_figures_are_those_of_example_after_example(tmp_path):
    task = make("dyck", max_length=9)
    learner, dataset = task.prepare(tmp_path)
    params = learner.init(jax.random.key(0))
    values = make_evaluate(learner)(params, dataset.splits["test"], 10)
    nats, right, at_end, whole = [], [], [], []
    for i in range(3):
        batch = dataset.splits["test"][i]
        for row in np.flatnonzero(batch["valid"]):
            length, targets = batch["lengths"][row], batch["targets"][row]
            logits = apply(
                task.network(), params, batch["inputs"][row : row + 1, :length], np.array([length])
            )
            known = jax.nn.log_softmax(np.asarray(logits[0]))
            nats += [-float(known[t, targets[t]]) for t in range(length)]
            hits = np.asarray(logits[0].argmax(-1)) == targets[:length]
            right += [*hits]
            at_end.append(hits[-1])
            whole.append(hits.all())
    assert len(at_end) == 25
    expected = {"loss": nats, "accuracy": right, "at_end": at_end, "whole": whole}
    for name, seen in expected.items():
        assert values[name] == pytest.approx(np.mean(seen), rel=1e-5), name


def test_figures_of_sums_are_those_of_example_after_example(tmp_path):
    task = make("adding", length=7)
    learner, dataset = task.prepare(tmp_path)
    params = learner.init(jax.random.key(0))
    values = make_evaluate(learner)(params, dataset.splits["validation"], 10)
    errors = []
    for i in range(3):
        batch = dataset.splits["validation"][i]
        said = apply(task.network(), params, batch["inputs"], batch["lengths"])[:, 0]
        errors.append((said - batch["targets"])[batch["valid"]])
    errors = np.concatenate(errors)
    assert values["mse"] == pytest.approx(np.mean(errors**2), rel=1e-5)
    assert values["close"] == pytest.approx(np.mean(np.abs(errors) < 0.04))


@pytest.mark.parametrize("problem", ["adding", "copy_memory", "parity"])
def test_each_problem_is_judged_by_its_own_figure(problem, tmp_path):
    task = make(problem)
    learner, dataset = task.prepare(tmp_path)
    judged_by = {"adding": "mse", "copy_memory": "loss", "parity": "accuracy"}[problem]
    assert learner.metrics[0].name == judged_by
    baselines = task.baselines(tmp_path)
    assert {name for figures in baselines.values() for name in figures} == set(dataset.splits)


def test_what_stands_behind_the_end_changes_nothing(tmp_path):
    task = make("temporal_order", length=20, model={"num_layers": 2})
    learner, dataset = task.prepare(tmp_path)
    params = learner.init(jax.random.key(0))
    batch = dict(dataset.train[0])
    within = np.arange(batch["inputs"].shape[1]) < batch["lengths"][:, None]
    losses = [
        learner.loss(
            params, (), batch | {"inputs": np.where(within, batch["inputs"], symbol)}, None
        )
        for symbol in (0, 3)
    ]
    assert float(losses[0][0]) == float(losses[1][0])


@pytest.mark.parametrize("cell", CELLS)
def test_what_is_drawn_is_what_the_network_computes(cell):
    task = make("parity", model={"cell": {"name": cell}, "num_layers": 2})
    network = task.network()
    inputs = np.array([1, 0, 1, 1, 0, 1])
    params = network.init(jax.random.key(1), inputs[None], np.array([6]))["params"]
    traces = trace_layers(network, params, inputs)
    said = traces[-1].outputs @ params["output"]["kernel"] + params["output"]["bias"]
    expected = apply(network, params, inputs[None], np.array([6]))[0]
    np.testing.assert_allclose(said, expected, atol=2e-5)
    for trace in traces:
        assert all(values.shape[0] == 6 for values in trace.memory.values())
        assert ("forget" in trace.gates) == (cell == "lstm")
    if cell == "lstm":
        # The gates are those of the step: what is kept and written makes the next memory.
        trace = traces[0]
        memory = np.concatenate([np.zeros((1, 8)), trace.memory["cell"]])
        written = memory[1:] - trace.gates["forget"] * memory[:-1]
        assert (np.abs(written) <= trace.gates["input"] + 1e-5).all()
        kept = trace.gates["forget"].mean(0)[order_of_units(trace)]
        assert (np.diff(kept) <= 0).all()


def test_errors_are_told_before_anything_is_done(tmp_path):
    with pytest.raises(ConfigError, match=r"data\.lengths: different numbers .*, got 64, x"):
        make("parity", lengths=("64", "x"))
    with pytest.raises(ConfigError, match=r"data\.lengths: different numbers .*, got 9, 9"):
        make("parity", lengths=(9, 9))
    with pytest.raises(ConfigError, match=r"data\.min_length: must not be above max_length 4"):
        make("parity", min_length=5, max_length=4)
    with pytest.raises(ConfigError, match=r"model\.cell: num_heads must divide hidden_size 6"):
        make("parity", model={"cell": {"name": "mlstm"}, "hidden_size": 6})
    with pytest.raises(ConfigError, match=r"data\.lengths: this problem needs at least 20, got 5"):
        make("temporal_order", lengths=("5",)).prepare(tmp_path)


@pytest.mark.parametrize("config", CONFIGS, ids=lambda path: path.stem)
def test_every_config_runs_its_smoke(config, tmp_path):
    workdir = tmp_path / "run"
    assert main(["train", f"--config={config}:smoke", f"--workdir={workdir}"]) == 0
    result = json.loads((workdir / "result.json").read_text())
    (figures,) = result["baselines"].values()
    assert set(figures) >= {"validation", "test"}
    assert (workdir / "figures/memory_layer_0.png").stat().st_size > 10_000


@pytest.mark.parametrize("mode", ["lstm", "slstm", "mlstm", "min_lstm"])
def test_parity_has_a_mode_for_every_cell(mode):
    from lstm_jax.training import load_config

    config = load_config(str(REPOSITORY / f"configs/synthetic/parity.py:{mode}"))
    assert config.model.cell.name == mode
    build_experiment(config)


@pytest.fixture(scope="module")
def solved(tmp_path_factory):
    """A run of parity for which little is good enough; tests only look at it."""
    config = str(REPOSITORY / "configs/synthetic/parity.py:smoke")
    workdir = tmp_path_factory.mktemp("runs") / "solved"
    target = "--config.early_stopping.target=0.4"
    assert main(["train", f"--config={config}", f"--workdir={workdir}", target]) == 0
    return workdir


def test_a_run_ends_when_the_problem_is_solved(solved):
    assert json.loads((solved / "result.json").read_text())["steps"] == 20


def test_runs_are_compared_by_split(solved, tmp_path, monkeypatch, capsys):
    monkeypatch.syspath_prepend(str(REPOSITORY / "experiments/synthetic"))
    compare = importlib.import_module("compare")
    arguments = ["compare.py", str(solved), "--metric=at_end", f"--out={tmp_path / 'a.png'}"]
    monkeypatch.setattr(sys, "argv", arguments)
    compare.main()
    head, _, row = capsys.readouterr().out.splitlines()
    assert head == (
        "| accuracy of the last answer | steps | validation | test | length_8 | length_12 |"
    )
    result = json.loads((solved / "result.json").read_text())
    assert row.startswith(f"| solved | 20 | {result['validation/at_end']:.4f} |")
    assert (tmp_path / "a.png").stat().st_size > 5_000
    monkeypatch.setattr(sys, "argv", ["compare.py", str(solved), "--metric=mse"])
    with pytest.raises(SystemExit):
        compare.main()
    assert "there is no mse; there are: accuracy, at_end" in capsys.readouterr().err


def test_a_cell_that_holds_what_was_shown_differs_between_examples(monkeypatch):
    monkeypatch.syspath_prepend(str(REPOSITORY / "experiments/synthetic"))
    module = importlib.import_module("differences")
    network = make("copy_memory", model={"hidden_size": 2}).network()
    # Gates i f g o of two units. The second writes a symbol and holds it; the first counts steps.
    kernel, bias = np.zeros((10, 8), np.float32), np.zeros(8, np.float32)
    kernel[:8, 1], bias[1] = 20, -10
    bias[0], bias[2:4], bias[4] = 10, 10, 0.5
    kernel[:8, 5] = np.arange(8) - 3.5
    cell = {"kernel": kernel, "recurrent_kernel": np.zeros((2, 8), np.float32), "bias": bias}
    output = {"kernel": np.zeros((2, 9), np.float32), "bias": np.zeros(9, np.float32)}
    inputs = np.array([[symbol, 8, 8, 8, 9, 8] for symbol in range(8)])
    found = module.differences(network, {"layer_0": {"cell": cell}, "output": output}, inputs)
    held = np.tanh(np.tanh(np.arange(8) - 3.5)).std()
    np.testing.assert_allclose(found["differs"][:, 0], held, rtol=1e-3)
    np.testing.assert_allclose(found["differs"][:, 1], 0, atol=1e-6)
    np.testing.assert_allclose(found["input"][:, 0], [1, 0, 0, 0, 0, 0], atol=1e-4)
    np.testing.assert_allclose(found["input"][:, 1], 1, atol=1e-4)
    assert len(module.draw(found, zoom=4).axes) == 12  # of which three say what the colours mean
