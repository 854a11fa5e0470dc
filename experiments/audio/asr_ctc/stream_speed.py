"""How many times faster than it is spoken a stream is recognised; parameters are not trained.

taskset -c 0 python experiments/audio/asr_ctc/stream_speed.py
"""

import tempfile
import time
from pathlib import Path

import jax
import numpy as np

from lstm_jax.tasks.speech_stream import SpeechStream
from lstm_jax.training import build_experiment, load_config

CONFIG = Path(__file__).parents[3] / "configs/audio/asr_ctc.py"
SECONDS, PIECE = 60, 0.1  # of noise, and of each piece


def main() -> None:
    """Prints the factor: for the first stream, which compiles, and for the second."""
    whole, config = load_config(f"{CONFIG}:streaming"), load_config(f"{CONFIG}:smoke_streaming")
    config.model, config.search = whole.model, whole.search  # the full sizes, without its data
    config.data.features = whole.data.features
    task = build_experiment(config).task
    with tempfile.TemporaryDirectory() as folder:
        learner, _ = task.prepare(Path(folder))
        recognizer = task.recognizer(Path(folder))
    params = jax.jit(learner.init)(jax.random.key(0))
    rate = task.data.features.sample_rate
    samples = np.random.default_rng(0).normal(0, 0.1, SECONDS * rate).astype(np.float32)
    for name in ("first", "second"):
        stream, piece, begin = (
            SpeechStream(recognizer, task.data.features, params),
            int(PIECE * rate),
            time.perf_counter(),
        )
        for at in range(0, len(samples), piece):
            stream.feed(samples[at : at + piece])
        stream.end()
        print(f"{name}: {SECONDS / (time.perf_counter() - begin):.1f} times real time", flush=True)


if __name__ == "__main__":
    main()
