"""What goes wrong because of what the user gave: one clear sentence, never a traceback."""

import difflib
from collections.abc import Iterable, Sequence


class UserError(Exception):
    """Input that cannot be used. The command line prints the message and exits with code 2."""


class ConfigError(UserError):
    """Everything that is wrong with a config, told at once.

    Attributes:
      problems: one sentence each, beginning with the path of the field.
    """

    def __init__(self, problems: str | Sequence[str]):
        self.problems = [problems] if isinstance(problems, str) else list(problems)
        super().__init__("\n".join(self.problems))


def did_you_mean(name: str, allowed: Iterable[str]) -> str:
    """The nearest allowed names, then all of them, as the end of a sentence.

    >>> did_you_mean("hiden", ["hidden", "layers"])
    'did you mean hidden? There are: hidden, layers'
    """
    allowed = list(allowed)
    near = difflib.get_close_matches(name, allowed, n=2, cutoff=0.6)
    hint = f"did you mean {' or '.join(near)}? There" if near else "there"
    return f"{hint} are: {', '.join(allowed) or 'none'}"
