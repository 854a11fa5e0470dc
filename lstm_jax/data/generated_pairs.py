"""Generated pairs of sentences, for trying translation without any data."""

from collections.abc import Callable

import numpy as np

from lstm_jax.config import PositiveInt, register
from lstm_jax.data.held_out import SPLITS

Pairs = dict[str, list[tuple[str, str]]]

_THINGS = {"house": ("Haus", "das"), "tree": ("Baum", "der"), "street": ("Straße", "die"),
           "book": ("Buch", "das"), "table": ("Tisch", "der"), "door": ("Tür", "die")}  # fmt: skip
_LOOKS = {"red": "rot", "old": "alt", "small": "klein", "new": "neu", "green": "grün"}
_SEEN = {"": "", "today": "heute", "there": "dort", "often": "oft"}


@register("pair_source")
def generated_pairs(*, count: PositiveInt = 400) -> Callable[[], Pairs]:
    """English sentences of one pattern and their German, whose verb goes elsewhere: made up.

    Args:
      count: training pairs; validation and test have an eighth of it each.

    >>> generated_pairs(count=16)()["train"][0]
    ('there I see the new door', 'dort sehe ich die neue Tür')
    """

    def make() -> Pairs:
        random = np.random.default_rng(0)
        sizes = dict(zip(SPLITS, (count, *[max(count // 8, 1)] * 2), strict=True))
        return {split: [_pair(random) for _ in range(size)] for split, size in sizes.items()}

    return make


def _pair(random: np.random.Generator) -> tuple[str, str]:
    thing, look, when = (str(random.choice(list(words))) for words in (_THINGS, _LOOKS, _SEEN))
    noun, article = _THINGS[thing]
    seen = {"das": "das", "der": "den", "die": "die"}[article]
    ending = "en" if article == "der" else "e"
    german = f"{seen} {_LOOKS[look]}{ending} {noun}"
    if not when:
        return f"I see the {look} {thing}", f"ich sehe {german}"
    # German puts the verb second, whatever stands first.
    return f"{when} I see the {look} {thing}", f"{_SEEN[when]} sehe ich {german}"
