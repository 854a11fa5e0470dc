"""Damage of each kind of checkpoint file: it is named, set aside, and the step before is used."""

import shutil
from pathlib import Path

import pytest

from lstm_jax.cli.main import main
from tests.runs import SAVED_EVERY, STEPS, command, figures, go_on, unfinished


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
    go_on(workdir)
    printed = capfd.readouterr()
    assert f"checkpoint {STEPS} in {workdir}/checkpoints is damaged: " in printed.err
    assert len(printed.err.splitlines()) == 1, printed.err
    assert f"going on from step {STEPS - SAVED_EVERY}" in printed.out
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
