"""A run's folder from a stranger: one clear sentence and exit code 2, in bounded time."""

import json
import shutil
import signal
import sys

import jax
import numpy as np
import pytest

from lstm_jax.cli.main import main
from lstm_jax.errors import UserError
from lstm_jax.training import Run, load_config
from lstm_jax.training.diagnosis import load_batch, saved_steps
from lstm_jax.training.digests import leaf_shapes
from lstm_jax.training.experiment import own_modules
from tests.conftest import CHAR_LM
from tests.security import hostile
from tests.security.hostile import DEEP, HUGE, edited, folder, link, metadata, metadata_text, pipe
from tests.security.hostile import replaced as text


@pytest.fixture(autouse=True)
def bounded():
    """Ends a test that hangs."""

    def stop(*_):
        raise AssertionError("it took more than a minute")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(60)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.fixture
def run(smoke_run, tmp_path):
    """A copy of a finished run, to be made hostile."""
    return shutil.copytree(smoke_run, tmp_path / "stranger" / "run")


def assert_refused(arguments, capfd):
    capfd.readouterr()
    assert main(arguments) == 2
    printed = capfd.readouterr()
    assert "Traceback" not in printed.err
    assert printed.err.strip()
    assert len(printed.err) < 2000, printed.err
    return printed.err


HOSTILE = {
    "config: no JSON": text("config.json", "\0"),
    "config: deep": text("config.json", DEEP),
    "config: a number of many digits": text("config.json", f'{{"seed": {HUGE}}}'),
    "config: a list": text("config.json", "[1]"),
    "config: no UTF-8": text("config.json", b"\xff\xfe"),
    "config: half a character": text("config.json", '{"task": "\\ud800"}'),
    "config: a folder": folder("config.json"),
    "config: a pipe": pipe("config.json"),
    "config: a link": link("config.json"),
    "config: sections that are none": edited("config.json", model=7),
    "config: parts that are none": edited("config.json", optimizer=[1]),
    "config: a cell of no name": edited("config.json", model__cell={}),
    "config: negative sizes": edited("config.json", model__hidden_size=-3),
    "config: huge sizes": edited("config.json", model__hidden_size=10**18),
    "config: an embedding for ever": edited("config.json", model__embedding_size=10**12),
    "config: no number": edited("config.json", model__dropout=float("nan")),
    "config: another cell": edited("config.json", model__hidden_size=17),
    "vocabulary: no JSON": text("assets/vocabulary.json", "\0"),
    "vocabulary: deep": text("assets/vocabulary.json", DEEP),
    "vocabulary: a number": text("assets/vocabulary.json", HUGE),
    "vocabulary: a folder": folder("assets/vocabulary.json"),
    "vocabulary: a pipe": pipe("assets/vocabulary.json"),
    "vocabulary: a link": link("assets/vocabulary.json"),
    "vocabulary: other symbols": edited("assets/vocabulary.json", symbols=["a"] * 1000),
    "metadata: no JSON": metadata_text("\0"),
    "metadata: deep": metadata_text(DEEP),
    "metadata: a number": metadata_text(HUGE),
    "metadata: deep inside": metadata_text('{"digest": "", "content": ' + DEEP),
    "metadata: a list": metadata_text("[]"),
    "metadata: no digests": metadata(digests=...),
    "metadata: digests that are none": metadata(digests=[1]),
    "metadata: no leaves": metadata(leaves=...),
    "metadata: leaves that are none": metadata(leaves="many"),
    "metadata: huge leaves": metadata(leaves={"params/embedding": "float32 (1000000000000,)"}),
    "metadata: a fingerprint that is none": metadata(fingerprint=[1]),
    "metadata: a score that is none": metadata(score="low"),
    "checkpoints: a link": link("checkpoints"),
    "checkpoints: a folder": lambda run: shutil.move(run / "checkpoints", run / "gone"),
    "parameters: a pipe": lambda run: pipe(
        str(next((run / "checkpoints").glob("*/params/_METADATA")).relative_to(run))
    )(run),
}


def test_a_checkpoint_larger_than_the_memory_is_refused(run, capfd):
    """Its files may be small: what is not there is zero."""
    edited("config.json", model__hidden_size=2_000_000)(run)
    found = Run.load(run)
    learner = found.experiment.task.restore(found.assets)
    like = {"params": jax.eval_shape(learner.init, jax.random.key(0))}
    metadata(leaves=leaf_shapes(like), digests=dict.fromkeys(leaf_shapes(like), ""))(run)
    error = assert_refused(["generate", f"--workdir={run}"], capfd)
    assert "GB of memory here" in error


@pytest.mark.parametrize("what", HOSTILE)
def test_a_hostile_run_is_refused(run, capfd, what):
    HOSTILE[what](run)
    outside = run.parent / "outside"
    before = sorted(outside.rglob("*")) if outside.is_dir() else []
    assert_refused(["generate", f"--workdir={run}", "--length=5"], capfd)
    assert_refused(["evaluate", f"--workdir={run}", "--split=validation"], capfd)
    assert before == (sorted(outside.rglob("*")) if outside.is_dir() else [])


def test_a_stored_config_imports_nothing(run, tmp_path, capfd, monkeypatch):
    """Not even from the current folder, which may be the stranger's own."""
    (tmp_path / "a_trap.py").write_text("raise SystemExit('it ran')")
    monkeypatch.chdir(tmp_path)
    for name in ("a_trap:f", "os:system", "antigravity:fly", "..:x", ":"):
        edited("config.json", model__cell={"name": name})(run)
        error = assert_refused(["generate", f"--workdir={run}"], capfd)
        assert "model.cell" in error
        assert_refused(["train", f"--workdir={run}"], capfd)
        assert_refused(["config", f"--config={run}/config.json"], capfd)
    assert "a_trap" not in sys.modules
    assert "antigravity" not in sys.modules
    edited("config.json", model__cell={"name": "a_trap:f"})(run)
    assert "add --parts=a_trap" in assert_refused(["evaluate", f"--workdir={run}"], capfd)


def test_parts_are_imported_on_the_word_of_the_user(run, tmp_path, capfd, monkeypatch):
    cell = "import lstm_jax as lj\n@lj.register('cell')\ndef mine(hidden_size):\n    return lj."
    (tmp_path / "my_own.py").write_text(cell + "gru(hidden_size)\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    edited("config.json", model__cell={"name": "my_own:mine"})(run)
    assert "add --parts" in assert_refused(["evaluate", f"--workdir={run}"], capfd)
    error = assert_refused(["evaluate", f"--workdir={run}", "--parts=my_own"], capfd)
    assert "of another model" in error  # it was an LSTM: the config is taken, its cell is found
    assert "cannot import" in assert_refused(
        ["evaluate", f"--workdir={run}", "--parts=no_such_module"], capfd
    )


UNRESUMABLE = {
    "no position": metadata(data=...),
    "a position that is none": metadata(data=[1]),
    "no early stopping": metadata(early_stopping=...),
    "for ever": metadata(seconds=float("nan")),
    "a time that is none": metadata(seconds="long"),
}


@pytest.mark.parametrize("what", UNRESUMABLE)
def test_a_hostile_run_is_not_gone_on_with(run, capfd, what):
    (run / "result.json").unlink()
    UNRESUMABLE[what](run)
    assert_refused(["train", f"--workdir={run}"], capfd)


@pytest.mark.parametrize("state", [{"next_index": -1}, {"next_index": 0.5}, {}, "x", [], None])
def test_a_hostile_position_in_the_data_is_refused(run, capfd, state):
    (run / "result.json").unlink()
    step = max((run / "checkpoints").iterdir(), key=lambda path: int(path.name))
    data = json.loads((step / "meta/metadata").read_text())["content"]["data"]
    metadata(data=data | {"state": state})(run)
    assert_refused(["train", f"--workdir={run}"], capfd)


@pytest.mark.parametrize(
    "name", ["checkpoints", "assets", "figures", "debug", "metrics.jsonl", ".lock", "tensorboard"]
)
def test_nothing_outside_is_touched(run, capfd, name):
    (run / "result.json").unlink()
    if not (run / name).exists():
        (run / name).mkdir()
    link(name)(run)
    outside = run.parent / "outside"
    before = {path: path.read_bytes() for path in outside.rglob("*") if path.is_file()}
    error = assert_refused(["train", f"--workdir={run}"], capfd)
    assert "leads out of the run's folder" in error
    assert before == {path: path.read_bytes() for path in outside.rglob("*") if path.is_file()}
    (run / "config.json").unlink()
    smoke = ["train", f"--config={CHAR_LM}:smoke", f"--workdir={run}"]
    assert "leads out of the run's folder" in assert_refused(smoke, capfd)


STATUS = {
    "deep": text("heartbeat.json", DEEP),
    "a number": text("heartbeat.json", HUGE),
    "a pipe": pipe("heartbeat.json"),
    "a pipe of figures": pipe("metrics.jsonl"),
    "a pipe for a lock": pipe(".lock"),
    "a pipe for a result": pipe("result.json"),
    "a result of texts": text("result.json", '{"test/bits_per_character": "x", "steps": []}'),
    "figures of texts": text("metrics.jsonl", '{"step": "a", "split": "train"}\n{"step": 1}\n'),
    "deep figures": text("metrics.jsonl", DEEP + "\n"),
    "one endless line": text("metrics.jsonl", "1" * (1 << 24)),
    "a state that is none": text("heartbeat.json", '{"state": ["running"]}'),
    "figures that are none": text("heartbeat.json", '{"state": "running", "last": {"train": 3}}'),
    "a time that is none": text("heartbeat.json", '{"state": "running", "time": "now"}'),
    "endless times": text("heartbeat.json", '{"state": "running", "time": 1e999, "pid": 1}'),
    "a pid of many digits": text(
        "heartbeat.json", '{"state": "running", "pid": 1' + "0" * 300 + "}"
    ),
    "warnings that are none": text("heartbeat.json", '{"state": "running", "warnings": [1]}'),
    "steps that are none": lambda run: (run / "checkpoints" / "²").mkdir(),
}


@pytest.mark.parametrize("what", STATUS)
def test_the_status_of_a_hostile_run_is_told(run, capfd, what):
    STATUS[what](run)
    for more in ([], ["--json"]):
        assert main(["status", f"--workdir={run}", *more]) == 0
    assert main(["status", f"--workdir={run.parent}"]) == 0
    assert "Traceback" not in capfd.readouterr().err


def test_a_heartbeat_does_not_steer_the_terminal(run, capfd):
    (run / "result.json").unlink()
    beat = {"state": "failed", "reason": "\x1b]0;mine\x07\x1b[2J", "warnings": []}
    (run / "heartbeat.json").write_text(json.dumps(beat))
    assert main(["status", f"--workdir={run}"]) == 0
    assert "\x1b" not in capfd.readouterr().out


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (hostile.array_bomb, "has not the size"),
        (hostile.zip_bomb, "is compressed"),
        (hostile.object_array, "only pickle"),
        (lambda path: path.write_bytes(b"PK\3\4"), "cannot be read"),
    ],
)
def test_a_step_kept_for_debug_is_data(tmp_path, make, why):
    folder = tmp_path / "debug" / "step_3"
    folder.mkdir(parents=True)
    make(folder / "batch.npz")
    with pytest.raises(UserError, match=why):
        load_batch(tmp_path, 3)
    np.savez(folder / "batch.npz", inputs=np.ones((2, 3), "f", order="F"), start=np.array(True))
    found = load_batch(tmp_path, 3)
    np.testing.assert_array_equal(found["inputs"], np.ones((2, 3)))
    assert found["start"].shape == ()


def test_the_names_of_steps_kept_for_debug_are_numbers(tmp_path):
    for name in ("step_3", "step_../..", "step_x", "step_²"):
        (tmp_path / "debug" / name).mkdir(parents=True, exist_ok=True)
        (tmp_path / "debug" / name / "report.json").write_text("{}")
    assert saved_steps(tmp_path) == [3]


def test_a_run_tells_how_its_own_parts_are_named(tmp_path, monkeypatch):
    cell = "import lstm_jax as lj\n@lj.register('cell')\ndef other(hidden_size):\n    return lj."
    (tmp_path / "my_others.py").write_text(cell + "gru(hidden_size)\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    spec = f"{CHAR_LM}:smoke"
    assert own_modules(load_config(spec, ["data.path=a:b", "data.source=text_file"])) == []
    assert own_modules(load_config(spec, ["model.cell=my_others:other"])) == ["my_others"]
