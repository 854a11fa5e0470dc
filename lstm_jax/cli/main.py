"""The command `lstm-jax`. Commands are imported when they are called: --help answers at once."""

import argparse
import importlib
import os
import sys
from collections.abc import Sequence

from lstm_jax import __version__
from lstm_jax.errors import ConfigError, UserError

_COMMANDS = {
    "train": "train a model from a config file, or go on with a run that stopped",
    "evaluate": "figures of a trained model on a split of its data",
    "generate": "write text with a trained language model",
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
    module = importlib.import_module(f"lstm_jax.cli.{command}")
    try:
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


if __name__ == "__main__":
    sys.exit(main())
