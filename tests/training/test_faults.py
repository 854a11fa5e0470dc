"""Full disks, damaged files, two processes, other devices: the end is the same bit for bit."""

import json
import os
import shutil
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lstm_jax.cli.main import main
from lstm_jax.errors import UserError
from lstm_jax.training import Run, load_config
from lstm_jax.training.checkpoints import Checkpoints
from lstm_jax.training.digests import leaf_digests
from lstm_jax.training.lock import Lock, trainer
from tests.conftest import CHAR_LM
from tests.runs import STEPS, command, figures, finish, start, unfinished, wait_for_line


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A finished run, which nothing disturbed; tests only look at it."""
    workdir = tmp_path_factory.mktemp("runs") / "undisturbed"
    assert main(command(workdir)) == 0
    return workdir


# Disks without room


@pytest.fixture
def small_disk(tmp_path):
    """Mounts a disk in memory of so many bytes on a folder."""
    mounted = []

    def mount(folder: Path, size: int) -> Path:
        folder.mkdir(parents=True)
        options = ["-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
        if shutil.which("mount") is None or os.geteuid() != 0:
            pytest.skip("only root can mount a small disk")
        if subprocess.run(["mount", *options], capture_output=True).returncode != 0:
            pytest.skip("this machine lets nobody mount a small disk")
        mounted.append(folder)
        return folder

    yield mount
    for folder in mounted:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def fill(disk: Path, leave: int = 0) -> Path:
    """Takes all room but some bytes."""
    filler = disk / "filler"
    with filler.open("wb") as file:
        file.write(b"\0" * (shutil.disk_usage(disk).free - leave))
    return filler


def trees(value=0.0):
    noise = jax.random.normal(jax.random.key(0), (64, 1024))  # zeros would take no room
    return {"params": {"w": noise + value}, "training": {"step": jnp.int32(7)}}


def test_what_finds_no_room_is_kept_and_written_when_there_is_some(small_disk, tmp_path, capfd):
    disk = small_disk(tmp_path / "disk", 2 << 20)
    checkpoints = Checkpoints(disk / "c")
    scores = {1: 5.0, 2: 1.0, 3: 4.0, 4: 3.0, 5: 2.0}
    for step, score in scores.items():
        checkpoints.save(step, trees(float(step)), {}, score)
        if step == 1:
            checkpoints.wait()
            filler = fill(disk, leave=100_000)
    with pytest.raises(UserError, match=r"step 5 cannot be saved in .*: no room left"):
        checkpoints.wait()
    assert checkpoints.steps() == [1]
    assert leaf_digests(checkpoints.latest(trees()).trees) == leaf_digests(trees(1.0))
    printed = capfd.readouterr()
    assert all(line.startswith("lstm-jax: step ") for line in printed.err.splitlines()), printed
    filler.unlink()
    checkpoints.save(6, trees(6.0), {}, 6.0)
    checkpoints.wait()
    # As if there had always been room, but for 4, which was neither the last nor the best.
    assert checkpoints.steps() == [2, 5, 6]
    for step in (2, 5, 6):
        assert leaf_digests(checkpoints.restore(step, trees()).trees) == leaf_digests(
            trees(float(step))
        )
    assert "is saved after all" in capfd.readouterr().err
    checkpoints.close()


@pytest.mark.slow
@pytest.mark.parametrize("where", ["run", "run/checkpoints"])
def test_a_run_goes_on_while_the_disk_is_full(run, small_disk, tmp_path, where):
    disk = small_disk(tmp_path / where, 8 << 20)
    filler = fill(disk, leave=600_000)
    process = start(tmp_path / "run")
    wait_for_line(process, "no room left")
    process.send_signal(signal.SIGSTOP)
    filler.unlink()
    process.send_signal(signal.SIGCONT)
    output = finish(process)
    assert process.returncode == 0, output
    assert "is saved after all" in output
    assert "Traceback" not in output
    assert figures(tmp_path / "run") == figures(run)


@pytest.mark.slow
def test_a_run_that_finds_no_room_to_the_end_says_so_and_goes_on_later(run, small_disk, tmp_path):
    disk = small_disk(tmp_path / "run", 8 << 20)
    filler = fill(disk, leave=600_000)
    process = start(tmp_path / "run")
    output = finish(process)
    assert process.returncode == 2, output
    assert f"step {STEPS} cannot be saved" in output.splitlines()[-1]
    assert "Traceback" not in output
    assert len(output.splitlines()) < 60, "the storage must not print pages of its own"
    last = max(Checkpoints(disk / "checkpoints").steps())
    assert last < STEPS
    assert json.loads((disk / "config.json").read_text())
    for line in (disk / "metrics.jsonl").read_text().splitlines():
        json.loads(line)
    filler.unlink()
    output = finish(start(tmp_path / "run"))
    assert f"going on from step {last}" in output
    assert figures(tmp_path / "run") == figures(run)


def test_a_start_without_room_says_so_and_leaves_nothing_torn(small_disk, tmp_path, capfd):
    disk = small_disk(tmp_path / "disk", 1 << 20)
    fill(disk)
    assert main(command(disk / "run")) == 2
    printed = capfd.readouterr().err
    assert printed.endswith("config.json cannot be written: no room left\n"), printed
    assert len(printed.splitlines()) == 1
    assert not [f for f in (disk / "run").rglob("*") if f.is_file() and f.name != ".lock"]


def test_a_result_is_written_whole_or_not_at_all(small_disk, tmp_path):
    disk = small_disk(tmp_path / "disk", 1 << 20)
    run = Run.open(disk / "run", load_config(f"{CHAR_LM}:smoke"))
    filler = fill(disk, leave=4096)
    with pytest.raises(UserError, match=r"result\.json cannot be written: no room left"):
        run.write_result({"sample": "x" * 100_000})
    assert run.result() is None
    assert not [f for f in (disk / "run").iterdir() if "result" in f.name]
    filler.unlink()
    run.write_result({"sample": "x" * 100_000})
    assert run.result() == {"sample": "x" * 100_000}


# Damaged files


def flip(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 4
    file.write_bytes(content)


def cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def largest(folder: Path) -> Path:
    return max((f for f in folder.rglob("*") if f.is_file()), key=lambda f: f.stat().st_size)


def empty(step: Path) -> None:
    shutil.rmtree(step)
    step.mkdir()


DAMAGE = {
    "a bit of the parameters": lambda step: flip(largest(step / "params")),
    "a bit of the training state": lambda step: flip(largest(step / "training")),
    "a bit of the metadata": lambda step: flip(step / "meta/metadata"),
    "a bit of a manifest": lambda step: flip(step / "params/manifest.ocdbt"),
    "a bit of an index": lambda step: flip(largest(step / "training/d")),
    "a bit of the structure": lambda step: flip(step / "training/_METADATA"),
    "a file cut short": lambda step: cut(largest(step / "params")),
    "an empty folder": empty,
}


@pytest.mark.slow
@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_checkpoint_is_set_aside_and_the_end_is_the_same(run, tmp_path, capfd, damage):
    workdir = unfinished(run, tmp_path / "run")
    DAMAGE[damage](workdir / "checkpoints" / str(STEPS))
    assert main(command(workdir)) == 0
    printed = capfd.readouterr()
    assert f"checkpoint {STEPS} in {workdir}/checkpoints is damaged: " in printed.err
    assert len(printed.err.splitlines()) == 1, printed.err
    assert f"going on from step {STEPS - 40}" in printed.out
    assert (workdir / "damaged_checkpoints" / str(STEPS)).is_dir()
    assert figures(workdir) == figures(run)


def test_when_every_checkpoint_is_damaged_one_sentence_says_so(run, tmp_path, capfd):
    workdir = unfinished(run, tmp_path / "run")
    for step in (workdir / "checkpoints").iterdir():
        flip(step / "meta/metadata")

    def on_disk():
        files = (f for f in workdir.rglob("*") if f.is_file() and f.name != ".lock")
        return {f: (f.read_bytes(), f.stat().st_mtime_ns) for f in files}

    before = on_disk()
    assert main(command(workdir)) == 2
    assert on_disk() == before
    printed = capfd.readouterr().err
    assert len(printed.splitlines()) == 1, printed
    assert "no checkpoint is whole, and nothing was changed" in printed


# Two processes


@pytest.mark.slow
def test_a_second_process_is_refused_and_readers_are_not(tmp_path):
    workdir = tmp_path / "run"
    first = start(workdir, "--config.train.duration=1000000 steps")
    wait_for_line(first, "step 100/")
    second = start(workdir, "--config.train.duration=1000000 steps")
    output = finish(second)
    assert second.returncode == 2
    assert f"another process is training this run (process {first.pid} on " in output
    assert trainer(workdir)["pid"] == first.pid
    for reader in (["evaluate", "--json"], ["generate", "--length=10"], ["status"]):
        assert main([*reader, f"--workdir={workdir}"]) == 0
    assert first.poll() is None
    first.kill()
    first.communicate()
    assert trainer(workdir) is None
    third = start(workdir, "--config.train.duration=1000000 steps")
    wait_for_line(third, "going on from step")  # a crash leaves no lock behind
    third.kill()
    third.communicate()


def test_the_lock_of_a_process_goes_with_it(tmp_path):
    lock = Lock(tmp_path)
    with pytest.raises(UserError, match=f"process {os.getpid()} on"):
        Lock(tmp_path)
    assert trainer(tmp_path)["pid"] == os.getpid()
    del lock
    assert trainer(tmp_path) is None
    Lock(tmp_path)
    assert trainer(tmp_path / "absent") is None


def test_steps_that_a_trainer_deletes_disturb_no_reader(tmp_path):
    program = """
        import sys, pathlib
        from lstm_jax.training.checkpoints import Checkpoints
        from tests.training.test_faults import trees
        checkpoints = Checkpoints(pathlib.Path(sys.argv[1]), keep_latest=1)
        for step in range(1, 40):
            checkpoints.save(step, trees(float(step)), {}, 1.0 / step)
    """
    folder = tmp_path / "c"
    writer = subprocess.Popen([sys.executable, "-c", textwrap.dedent(program), str(folder)])
    seen = set()
    while writer.poll() is None:
        for find in (Checkpoints(folder).best, Checkpoints(folder).latest):
            restored = find(trees())
            if restored is not None:
                seen.add(restored.step)
                assert leaf_digests(restored.trees) == leaf_digests(trees(float(restored.step)))
    assert writer.returncode == 0
    assert len(seen) > 1


# Other devices

ON_DEVICES = """
    import pathlib, sys, jax, numpy as np
    from jax.sharding import Mesh, NamedSharding, PartitionSpec as P
    from lstm_jax.training.checkpoints import Checkpoints
    from lstm_jax.training.digests import leaf_digests
    folder, step, devices = pathlib.Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    assert jax.device_count() == devices
    mesh = Mesh(np.array(jax.devices()), ("data",))
    def place(shape, dtype, *axes):
        return jax.ShapeDtypeStruct(shape, dtype, sharding=NamedSharding(mesh, P(*axes)))
    key = jax.eval_shape(jax.random.key, 0)
    like = {
        "params": {"w": place((8, 64), "float32", "data"), "b": place((4,), "bfloat16")},
        "training": {"m": place((64, 8), "float32", None, "data"), "key": place((), key.dtype)},
    }
    checkpoints = Checkpoints(folder)
    restored = checkpoints.resume(like)
    for name, found in {"w": restored.trees["params"]["w"], **restored.trees["training"]}.items():
        assert len(found.sharding.device_set) == devices, name
    checkpoints.save(step, restored.trees, restored.meta, None)
    checkpoints.wait()
    checkpoints.close()
    print(leaf_digests(restored.trees))
"""


def on_devices(folder: Path, step: int, devices: int) -> str:
    flags = f"--xla_force_host_platform_device_count={devices}"
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(ON_DEVICES), str(folder), str(step), str(devices)],
        env=os.environ | {"XLA_FLAGS": flags},
        capture_output=True,
        text=True,
        check=True,
    ).stdout


def test_a_checkpoint_goes_from_one_device_to_four_and_back(tmp_path):
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
    expected = f"{leaf_digests(state)}\n"
    assert on_devices(tmp_path / "c", 2, 4) == expected
    assert on_devices(tmp_path / "c", 3, 1) == expected
    assert on_devices(tmp_path / "c", 4, 2) == expected
    assert leaf_digests(Checkpoints(tmp_path / "c").latest(state).trees) == leaf_digests(state)


@pytest.mark.slow
def test_a_run_goes_on_on_another_number_of_devices(run, tmp_path):
    workdir = tmp_path / "run"
    for devices, at in ((1, "step 100/"), (4, "step 200/")):
        flags = f"--xla_force_host_platform_device_count={devices}"
        process = start(workdir, XLA_FLAGS=flags)
        wait_for_line(process, at)
        process.send_signal(signal.SIGTERM)
        assert "saved step" in finish(process)
        assert process.returncode == 143
    assert "going on from step" in finish(start(workdir))
    found, expected = figures(workdir), figures(run)
    assert found["data"] == expected["data"]
    assert [line["step"] for line in found["lines"]] == [line["step"] for line in expected["lines"]]
    for line, other in zip(found["lines"], expected["lines"], strict=True):
        # Sums over devices are added in another order.
        np.testing.assert_allclose(line["loss"], other["loss"], rtol=1e-3)
