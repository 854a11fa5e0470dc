"""Compiling the C++ kernels where they run, and making them known to XLA.

The sources are part of the package. The first run that can use one compiles it for this very
machine, once, where there is a C++ compiler; nothing of the library needs that.
"""

import ctypes
import functools
import hashlib
import logging
import os
import platform
import shutil
import subprocess
import tempfile
from pathlib import Path

import jax
import jaxlib

from lstm_jax.private_folder import is_private, make_private

PREFIX = "lstm_jax_"
_TARGETS = ("forward", "backward")  # of every source
_SOURCES = Path(__file__).parent
# Contracted to fused multiply-adds, but in no other way than written: no -ffast-math.
_FLAGS = (
    "-std=c++17", "-O3", "-march=native", "-ffp-contract=fast", "-fno-math-errno", "-fPIC",
    "-shared", "-pthread", "-w",
)  # fmt: skip
_log = logging.getLogger("lstm_jax")


class BuildError(Exception):
    """The kernels cannot be compiled or loaded; the message says why."""


@functools.cache
def problem(source: str = "lstm") -> str | None:
    """Why there are no C++ kernels of this source in this process; None when XLA can call them.

    The first call in a process looks for the compiled library, and compiles it if need be.
    """
    if os.environ.get("LSTM_JAX_NATIVE", "").lower() in ("0", "off", "no", "false"):
        return "LSTM_JAX_NATIVE turns the C++ kernels off"
    try:
        library = _open(build(source), source)
    except (BuildError, OSError) as error:
        return f"the C++ kernels cannot be had: {error}"
    for target in (f"{source}_{name}" for name in _TARGETS):
        function = jax.ffi.pycapsule(getattr(library, target))
        jax.ffi.register_ffi_target(PREFIX + target, function, platform="cpu")
    return None


def _open(path: Path, source: str = "lstm") -> ctypes.CDLL:
    try:
        return ctypes.CDLL(str(path))
    except OSError:
        path.unlink()  # damaged on the disk: once more
        return ctypes.CDLL(str(build(source)))


def build(source: str = "lstm") -> Path:
    """The compiled library of this machine and this version of a source, built if it is not.

    Raises:
      BuildError: there is no compiler, or it fails.
    """
    compiler = find_compiler()
    target = cache_folder() / f"kernels-{_fingerprint(compiler, source)}.so"
    if target.exists() and is_private(target):
        return target
    _log.info("compiling C++ kernels with %s, once for this machine", compiler)
    with tempfile.TemporaryDirectory(dir=target.parent) as folder:
        fresh = Path(folder) / target.name
        _compile(compiler, source, fresh)
        fresh.chmod(0o700)  # whatever the umask
        os.replace(fresh, target)  # at once: another process may be doing the same
    return target


def find_compiler() -> str:
    """The C++ compiler: $CXX, or the first that is there.

    Raises:
      BuildError: there is none.
    """
    wanted = os.environ.get("CXX")
    for name in [wanted] if wanted else ["g++", "clang++", "c++"]:
        found = shutil.which(name)
        if found is not None:
            return found
    what = f", CXX={wanted}" if wanted else " (g++, clang++)"
    raise BuildError(f"no C++ compiler{what}")


def cache_folder() -> Path:
    """Where compiled kernels are kept: $XDG_CACHE_HOME/lstm_jax, or else a temporary folder."""
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "lstm_jax" / "native"
    own = Path(tempfile.gettempdir()) / f"lstm_jax-native-{os.getuid()}"
    problems = []
    for folder in (home, own):
        # What is loaded from there runs as this user, so nobody else may be able to write it.
        problem = make_private(folder)
        if problem is None:
            return folder
        problems.append(problem)
    raise BuildError("; ".join(problems))


def _fingerprint(compiler: str, source: str) -> str:
    """Of all that the compiled library depends on; a home folder may serve several machines."""
    digest = hashlib.sha256()
    for path in [*sorted(_SOURCES.glob("*.h")), _SOURCES / f"{source}.cc"]:
        digest.update(path.read_bytes())
    about = (*_FLAGS, compiler, jaxlib.__version__, platform.machine(), _instruction_sets())
    digest.update("\n".join(about).encode())
    return digest.hexdigest()[:16]


def _instruction_sets() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line for line in lines if line.startswith(("flags", "Features"))), "")


def _compile(compiler: str, source: str, target: Path) -> None:
    command = [compiler, *_FLAGS, f"-I{jax.ffi.include_dir()}", "-o", str(target)]
    command.append(str(_SOURCES / f"{source}.cc"))
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise BuildError(f"{compiler}: {error}") from None
    if done.returncode != 0:
        errors = [line for line in done.stderr.splitlines() if "error" in line]
        raise BuildError(f"{compiler} failed: {(errors or ['no message'])[0]}")
