"""Work in other processes: in order, one sentence when one dies, none left behind."""

import functools
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from lstm_jax.data.processes import Ahead, in_order, pool
from lstm_jax.errors import UserError

# Tells who works for it, and waits.
PARENT = """
import multiprocessing, signal, time
from lstm_jax.data.processes import pool

if __name__ == "__main__":
    # Tests that a shell began in the background ignore it, and so would their children.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    begun = [pool(2).submit(time.sleep, 0.5) for _ in range(200)]
    print(*(child.pid for child in multiprocessing.active_children()), flush=True)
    time.sleep(60)
"""


def test_results_come_in_order_and_few_are_begun():
    taken = []

    def items():
        for number in range(20):
            taken.append(number)
            yield number

    for number, found in enumerate(in_order(abs, items(), pool(2), 3)):
        assert found == number
        assert len(taken) <= number + 3


def test_a_process_that_dies_is_told_in_a_sentence_and_others_come():
    with pytest.raises(UserError, match=r"ended from outside.*processes=0"):
        list(in_order(os._exit, [3], pool(2), 1))
    assert list(in_order(abs, [-1], pool(2), 1)) == [1]


def test_what_is_not_needed_any_more_is_forgotten():
    ahead = Ahead(lambda number: functools.partial(abs, -number), 2)
    ahead.begin([1, 2])
    ahead.begin([2, 3])
    assert sorted(ahead._begun) == [2, 3]
    assert [ahead.load(number) for number in (3, 2, 1)] == [3, 2, 1]
    assert not ahead._begun


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks at processes in /proc")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_none_is_left_when_the_parent_is_stopped(tmp_path, number):
    script = tmp_path / "parent.py"
    script.write_text(PARENT)
    parent = subprocess.Popen(
        [sys.executable, str(script)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert parent.stdout is not None
    children = [int(word) for word in parent.stdout.readline().split()]
    assert len(children) == 2
    # Ctrl-C goes to all processes of a terminal, and may come while they begin.
    os.killpg(parent.pid, number) if number == signal.SIGINT else parent.kill()
    errors = parent.communicate(timeout=30)[1]
    assert errors.count("Traceback") == (number == signal.SIGINT)  # the parent's own
    ends = time.monotonic() + 30
    while any(map(is_running, children)):
        assert time.monotonic() < ends
        time.sleep(0.02)


def is_running(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"
