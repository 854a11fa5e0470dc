"""Batches of clips, decoded when they are asked for."""

import hashlib

import numpy as np

from lstm_jax.data.clips import Clips
from lstm_jax.data.video_files import FrameSize


class ClipBatches:
    """Random access to whole batches of clips, decoded when they are asked for.

    A batch is a dict: `clips`, bytes [batch, frames, height, width, channels], zeros behind the
    end; `clips_lengths` int32 [batch]; `labels` int32 [batch]; `rows` int32 [batch], the number of
    the clip; `valid` bool [batch]. With a seed every epoch has an order of its own.

    >>> clips = Clips(["a"], ["x"], lambda row: np.ones((2, 4, 4, 1), np.uint8))
    >>> batch = ClipBatches(clips, np.zeros(1, np.int32), FrameSize(4, 4, 1), 3, batch_size=2)[0]
    >>> batch["clips"].shape, batch["clips_lengths"].tolist(), batch["valid"].tolist()
    ((2, 3, 4, 4, 1), [2, 0], [True, False])
    """

    def __init__(
        self,
        clips: Clips,
        labels: np.ndarray,
        size: FrameSize,
        frames: int,
        *,
        batch_size: int,
        seed: int | None = None,
        memory: int = 0,
    ):
        """Remembers the clips.

        Args:
          clips: the clips.
          labels: the number of the class of each.
          size: of a frame.
          frames: of a batch; no clip has more.
          batch_size: clips in a batch.
          seed: of the order; None for that of the clips.
          memory: bytes of decoded clips that are kept; of more, the last ones used.
        """
        self.batch_size = batch_size
        self._clips, self._labels, self._seed = clips, labels, seed
        self._shape = (frames, *size)
        self._kept: dict[int, np.ndarray] = {}  # the one last used stands last
        self._most = memory // int(np.prod(self._shape))

    def __len__(self) -> int:
        return -(-len(self._labels) // self.batch_size)

    def __getitem__(self, index: int) -> dict[str, np.ndarray]:
        return self.at(0, index)

    def at(self, epoch: int, index: int) -> dict[str, np.ndarray]:
        """A batch of an epoch."""
        rows = self._rows(epoch, index)
        soon = [*rows.tolist(), *self._rows_after(epoch, index).tolist()]
        self._clips.begin([row for row in soon if row not in self._kept])
        batch = {
            "clips": np.zeros((self.batch_size, *self._shape), np.uint8),
            "clips_lengths": np.zeros(self.batch_size, np.int32),
            "labels": np.zeros(self.batch_size, np.int32),
            "rows": np.zeros(self.batch_size, np.int32),
            "valid": np.arange(self.batch_size) < len(rows),
        }
        batch["labels"][: len(rows)], batch["rows"][: len(rows)] = self._labels[rows], rows
        for i, row in enumerate(rows.tolist()):
            clip = self._load(row)
            batch["clips"][i, : len(clip)] = clip
            batch["clips_lengths"][i] = len(clip)
        return batch

    def _rows(self, epoch: int, index: int) -> np.ndarray:
        order = np.arange(len(self._labels))
        if self._seed is not None:
            order = np.random.default_rng((self._seed, epoch)).permutation(order)
        return order[index * self.batch_size :][: self.batch_size]

    def _rows_after(self, epoch: int, index: int) -> np.ndarray:
        """Those of the next batch; behind the last of an evaluation none comes."""
        if index + 1 < len(self) or self._seed is None:
            return self._rows(epoch, index + 1)
        return self._rows(epoch + 1, 0)

    def _load(self, row: int) -> np.ndarray:
        clip = self._kept.pop(row) if row in self._kept else self._clips.load(row)
        self._kept[row] = clip
        if len(self._kept) > self._most:
            del self._kept[next(iter(self._kept))]
        return clip

    def fingerprint(self) -> str:
        """A digest of names, classes and the first clip: all would have to be decoded."""
        digest = hashlib.sha256(f"{self.batch_size} {self._shape} {self._seed}".encode())
        digest.update("\n".join(self._clips.names).encode())
        digest.update(self._labels.tobytes())
        digest.update(self._load(0).tobytes())
        return digest.hexdigest()
