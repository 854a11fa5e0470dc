"""Compiling the kernels: what is kept, and what is said where it cannot be done."""

import os
import platform
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from lstm_jax.kernels.native import library


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("LSTM_JAX_NATIVE", raising=False)
    return tmp_path / "cache" / "lstm_jax" / "native"


def compiler(path, script, shell="/bin/sh"):
    path.write_text(f"#!{shell}\n{script}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return str(path)


# The cached function has looked already; what it wraps looks again.
problem = library.problem.__wrapped__


def test_without_a_compiler_it_says_so(monkeypatch):
    monkeypatch.setenv("CXX", "no-such-compiler")
    assert "no C++ compiler, CXX=no-such-compiler" in problem()
    monkeypatch.delenv("CXX")
    monkeypatch.setenv("PATH", "")
    assert "no C++ compiler (g++, clang++)" in problem()


def test_a_failing_compiler_is_quoted(monkeypatch, tmp_path, cache):
    broken = compiler(tmp_path / "cc", "echo 'lstm.cc:1: error: no such header' >&2; exit 1")
    monkeypatch.setenv("CXX", broken)
    assert "no such header" in problem()
    assert not list(cache.iterdir())


def test_what_is_no_library_is_told(monkeypatch, tmp_path):
    # Writes nothing of use where -o says.
    nonsense = 'while [ "$1" != -o ]; do shift; done; echo nonsense > "$2"'
    monkeypatch.setenv("CXX", compiler(tmp_path / "cc", nonsense))
    assert "cannot be had" in problem()


def test_a_damaged_library_is_compiled_again():
    path = library.build()
    path.write_bytes(path.read_bytes()[:100])
    library._open(path)
    assert path.stat().st_size > 10_000


def test_it_can_be_turned_off(monkeypatch):
    monkeypatch.setenv("LSTM_JAX_NATIVE", "off")
    assert problem() == "LSTM_JAX_NATIVE turns the C++ kernels off"


def test_compiles_once(monkeypatch, tmp_path, cache):
    counting = compiler(
        tmp_path / "cc",
        f'echo >> {tmp_path}/calls; while [ "$1" != -o ]; do shift; done; echo x > "$2"',
    )
    monkeypatch.setenv("CXX", counting)
    first = library.build()
    assert library.build() == first
    assert (tmp_path / "calls").read_text() == "\n"
    assert [path.name for path in cache.iterdir()] == [first.name]


def test_a_cache_that_cannot_be_written_is_passed_over(monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    monkeypatch.setattr(library.tempfile, "gettempdir", lambda: str(tmp_path))
    assert library.cache_folder().parent == tmp_path


@pytest.mark.long
@pytest.mark.skipif(platform.machine() != "x86_64", reason="names processors of x86-64")
@pytest.mark.parametrize("processor", ["x86-64", "haswell"])
def test_narrower_vectors_compute_the_same(tmp_path, processor):
    if processor == "haswell" and " avx2 " not in Path("/proc/cpuinfo").read_text():
        pytest.skip("this processor has no AVX2")
    command = f'exec {library.find_compiler()} "${{@/-march=native/-march={processor}}}"'
    wrapper = compiler(tmp_path / "cxx", command, shell="/bin/bash")
    tests = [Path(__file__).parent / f"test_{name}.py" for name in ("lstm", "conv_lstm")]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", "reference", *tests],
        env={**os.environ, "CXX": wrapper, "XDG_CACHE_HOME": str(tmp_path / "own")},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout
    assert "skipped" not in done.stdout
