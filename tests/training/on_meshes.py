"""Trains a small model on several meshes and prints what happened as JSON; a test runs it.

Arguments: meshes as data,fsdp,model. Host devices are asked for by XLA_FLAGS.
"""

import functools
import json
import sys
import tempfile
from pathlib import Path

import jax

from lstm_jax.cli.arguments import use_compilation_cache
from lstm_jax.training import Console, Run, experiment
from lstm_jax.training.session import open_session
from tests.training.small import small

STEPS = 6
COMPILED: list[str] = []  # every time that JAX asks for a program, from its cache or anew


def main() -> None:
    use_compilation_cache()
    jax.monitoring.register_event_duration_secs_listener(note_compilation)
    found = {}
    for spec in sys.argv[1:]:
        data, fsdp, model = map(int, spec.split(","))
        with tempfile.TemporaryDirectory() as folder:
            config = experiment(
                **small(Path(folder), mesh={"data": data, "fsdp": fsdp, "model": model})
            )
            found[spec] = train(Run.open(Path(folder) / "run", config))
    print(json.dumps(found))  # the last line; before it stands what the runs say


def train(run: Run) -> dict:
    session = open_session(run, Console())
    before = jax.device_get(session.state.params)
    nats, compiled, seen = [], [], len(COMPILED)
    for step in range(STEPS):
        # The first step compiles, which moves constants.
        with jax.transfer_guard("disallow" if step else "allow"):
            session.advance()
        nats.append(float(jax.device_get(session.state.sums["nats"])))
        compiled.append(len(COMPILED) > seen)
        seen = len(COMPILED)
    return {
        "nats": nats,
        "compiled": compiled,
        "before": flat(before, float),
        "after": flat(jax.device_get(session.state.params), float),
        "shapes": flat(session.state.params, shard_shape),
        "momenta": flat(session.state.opt_state, shard_shape),
        "carry": flat(session.state.carry, shard_shape),
    }


def note_compilation(event: str, duration_secs: float, **_: str | int) -> None:
    del duration_secs
    if "backend_compile" in event:
        COMPILED.append(event)


def flat(tree, value) -> dict:
    leaves, _ = jax.tree_util.tree_flatten_with_path(tree)
    value = (lambda leaf: leaf.ravel().tolist()) if value is float else value
    keystr = functools.partial(jax.tree_util.keystr, simple=True, separator="/")
    return {keystr(path): value(leaf) for path, leaf in leaves}


def shard_shape(leaf) -> list[int]:
    return list(leaf.addressable_shards[0].data.shape)


if __name__ == "__main__":
    main()
