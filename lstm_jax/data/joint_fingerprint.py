"""One digest of a dataset, by which a run notices that its data are others."""

import hashlib
from collections.abc import Iterable
from typing import Protocol


class Fingerprinted(Protocol):
    """Batches that know a digest of themselves."""

    def fingerprint(self) -> str:
        """The digest."""
        ...


def joint_fingerprint(
    batches: Iterable[Fingerprinted], *, before: str = "", behind: str = ""
) -> str:
    """The digest of the batches of all splits, and of what else tells one dataset from another.

    Args:
      batches: those of the training, and of every split.
      before: what else there is, ahead of theirs.
      behind: the same, after theirs.
    """
    texts = (before, *(made.fingerprint() for made in batches), behind)
    return hashlib.sha256("".join(texts).encode()).hexdigest()
