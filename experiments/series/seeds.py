r"""Trains a config once for each of several seeds, and tells the mean and deviation of its figures.

    python experiments/series/seeds.py --config=configs/series/japanese_vowels.py \
        --workdir=runs/japanese_vowels --config.data.path=... --config.data.test_path=...

Each run is an ordinary one in a folder of its own, WORKDIR/seed_0 and so on; those that are
finished are not run again. `--vary` names the fields that take the seed: those of initialisation
and of the order of the data by default. With `--vary=data.split_seed --split=validation` and a
large `--config.data.validation_share` it validates a choice on the training data alone.
"""

import argparse
import json
import statistics
from pathlib import Path

from lstm_jax.cli.main import main as lstm_jax


def main() -> None:
    """Prints a JSON object, and writes it to WORKDIR/seeds.json."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--config", required=True)
    parser.add_argument("--workdir", required=True, type=Path)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--vary", default="seed,data.seed", help="fields, with commas between them")
    parser.add_argument("--split", default="test", help="whose figures are told")
    options, overrides = parser.parse_known_args()

    results = [train(options, seed, overrides) for seed in range(options.seeds)]
    found = {
        "config": options.config,
        "overrides": [text for text in overrides if "path=" not in text],
        "varied": options.vary,
        "seconds": summary([result["seconds"] for result in results]),
        "baselines": results[0]["baselines"],
    }
    for name in results[0]:
        if name.startswith(f"{options.split}/"):
            found[name] = summary([result[name] for result in results])
    text = json.dumps(found, indent=2)
    print(text)
    (options.workdir / "seeds.json").write_text(text + "\n")


def train(options: argparse.Namespace, seed: int, overrides: list[str]) -> dict:
    """The result of the run with a seed, which is trained unless it is finished."""
    workdir = options.workdir / f"seed_{seed}"
    if not (workdir / "result.json").exists():
        varied = [f"--config.{field}={seed}" for field in options.vary.split(",")]
        arguments = [f"--config={options.config}", f"--workdir={workdir}", *overrides, *varied]
        if lstm_jax(["train", *arguments]) != 0:
            raise SystemExit(f"{workdir}: the run did not end well")
    return json.loads((workdir / "result.json").read_text())


def summary(values: list[float]) -> dict:
    """Mean, sample deviation, and each."""
    deviation = statistics.stdev(values) if len(values) > 1 else 0.0
    return {"mean": statistics.fmean(values), "deviation": deviation, "values": values}


if __name__ == "__main__":
    main()
