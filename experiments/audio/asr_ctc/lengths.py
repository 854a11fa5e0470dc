"""Whether long recordings are recognised worse because they are long.

python experiments/audio/asr_ctc/lengths.py --workdir=runs/asr

Errors of the best path by how long the recordings of a run's data last, and of those of more than
eight seconds once more, cut at their pauses into pieces of at least two.
"""

import argparse
import itertools
from pathlib import Path

import numpy as np

from lstm_jax.tasks.speech_scores import error_rates
from lstm_jax.training import Run

BOUNDS = (0, 2, 4, 8, 60)  # seconds
PAUSE = 15  # frames over which loudness is averaged


def main() -> None:
    """Prints a line for each split and length, and two for each long recording."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workdir", type=Path, required=True, help="the folder of the run")
    run = Run.load(parser.parse_args().workdir)
    task = run.experiment.task
    params = run.restore_params(task.restore(run.assets), "best").trees["params"]
    recognizer = task.recognizer(run.assets)
    per_second = 1000 / task.data.features.hop_ms
    _, dataset = task.prepare(run.assets)
    for split in ("validation", "test"):
        batches = dataset.splits[split]
        found = recognizer.transcribe(params, batches.features).greedy
        seconds = np.array([len(x) for x in batches.features]) / per_second
        for low, high in itertools.pairwise(BOUNDS):
            rows = np.flatnonzero((seconds >= low) & (seconds < high))
            if len(rows):
                said = [batches.texts[i] for i in rows]
                print(
                    f"{split}, {low} to {high} s: {len(rows)} recordings, "
                    f"{sum(map(len, said))} characters,",
                    _text([found[i] for i in rows], said),
                )
        for i in np.flatnonzero(seconds >= BOUNDS[-2]):
            pieces = _cut(batches.features[i], int(2 * per_second))
            parts = recognizer.transcribe(params, pieces).greedy
            print(f"{split}, {seconds[i]:.1f} s, whole:", _text([found[i]], [batches.texts[i]]))
            joined = " ".join(parts)
            print(f"  in {len(pieces)} pieces:", _text([joined], [batches.texts[i]]))


def _cut(features: np.ndarray, least: int) -> list[np.ndarray]:
    """Pieces of a recording [frames, features] that end where it is least loud for a while."""
    loudness = np.convolve(features.mean(axis=1), np.ones(PAUSE) / PAUSE, "same")
    cuts = [0]
    for frame in range(least, len(loudness) - least // 2):
        around = loudness[frame - least // 4 : frame + least // 4]
        if frame - cuts[-1] > least and loudness[frame] == around.min():
            cuts.append(frame)
    return [features[a:b] for a, b in zip(cuts, [*cuts[1:], len(features)], strict=True)]


def _text(found: list[str], said: list[str]) -> str:
    rates = error_rates(found, said)
    return f"CER {rates['cer']:.3f} WER {rates['wer']:.3f}"


if __name__ == "__main__":
    main()
