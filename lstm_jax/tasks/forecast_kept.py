"""What a run of a forecaster keeps of its series, so that others like them can be forecast."""

import json
from pathlib import Path
from typing import NamedTuple

from lstm_jax.config import write_atomically
from lstm_jax.data.series import SeriesLayout
from lstm_jax.data.windows import Scaling
from lstm_jax.errors import ConfigError, UserError
from lstm_jax.json_files import read_json

_SERIES, _SPREAD = "series.json", "spread.json"


class KeptSeries(NamedTuple):
    """What a run keeps of its series.

    Attributes:
      layout: of the tables that it can read.
      scaling: of the covariates.
      names: of the series it was trained on.
    """

    layout: SeriesLayout
    scaling: Scaling
    names: list[str]

    def save(self, assets: Path) -> None:
        """Keeps it with a run, once."""
        # A finished run that is only evaluated need not be ours to write to.
        if (assets / _SERIES).exists():
            return
        kept = {
            "layout": self.layout.to_json(),
            "scaling": self.scaling.to_json(),
            "names": self.names,
        }
        write_atomically(assets / _SERIES, json.dumps(kept))


def load_kept(assets: Path) -> KeptSeries:
    """What `KeptSeries.save` wrote.

    Raises:
      UserError: the file is missing or holds something else.
    """
    path = assets / _SERIES
    try:
        kept = read_json(path)
        layout, scaling = SeriesLayout.from_json(kept["layout"]), Scaling.from_json(kept["scaling"])
        return KeptSeries(layout, scaling, [str(name) for name in kept["names"]])
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from None
    except (ValueError, KeyError, TypeError, ConfigError) as error:
        raise UserError(f"{path} is not what a run keeps of its series ({error})") from None


def save_spread(assets: Path, log_spread: float) -> None:
    """Keeps the logarithm of the factor of intervals behind the test."""
    write_atomically(assets / _SPREAD, json.dumps({"log_spread": log_spread}))


def load_spread(assets: Path) -> float:
    """What `save_spread` wrote; 0 of a run that has not come to its end.

    Raises:
      UserError: the file holds something else.
    """
    path = assets / _SPREAD
    if not path.exists():
        return 0.0
    try:
        return float(read_json(path)["log_spread"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path} is not what a run keeps of its intervals ({error})") from None
