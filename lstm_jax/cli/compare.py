"""`lstm-jax compare`: the runs of two configs side by side, and whether chance explains it."""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

from lstm_jax.cli.arguments import parse


def main(arguments: Sequence[str]) -> int:
    """Runs the command."""
    parser = argparse.ArgumentParser(
        prog="lstm-jax compare",
        description="The finished runs of two folders, such as lstm-jax replicate makes: their "
        "difference, its 95 % confidence interval, and whether chance explains it.",
    )
    parser.add_argument("first", type=Path, help="a folder of runs of the first config")
    parser.add_argument("second", type=Path, help="a folder of runs of the second")
    parser.add_argument("--split", default="test", help="whose figures (default test)")
    parser.add_argument("--metric", help="which figure; the task's first, if not given")
    parser.add_argument(
        "--paired",
        action="store_true",
        help="runs of one name are pairs: for seeds that decide the split of the data",
    )
    parser.add_argument("--draw", type=Path, help="a PNG file for a picture")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options, _ = parse(parser, arguments)

    from lstm_jax.sweeps.verdict import judge

    verdict = judge(
        (options.first, options.second), options.split, options.metric, paired=options.paired
    )
    if options.draw is not None:
        from lstm_jax.sweeps.figures import draw_replicates

        draw_replicates(verdict.values, verdict.metric, options.split, options.draw)
    print(json.dumps(verdict.as_json()) if options.json else verdict.text)
    return 0
