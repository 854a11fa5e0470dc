"""How many times faster than it is spoken a stream is recognised, and the text if there is one.

    python experiments/audio/asr_ctc/stream_speed.py --run=runs/asr_streaming --input=a.wav
    python experiments/audio/asr_ctc/stream_speed.py      # no run: parameters are not trained

A recording comes in pieces of 0.1 s, as from a microphone that does not wait. Without a run the
network of `:streaming` with parameters as they begin hears a minute of noise, which costs the same.
The first stream waits for the compiler; the second does not.
"""

import argparse
import tempfile
import time
from pathlib import Path
from typing import Any

import jax
import numpy as np

from lstm_jax.data.audio_features import AudioFeatures
from lstm_jax.data.audio_files import AudioFile, read_audio
from lstm_jax.errors import UserError
from lstm_jax.tasks.speech_recognizer import Recognizer
from lstm_jax.tasks.speech_stream import SpeechStream
from lstm_jax.training import Run, build_experiment, load_config

CONFIG = Path(__file__).parents[3] / "configs/audio/asr_ctc.py"
SECONDS, PIECE = 60, 0.1  # of noise, and of each piece


def main() -> None:
    """Prints the texts, and how fast they came: for the first stream and for the second."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--run", type=Path, help="the folder of a trained run of :streaming")
    parser.add_argument("--input", type=Path, help="a recording; else noise")
    options = parser.parse_args()
    try:
        _measure(options)
    except UserError as error:
        parser.error(str(error))


def _measure(options: argparse.Namespace) -> None:
    recognizer, features, params = _trained(options.run) if options.run else _untrained()
    rate = features.sample_rate
    samples = np.random.default_rng(0).normal(0, 0.1, SECONDS * rate).astype(np.float32)
    if options.input is not None:
        samples = read_audio(AudioFile(options.input), rate)
    seconds, piece = len(samples) / rate, int(PIECE * rate)
    for name in ("first", "second"):
        stream, begin = SpeechStream(recognizer, features, params), time.perf_counter()
        for at in range(0, len(samples), piece):
            stream.feed(samples[at : at + piece])
        text, taken = stream.end(), time.perf_counter() - begin
        print(
            f"{name}: {seconds:.1f} s in {taken:.2f} s, {seconds / taken:.1f} times real time "
            f"(a real-time factor of {taken / seconds:.3f})",
            flush=True,
        )
        if options.run:
            print(text)


def _trained(folder: Path) -> tuple[Recognizer, AudioFeatures, Any]:
    run = Run.load(folder)
    task = run.experiment.task
    params = run.restore_params(task.restore(run.assets), "best").trees["params"]
    return task.recognizer(run.assets), task.data.features, params


def _untrained() -> tuple[Recognizer, AudioFeatures, Any]:
    whole, config = load_config(f"{CONFIG}:streaming"), load_config(f"{CONFIG}:smoke_streaming")
    config.model, config.search = whole.model, whole.search  # the full sizes, without its data
    config.data.features = whole.data.features
    task = build_experiment(config).task
    with tempfile.TemporaryDirectory() as folder:
        learner, _ = task.prepare(Path(folder))
        recognizer = task.recognizer(Path(folder))
    return recognizer, task.data.features, jax.jit(learner.init)(jax.random.key(0))


if __name__ == "__main__":
    main()
