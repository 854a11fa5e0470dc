"""What a log of a run holds."""

import io
import time

import rich.console

from lstm_jax.training.console import Console


def test_a_log_has_a_whole_line_a_report_with_the_time_left(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    text = io.StringIO()
    console = Console(rich.console.Console(file=text, highlight=False, soft_wrap=True))
    console.start(100, 1000)
    now[0] = 60.0
    console.report(200, f"loss {'1' * 100}")
    now[0] = 60.0 * 100
    console.report(200, "[loss] 2.0")
    console.stop()
    assert text.getvalue().splitlines() == [
        f"step 200/1000  loss {'1' * 100}  8:00 left",
        "step 200/1000  [loss] 2.0  13 h 20 min left",
    ]
