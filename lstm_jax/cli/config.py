"""`lstm-jax config`: every field of a config with its type, value and meaning."""

import argparse
from collections.abc import Sequence
from typing import Any

from lstm_jax.cli.arguments import parse


def main(arguments: Sequence[str]) -> int:
    """Runs the command."""
    parser = argparse.ArgumentParser(
        prog="lstm-jax config", description="Every field of a config, checked, without running it."
    )
    parser.add_argument("--config", required=True, help="a config file, or a run's config.json")
    parser.add_argument("--json", action="store_true", help="print it as config.json would hold it")
    options, overrides = parse(parser, arguments, overrides=True)

    from lstm_jax.config import to_json
    from lstm_jax.config.check import NEEDS_VALUE
    from lstm_jax.errors import ConfigError
    from lstm_jax.training import build_experiment, load_config

    config = load_config(options.config, overrides)
    try:
        build_experiment(config)
    except ConfigError as error:
        # Whoever asks what there is need not know yet what must be given: the sentence follows.
        if not options.json and all(NEEDS_VALUE in problem for problem in error.problems):
            _print_fields(config)
        raise
    if options.json:
        print(to_json(config), end="")
    else:
        _print_fields(config)
    return 0


def _print_fields(config: Any) -> None:
    from lstm_jax.config import describe
    from lstm_jax.training import Experiment

    rows = list(describe(Experiment, config))
    width = max(len(f"{row.path} = {row.value!r}") for row in rows)
    for row in rows:
        print(f"{f'{row.path} = {row.value!r}':<{min(width, 56)}}  # {row.type}: {row.comment}")
