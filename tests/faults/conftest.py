"""What disturbs a run, and the run that nothing disturbed, to compare with."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from lstm_jax.cli.main import main
from tests.runs import command


@pytest.fixture(scope="session")
def run(tmp_path_factory):
    """A finished run, which nothing disturbed; tests only look at it."""
    workdir = tmp_path_factory.mktemp("runs") / "undisturbed"
    assert main(command(workdir)) == 0
    return workdir


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
