"""What the commands share: config overrides and the compilation cache."""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from lstm_jax.errors import UserError, did_you_mean
from lstm_jax.private_folder import make_private

_PREFIX = "--config."


def parse(
    parser: argparse.ArgumentParser, arguments: Sequence[str], *, overrides: bool = False
) -> tuple[argparse.Namespace, list[str]]:
    """The command's options, and its overrides: `--config.model.hidden_size=512` or `... 512`.

    Raises:
      UserError: an option does not exist.
    """
    parser.add_argument(
        "--parts",
        action="append",
        default=[],
        metavar="MODULE",
        help="a module of your own that the config of the run names; it is imported, and so run",
    )
    known, rest = parser.parse_known_args(arguments)
    found: list[str] = []
    words = iter(rest)
    for word in words:
        if not (overrides and word.startswith(_PREFIX)):
            name = word.partition("=")[0]
            allowed = [flag for action in parser._actions for flag in action.option_strings]
            raise UserError(f"there is no option {name}; {did_you_mean(name, allowed)}")
        text = word.removeprefix(_PREFIX)
        if "=" not in text:
            value = next(words, None)
            if value is None or value.startswith("--"):
                raise UserError(f"{word} needs a value")
            text = f"{text}={value}"
        found.append(text)
    if known.parts:
        from lstm_jax.config import import_parts

        for module in known.parts:
            import_parts(module)
    return known, found


def workdir(text: str) -> Path:
    """The folder of a run, as an option's type."""
    if not text:
        raise UserError("--workdir: is empty")
    return Path(text).expanduser()


def require_devices() -> None:
    """Starts JAX.

    Raises:
      UserError: the platform that was asked for is not there.
    """
    import jax

    try:
        jax.devices()
    except (RuntimeError, AssertionError) as error:
        wanted = os.environ.get("JAX_PLATFORMS", "")
        raise UserError(f"JAX finds no device (JAX_PLATFORMS={wanted!r}): {error}") from None


def use_compilation_cache() -> None:
    """Keeps compiled programs between processes, so that the second start is quick."""
    import jax

    # Read by name: the attribute is made at run time and type checkers do not know it.
    if getattr(jax.config, "jax_compilation_cache_dir", None) is None:
        home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        cache = home / "lstm_jax" / "compiled"
        if problem := make_private(cache):
            print(f"lstm-jax: compiled programs are not kept: {problem}", file=sys.stderr)
            return
        jax.config.update("jax_compilation_cache_dir", str(cache))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.1)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
