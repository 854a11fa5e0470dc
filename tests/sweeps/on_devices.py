"""Trains a population of four and prints where it lay and what came of it; a test runs it."""

import json
import sys
from pathlib import Path

import jax
import numpy as np

from lstm_jax.cli.arguments import use_compilation_cache
from tests.sweeps.test_members import train_members


def main() -> None:
    use_compilation_cache()
    members, _, state = train_members(Path(sys.argv[1]), 4)
    leaf = jax.tree.leaves(state.params)[0]
    leaves = [np.asarray(leaf)[[0, 1, 3]] for leaf in jax.tree.leaves(state.params)]
    found = {
        "devices": members.devices,
        "held": [shard.data.shape[0] for shard in leaf.addressable_shards],
        "params": np.concatenate([leaf.ravel() for leaf in leaves]).tolist(),
    }
    print(json.dumps(found))


if __name__ == "__main__":
    main()
