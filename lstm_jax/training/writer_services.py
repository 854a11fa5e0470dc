"""Figures for programs that draw them: TensorBoard, and Weights & Biases."""

import hashlib
import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lstm_jax.records import metric_lines
from lstm_jax.training.writer_files import FULL


class TensorBoard:
    """Event files in `tensorboard/`, written at once: a kill loses none.

    A resumed run begins a file that tells TensorBoard to forget what comes after its checkpoint.
    tensorboardX's own `SummaryWriter` writes from a thread and a queue of ten: the thread dies
    with a full disk, and the queue then holds the training up for ever.
    """

    def __init__(self, folder: Path, step: int):
        self._folder = folder / "tensorboard"
        self._folder.mkdir(exist_ok=True)
        has_events = any(self._folder.iterdir())
        self._events: Any = None
        self._warned = False
        self._guarded(lambda: self._start(step if has_events else None))

    def write(self, step: int, split: str, values: Mapping[str, float]) -> None:
        """Writes an event with all figures."""
        self._guarded(lambda: self._write(step, split, values))

    def close(self) -> None:
        """Closes the file."""
        if self._events is not None:
            self._guarded(self._events.close)

    def _write(self, step: int, split: str, values: Mapping[str, float]) -> None:
        events = self._events or self._start(None)
        message = _event(step)
        for name, value in values.items():
            message.summary.value.add(tag=f"{split}/{name}", simple_value=value)
        events.write_event(message)
        events.flush()

    def _start(self, resumed_from: int | None) -> Any:
        from tensorboardX.event_file_writer import EventsWriter

        # The name has seconds alone; two files of one second would be one.
        prefix, suffix = str(self._folder / "events"), f".{time.time_ns()}"
        events = EventsWriter(prefix, suffix)
        if resumed_from is not None:
            start = _event(resumed_from + 1)
            start.session_log.status = start.session_log.START
            events.write_event(start)
        events.flush()
        self._events = events
        return events

    def _guarded(self, action: Any) -> None:
        """Events that find no room are lost, and the next ones go into a new file."""
        try:
            action()
        except OSError as error:
            if error.errno not in FULL:
                raise
            self._events = None
            if not self._warned:
                text = f"{self._folder}: {error.strerror}; TensorBoard will lack some figures"
                print(f"lstm-jax: {text}", file=sys.stderr)
            self._warned = True


def _event(step: int) -> Any:
    from tensorboardX.proto import event_pb2

    events: Any = event_pb2  # its classes are made at run time
    return events.Event(step=step, wall_time=time.time())


class WeightsAndBiases:
    """A run at Weights & Biases, with the config and the figures of all steps.

    Its service appends to a run and takes nothing back. So a resumed run begins its run there anew,
    under the same id, and writes the lines up to its checkpoint again from `metrics.jsonl`, which
    must have been opened before. Project, entity and mode are those of the environment
    (`WANDB_PROJECT`, `WANDB_ENTITY`, `WANDB_MODE`).
    """

    def __init__(self, folder: Path, step: int, config: Mapping[str, Any] | None = None):
        import wandb

        place = str(folder.resolve())
        self._run: Any = wandb.init(
            project=os.environ.get("WANDB_PROJECT", "lstm_jax"),
            name=folder.resolve().name,
            # The same folder is the same run, also after a restart.
            id=os.environ.get("WANDB_RUN_ID", hashlib.sha256(place.encode()).hexdigest()[:16]),
            dir=place,
            config=dict(config or {}),
        )
        for line, _ in metric_lines(folder):
            if line["step"] <= step:
                values = {k: v for k, v in line.items() if k not in ("step", "split")}
                self.write(line["step"], line["split"], values)

    def write(self, step: int, split: str, values: Mapping[str, float]) -> None:
        """Logs figures; those of one step and several splits are one row there."""
        self._run.log({f"{split}/{name}": value for name, value in values.items()}, step=step)

    def close(self) -> None:
        """Ends the run there."""
        self._run.finish()
