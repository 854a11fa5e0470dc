"""The cluster of Ray that a search runs on, and what a trial takes of it."""

import logging
import os
import socket
from collections.abc import Mapping, Sequence
from typing import Any

from lstm_jax.errors import UserError

_ANSWERS = 5.0  # seconds
# Of HTTP/2, which gRPC and so Ray speaks: both sides begin with a frame of settings.
_SETTINGS_FRAME = b"\x04"
_GREETING = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0" + _SETTINGS_FRAME + b"\0\0\0\0\0"
_NAMES = {"cpu": "CPU", "gpu": "GPU", "tpu": "TPU"}


def tune() -> Any:
    """Ray Tune.

    Raises:
      UserError: it is not installed.
    """
    try:
        from ray import tune as library
    except ImportError as error:  # Ray alone comes without what Tune needs
        raise UserError(
            f"--engine=ray needs Ray Tune ({error}): pip install 'lstm_jax[ray]'"
        ) from None
    return library


def connect(address: str | None) -> list[dict[str, float]]:
    """Joins a cluster, or starts one of this machine alone; the resources of every node.

    Args:
      address: HOST:PORT of its head, `auto` for the one that this machine is part of; None for
        that of RAY_ADDRESS, or the one that runs here, or one of its own.

    Raises:
      UserError: nobody answers there, or this machine is no node of the cluster.
    """
    tune()
    import ray

    if not ray.is_initialized():
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # Ray would report to its makers
        _require_answer(address or os.environ.get("RAY_ADDRESS"))
        try:
            ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
        except Exception as error:  # of many kinds, by what is wrong
            text = str(error).strip().split("\n")[0]
            raise UserError(f"--address: {address or 'Ray'} cannot be used ({text})") from None
    return [node["Resources"] for node in ray.nodes() if node["Alive"]]


def _require_answer(address: str | None) -> None:
    """Ray itself would try for minutes.

    Raises:
      UserError: nobody listens there, or something else does.
    """
    if address in (None, "", "auto", "local"):
        return
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not host or not port.isdecimal():
        raise UserError(f"--address: must be HOST:PORT or auto, got {address!r}")
    try:
        with socket.create_connection((host.strip("[]"), int(port)), _ANSWERS) as connection:
            connection.sendall(_GREETING)
            answer = b"" if os.environ.get("RAY_USE_TLS") == "1" else connection.recv(4)
    except (OSError, OverflowError) as error:
        raise UserError(
            f"--address: nobody answers at {address} ({error}); a cluster is started with "
            "`ray start --head`"
        ) from None
    if answer[3:] not in (b"", _SETTINGS_FRAME):
        raise UserError(f"--address: what answers at {address} is not Ray")


def choose_resources(text: str | None, nodes: Sequence[Mapping[str, float]]) -> dict[str, int]:
    """What a trial takes of a node.

    Args:
      text: `cpu=4,gpu=1`; other names as the cluster has them. None for a GPU if there are any,
        else the TPU chips of a host if there are any, else a CPU.
      nodes: what each has.

    >>> choose_resources("cpu=2", [{"CPU": 4.0}])
    {'CPU': 2}
    >>> choose_resources(None, [{"CPU": 8.0}, {"CPU": 96.0, "TPU": 4.0}])
    {'TPU': 4}

    Raises:
      UserError: it says something else, or no node has as much.
    """
    asked = _parse(text) if text is not None else _default(nodes)
    if not any(all(node.get(name, 0) >= n for name, n in asked.items()) for node in nodes):
        there = "; ".join(dict.fromkeys(_describe(node) for node in nodes))
        raise UserError(f"--resources: no node has {_describe(asked)}; there are nodes of {there}")
    return asked


def _parse(text: str) -> dict[str, int]:
    found = {}
    for part in text.split(","):
        name, _, number = part.partition("=")
        if not name.strip() or not number.strip().isdecimal() or int(number) == 0:
            raise UserError(f"--resources: must be as cpu=4 or cpu=4,gpu=1, got {text!r}")
        found[_NAMES.get(name.strip().lower(), name.strip())] = int(number)
    return found


def _default(nodes: Sequence[Mapping[str, float]]) -> dict[str, int]:
    gpus, chips = (max(int(node.get(name, 0)) for node in nodes) for name in ("GPU", "TPU"))
    if gpus:
        return {"GPU": 1}
    return {"TPU": chips} if chips else {"CPU": 1}


def _describe(resources: Mapping[str, float]) -> str:
    """Without memory and the marks by which Ray finds a node."""
    hidden = ("memory", "object_store_memory")
    return ", ".join(
        f"{name}={number:g}"
        for name, number in resources.items()
        if name not in hidden and not name.startswith("node:")
    )
