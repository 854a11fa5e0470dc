"""More recordings to train on, spliced from the words of those that are there.

python experiments/audio/asr_ctc/splice.py --workdir=runs/asr --out=spliced --count=4000

The network of a run says where each word of its training recordings stands (forced alignment).
They are cut between words, where it is least loud, and one to three words in a row of one of them
are put behind such of another: T. Lam et al., "On-the-Fly Aligned Data Augmentation for
Sequence-to-Sequence ASR", arXiv 2104.01393, with whole words. The folder that is made has the
layout of LJSpeech: the training recordings and the spliced ones; validation and test as they are.
"""

import argparse
import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
import soundfile

from lstm_jax.data.audio_files import read_audio
from lstm_jax.data.audio_inputs import features_of
from lstm_jax.models.ctc_alignment import align
from lstm_jax.tasks.speech_batches import symbols_of
from lstm_jax.training import Run

MOST_PIECES, MOST_WORDS = 5, 3
FADE = 0.008  # seconds in which one piece goes over into the next
SILENCE = 0.06  # seconds that are left before the first word and behind the last
QUIET = 35  # dB below the loudest 10 ms: silence
_align = jax.jit(align)


class Words(NamedTuple):
    """A recording cut into its words.

    Attributes:
      texts: the words.
      cuts: the samples at which they begin, and the end of the last one.
      samples: of the recording.
    """

    texts: Sequence[str]
    cuts: Sequence[int]
    samples: np.ndarray


def main() -> None:
    """Writes the folder."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workdir", type=Path, required=True, help="the folder of the run")
    parser.add_argument("--out", type=Path, required=True, help="a folder that is made")
    parser.add_argument("--count", type=int, default=1000, help="how many are spliced")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    if options.out.exists():
        parser.error(f"--out: {options.out} exists already")
    run = Run.load(options.workdir)
    task: Any = run.experiment.task
    params = run.restore_params(task.restore(run.assets), "best").trees["params"]
    recognizer, rate = task.recognizer(run.assets), task.data.features.sample_rate
    (options.out / "wavs").mkdir(parents=True)
    found: list[Words] = []
    for split, utterances in task._speech().items():
        lines = []
        for one in utterances:
            samples = read_audio(one.audio, rate)
            lines.append(_write(options.out, one.name, samples, one.text, rate))
            if split == "train":
                words = words_of(recognizer, params, task.data.features, samples, one.text)
                found += [words] if words else []
        if split == "train":
            random = np.random.default_rng(options.seed)
            for number in range(options.count):
                samples, text = spliced(random, found, int(FADE * rate))
                lines.append(_write(options.out, f"spliced_{number:05}", samples, text, rate))
        (options.out / f"{split}.csv").write_text("".join(lines))
    print(f"{len(found)} recordings cut into words, {options.count} spliced of them")


def words_of(
    recognizer: Any, params: Any, features: Any, samples: np.ndarray, text: str
) -> Words | None:
    """The words of a recording; None if a character is no symbol, or steps are too few for all."""
    texts, at = text.split(), 0
    x, labels = features_of(features, samples), symbols_of(recognizer.tokenizer, " ".join(texts))
    lengths, count = np.array([len(x)]), np.array([len(labels)])
    log_p = recognizer._log_p(params, _padded(x), lengths)
    steps = recognizer.network.steps_of(lengths)
    found = jax.tree.map(np.asarray, _align(log_p, steps, _padded(labels), count))
    as_written = 0 < len(labels) == len(" ".join(texts))
    if not as_written or found.log_probabilities[0] < -1e20:
        return None
    begin, end = _sounding(samples, features.sample_rate)
    cuts = [begin]
    for word in texts[:-1]:
        at += len(word)  # at the space behind it
        around = np.array([found.last[0, at - 1], found.first[0, at + 1]]) + 0.5
        low, high = (around * len(samples) / steps[0]).astype(int)
        cuts.append(_quietest(samples, low, high, features.sample_rate // 100))
        at += 1
    cuts.append(end)
    rising = all(a < b for a, b in itertools.pairwise(cuts))
    return Words(texts, cuts, samples) if rising else None


def spliced(
    random: np.random.Generator, found: Sequence[Words], fade: int
) -> tuple[np.ndarray, str]:
    """Pieces of recordings one behind another, and what is said; every word is as likely."""
    sizes = np.array([len(words.texts) for words in found])
    samples, texts = np.zeros(0, np.float32), []
    for _ in range(random.integers(2, MOST_PIECES + 1)):
        words = found[random.choice(len(found), p=sizes / sizes.sum())]
        count = min(int(random.integers(1, MOST_WORDS + 1)), len(words.texts))
        first = int(random.integers(len(words.texts) - count + 1))
        piece = words.samples[words.cuts[first] : words.cuts[first + count]].copy()
        ramp = np.linspace(0, 1, min(fade, len(piece) // 2), dtype=np.float32)
        piece[: len(ramp)] *= ramp
        piece[len(piece) - len(ramp) :] *= ramp[::-1]
        overlap = min(len(ramp), len(samples))
        samples = np.pad(samples, (0, len(piece) - overlap))
        samples[len(samples) - len(piece) :] += piece
        texts += words.texts[first : first + count]
    return samples, " ".join(texts)


def _write(folder: Path, name: str, samples: np.ndarray, text: str, rate: int) -> str:
    """Keeps a recording; the line of its transcript."""
    name = name.replace("/", "_")
    soundfile.write(folder / "wavs" / f"{name}.flac", samples, rate)
    return f"{name}|{text}|{text}\n"


def _padded(array: np.ndarray) -> np.ndarray:
    """A batch of one, long as a power of two: each length compiles."""
    longer = max(64, 1 << (len(array) - 1).bit_length()) - len(array)
    return np.pad(array, [(0, longer), *[(0, 0)] * (array.ndim - 1)])[None]


def _sounding(samples: np.ndarray, rate: int) -> tuple[int, int]:
    """From where to where a recording is not silent, and a little around."""
    size, left = rate // 100, int(SILENCE * rate)
    frames = samples[: max(len(samples) // size, 1) * size].reshape(-1, min(size, len(samples)))
    loudness = 20 * np.log10(np.sqrt(np.square(frames).mean(axis=1)) + 1e-6)
    heard = np.flatnonzero(loudness > loudness.max() - QUIET)
    return max(heard[0] * size - left, 0), min((heard[-1] + 1) * size + left, len(samples))


def _quietest(samples: np.ndarray, low: int, high: int, size: int) -> int:
    """The middle of the least loud piece of this size between two samples."""
    places = range(low, max(high - size, low + 1), max(size // 2, 1))
    levels = [float(np.square(samples[at : at + size]).sum()) for at in places]
    return places[int(np.argmin(levels))] + size // 2


if __name__ == "__main__":
    main()
