"""The command `lstm-jax`. Commands are imported when they are called: --help answers at once."""

import argparse
import errno
import importlib
import io
import os
import signal
import sys
import threading
from collections.abc import Sequence
from typing import Any

from lstm_jax import __version__
from lstm_jax.errors import ConfigError, UserError

_COMMANDS = {
    "train": "train a model from a config file, or go on with a run that stopped",
    "evaluate": "figures of a trained model on a split of its data",
    "sweep": "search over fields of a config; what a search found",
    "replicate": "a config trained with several seeds: mean, deviation, confidence interval",
    "compare": "the runs of two configs side by side, and whether chance explains it",
    "status": "the state of a run, or of all runs of a folder, while they train or after",
    "generate": "write text with a trained language model",
    "predict": "what a trained model makes of lines of text, or of a file like its training data",
    "debug": "a step whose numbers went wrong, done again with checks on",
    "config": "every field of a config with its type, value and meaning",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a command and returns its exit code: 0, 2 for bad input, 128 + n for signal n."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    parser = argparse.ArgumentParser(
        prog="lstm-jax",
        description="Recurrent-network research for JAX and Flax.",
        epilog="lstm-jax COMMAND --help tells the options of a command.",
    )
    parser.add_argument("--version", action="version", version=f"lstm-jax {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, text in _COMMANDS.items():
        commands.add_parser(name, help=text, add_help=False)
    command = parser.parse_args(arguments[:1]).command
    # Until a run takes signals over, Ctrl-C ends the process at once: an exception in the middle
    # of an import would be lost, or end in a page of text.
    before = _handle_interrupt(signal.SIG_DFL)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal that cannot show a character
    try:
        module = importlib.import_module(f"lstm_jax.cli.{command}")
        return module.main(arguments[1:])
    except UserError as error:
        problems = error.problems if isinstance(error, ConfigError) else [str(error)]
        for problem in problems:
            print(f"lstm-jax {command}: {problem}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"lstm-jax {command}: stopped", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # The reader of our output went away (as `head` does): nothing is left to say.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (MemoryError, OverflowError) as error:  # as a hostile or mistaken size asks for
        print(f"lstm-jax {command}: a size is too large ({error})", file=sys.stderr)
        return 2
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EACCES, errno.EROFS, errno.EDQUOT):
            raise
        print(f"lstm-jax {command}: {error}", file=sys.stderr)
        return 2
    finally:
        _handle_interrupt(before)


def _handle_interrupt(handler: Any) -> Any:
    if handler is None or threading.current_thread() is not threading.main_thread():
        return None  # None: what stood there before was not set from Python
    return signal.signal(signal.SIGINT, handler)


if __name__ == "__main__":
    sys.exit(main())
