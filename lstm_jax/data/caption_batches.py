"""Batches of clips, each with the symbols of a sentence."""

import hashlib
from collections.abc import Sequence

import numpy as np

from lstm_jax.data.clip_batches import ClipBatches


class CaptionBatches:
    """The batches of `ClipBatches` in the form of those of pairs of texts.

    A batch is a dict: `source`, the clips, and `source_lengths`; `target`, int32 [batch, longest],
    zeros behind the end, and `target_lengths` int32 [batch]; `rows`; `valid`.

    >>> from lstm_jax.data.clips import Clips
    >>> from lstm_jax.data.video_files import FrameSize
    >>> clips = Clips(["a"], ["x"], lambda row: np.ones((2, 4, 4, 1), np.uint8))
    >>> shape = FrameSize(4, 4, 1), 3
    >>> made = ClipBatches(clips, np.zeros(1, np.int32), *shape, batch_size=2)
    >>> batch = CaptionBatches(made, [np.array([5, 6, 7])], ["x"])[0]
    >>> batch["target"].tolist(), batch["target_lengths"].tolist(), batch["source_lengths"].tolist()
    ([[5, 6, 7], [0, 0, 0]], [3, 0], [2, 0])

    Attributes:
      clips: the batches of clips.
      texts: the sentence of every clip.
    """

    def __init__(self, clips: ClipBatches, targets: Sequence[np.ndarray], texts: Sequence[str]):
        """Remembers clips and sentences.

        Args:
          clips: batches of clips.
          targets: the symbols of the sentence of every clip.
          texts: the sentences.
        """
        self.clips, self.texts = clips, texts
        self._lengths = np.array([len(target) for target in targets], np.int32)
        self._targets = np.zeros((len(targets), self._lengths.max()), np.int32)
        for row, target in zip(self._targets, targets, strict=True):
            row[: len(target)] = target

    def __len__(self) -> int:
        return len(self.clips)

    def __getitem__(self, index: int) -> dict[str, np.ndarray]:
        return self.at(0, index)

    def at(self, epoch: int, index: int) -> dict[str, np.ndarray]:
        """A batch of an epoch."""
        batch = self.clips.at(epoch, index)
        rows, valid = batch["rows"], batch["valid"]
        return {
            "source": batch["clips"],
            "source_lengths": batch["clips_lengths"],
            "target": self._targets[rows] * valid[:, None],
            "target_lengths": self._lengths[rows] * valid,
            "rows": rows,
            "valid": valid,
        }

    def fingerprint(self) -> str:
        """A digest of the sentences, and of the clips as these have it."""
        digest = hashlib.sha256(self.clips.fingerprint().encode())
        digest.update(self._targets.tobytes())
        return digest.hexdigest()
