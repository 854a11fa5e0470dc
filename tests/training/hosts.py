"""Runs of several processes on this machine, each with devices of its own."""

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

from lstm_jax.config import to_json
from lstm_jax.training import experiment
from tests.training.small import small

PATIENCE = 240  # seconds, after which a test fails rather than waits


def write_config(folder: Path, **sections) -> Path:
    """The config of a small model as JSON, which `--config` takes."""
    path = folder / "small.json"
    path.write_text(to_json(experiment(**small(folder, **sections))))
    return path


class Hosts:
    """Processes that train one run; killed when left.

    Args:
      config: a file.
      workdir: of the run.
      count: how many processes.
      devices: of each.
      options: of `lstm-jax train`, for all; a list gives each its own.
    """

    def __init__(self, config: Path, workdir: Path, count: int, devices: int, *options):
        coordinator = f"127.0.0.1:{free_port()}"
        self.processes = []
        self.logs = [workdir.parent / f"{workdir.name}.{i}.log" for i in range(count)]
        for i in range(count):
            own = [option[i] if isinstance(option, list) else option for option in options]
            if count > 1:
                own += [f"--coordinator={coordinator}", f"--num_processes={count}"]
                own += [f"--process_id={i}", "--process_timeout=60"]
            command = ["train", f"--config={config}", f"--workdir={workdir}", *own]
            self.processes.append(start(command, self.logs[i], devices))

    def __enter__(self) -> "Hosts":
        return self

    def __exit__(self, *_) -> None:
        for process in self.processes:
            process.kill()
            process.wait()

    def wait_for(self, text: str) -> None:
        """Waits until the first process says something."""
        for _ in range(PATIENCE * 20):
            if text in self.output(0):
                return
            ended = [p.poll() for p in self.processes if p.poll() is not None]
            assert not ended, f"ended without {text!r}: {self.outputs()}"
            try:
                self.processes[0].wait(0.05)
            except subprocess.TimeoutExpired:
                continue
        raise AssertionError(f"no {text!r} in {PATIENCE} s: {self.outputs()}")

    def send(self, process: int, number: signal.Signals) -> None:
        self.processes[process].send_signal(number)

    def codes(self) -> list[int]:
        """The exit codes, when all have ended."""
        return [process.wait(PATIENCE) for process in self.processes]

    def finish(self) -> None:
        assert set(self.codes()) == {0}, self.outputs()

    def output(self, process: int) -> str:
        """What a process said; without what the collectives of CPUs say on their own.

        Their threads write into each other's lines, so that a line may begin anywhere in it.
        """
        lines = self.logs[process].read_text(errors="replace").splitlines(keepends=True)
        gloo = ("[Gloo] ", "connected peer ranks")
        return "".join(line for line in lines if not any(text in line for text in gloo))

    def outputs(self) -> str:
        return "\n".join(f"--- {i}:\n{self.output(i)}" for i in range(len(self.logs)))


def start(arguments: list[str], log: Path, devices: int, **environment: str) -> subprocess.Popen:
    """`lstm-jax` in a process of its own."""
    flags = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count={devices}"
    with log.open("w") as file:
        return subprocess.Popen(
            [sys.executable, "-m", "lstm_jax.cli.main", *arguments],
            stdout=file,
            stderr=subprocess.STDOUT,
            # Devices that wait for each other need a thread each, or they wait for ever.
            env={
                **os.environ,
                "JAX_PLATFORMS": "cpu",
                "XLA_FLAGS": flags,
                "NPROC": "64",
                **environment,
            },
        )


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def last_meta(workdir: Path) -> dict:
    """What stands beside the last checkpoint."""
    steps = (workdir / "checkpoints").glob("[0-9]*")
    last = max(steps, key=lambda path: int(path.name))
    return json.loads((last / "meta/metadata").read_text())["content"]
