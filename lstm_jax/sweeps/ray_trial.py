"""A trial on the node of a cluster: the training, and what there is to tell of it."""

import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

from lstm_jax.sweeps.runs import Planned, stop
from lstm_jax.sweeps.search import Ending, Search, read_ending, read_figures
from lstm_jax.sweeps.study import SETTINGS

_POLL = 0.3  # seconds
_TURN = 2.0  # seconds at most between two reports: a worker that is to stop hears it then
# Where a scheduler has started Ray as one of several processes, a trial is none of them.
_ALONE = {
    "JAX_COORDINATOR_ADDRESS": "localhost:1",  # that nobody asks
    "JAX_NUM_PROCESSES": "1",
    "JAX_PROCESS_ID": "0",
}


class ClusterTrial:
    """The process of a trial, started here and told of in turns.

    Args:
      search: what is searched; its folder is absolute.
      number: of the trial.
      overrides: of the trial.
      origin: the folder that the search was started in, which relative paths are of.
    """

    def __init__(self, search: Search, number: int, overrides: list[str], origin: Path):
        self._search = search
        self._run = search.planned(number, overrides)
        self._origin = origin
        self._figures: dict[int, float] = {}
        self._tries = 0
        self._process: subprocess.Popen[bytes] | None = None

    def turn(self) -> tuple[dict[int, float], Ending | None]:
        """What is new: figures on the validation split by step, and how the trial ended, if so.

        It waits for something new, for two seconds at most.
        """
        if self._process is None:
            if problem := _unseen(self._search.folder, self._origin):
                return {}, Ending(None, problem)
            self._process = start(self._run, self._origin)
        latest = time.monotonic() + _TURN
        while True:
            code = self._process.poll()  # before the figures are read: none is missed
            if (news := self._news()) or code is not None or time.monotonic() > latest:
                break
            time.sleep(_POLL)
        if code is None:
            return news, None
        ending = read_ending(self._run, code)
        if not (ending.may_go_on and self._tries < self._search.retries):
            return news, ending
        self._tries += 1
        self._process = start(self._run, self._origin)
        return news, None

    def stop(self) -> None:
        """Has the process save its state and end."""
        if self._process is not None:
            stop([self._process])

    def _news(self) -> dict[int, float]:
        found = read_figures(self._search, self._run)
        news = {step: value for step, value in found.items() if step not in self._figures}
        self._figures |= news
        return news


def start(run: Planned, origin: Path) -> subprocess.Popen[bytes]:
    """The process that trains a run, or goes on with it, and ends with this one."""
    run.log.parent.mkdir(parents=True, exist_ok=True)
    with run.log.open("ab") as log:
        child = [sys.executable, "-m", "lstm_jax.sweeps.ray_child", str(run.folder)]
        return subprocess.Popen(
            [*child, "train", *run.arguments],
            stdin=subprocess.PIPE,  # never written to: it is closed when this process ends
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            cwd=origin,
            env=os.environ | _ALONE | {"PYTHONUNBUFFERED": "1"},
        )


def pack(figures: dict[int, float], ending: Ending | None) -> str:
    """A turn as a text: Tune would take dictionaries with figures to pieces."""
    return json.dumps([list(figures.items()), ending])


def unpack(text: str) -> tuple[dict[int, float], Ending | None]:
    """The turn of a text.

    >>> unpack(pack({10: 0.5}, Ending(None, "no data")))
    ({10: 0.5}, Ending(result=None, error='no data', may_go_on=False))
    """
    figures, ending = json.loads(text)
    return dict(figures), None if ending is None else Ending(*ending)


def _unseen(folder: Path, origin: Path) -> str:
    """What this node lacks of the folders that all nodes share; empty if nothing."""
    for path in (folder / SETTINGS, origin):
        if not path.exists():
            return (
                f"the node {socket.gethostname()} does not see {path}, which all nodes must share"
            )
    return ""
