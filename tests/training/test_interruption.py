"""Signals: when they end the process and when they wait."""

import signal
import subprocess
import sys
import textwrap
import time

import pytest

PROGRAM = """
    import signal, sys, time
    from lstm_jax.training.interruption import Interruption
    with Interruption() as interruption:
        {before}
        print("ready", flush=True)
        {work}
        print("ended with", interruption.signal, flush=True)
"""


def run(before="", work="time.sleep(2)", signals=(), between=0.3):
    program = textwrap.dedent(PROGRAM).format(before=before or "pass", work=work)
    process = subprocess.Popen(
        [sys.executable, "-c", program],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdout.readline() == "ready\n"
    for number in signals:
        process.send_signal(number)
        time.sleep(between)
    return process.communicate(timeout=60)[0], process.returncode


def test_sigterm_ends_at_once_as_long_as_nothing_was_done():
    output, code = run(signals=[signal.SIGTERM])
    assert code == 143
    assert "nothing is lost" in output
    assert "ended" not in output


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_first_signal_waits_once_the_loop_has_asked(number):
    output, code = run(before="interruption.signal", signals=[number])
    assert code == 0
    assert f"ended with {number}" in output


def test_the_second_sigterm_ends_at_once():
    output, code = run(before="interruption.signal", signals=[signal.SIGTERM, signal.SIGTERM])
    assert code == 143
    assert "stopped at once" in output
    assert "ended" not in output


def test_the_second_ctrl_c_raises():
    output, _ = run(before="interruption.signal", signals=[signal.SIGINT, signal.SIGINT])
    assert "KeyboardInterrupt" in output
    assert "ended" not in output


def test_what_is_released_ends_at_once_again():
    before = "interruption.signal; interruption.release()"
    output, code = run(before=before, signals=[signal.SIGTERM])
    assert code == 143
    assert "nothing is lost" in output


def test_a_main_thread_that_is_deaf_is_ended_too():
    # Outside of Python's byte code, as in a compilation, where no handler of Python's runs.
    deaf = "import hashlib; hashlib.pbkdf2_hmac('sha256', b'', b'', 10**9)"
    began = time.monotonic()
    _, code = run(work=deaf, signals=[signal.SIGTERM])
    assert code == 143
    assert time.monotonic() - began < 20


def test_handlers_are_put_back():
    from lstm_jax.training.interruption import Interruption

    before = [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)]
    with Interruption():
        assert signal.getsignal(signal.SIGTERM) != before[1]
    assert [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)] == before
    assert signal.set_wakeup_fd(-1) == -1
