"""Shared by all tests: one compilation cache, and the folder of the real data."""

from pathlib import Path

import pytest

from lstm_jax.cli.arguments import use_compilation_cache

REPOSITORY = Path(__file__).resolve().parent.parent
CHAR_LM = str(REPOSITORY / "configs/text/char_lm.py")

use_compilation_cache()


@pytest.fixture(scope="session")
def smoke_run(tmp_path_factory):
    """A finished run of the smoke config; tests only look at it."""
    from lstm_jax.cli.main import main

    workdir = tmp_path_factory.mktemp("runs") / "smoke"
    assert main(["train", f"--config={CHAR_LM}:smoke", f"--workdir={workdir}"]) == 0
    return workdir
