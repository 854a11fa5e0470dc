"""What `predict` says of files that it leaves out."""

import sys
from collections.abc import Iterable


def tell(notes: Iterable[str]) -> None:
    """Writes each on the standard error, since the standard output is a table.

    Args:
      notes: how many files are left out, and why.
    """
    for note in notes:
        print(f"lstm-jax predict: {note}", file=sys.stderr, flush=True)
