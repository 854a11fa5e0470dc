"""What a figure was measured on."""

import datetime
import importlib.metadata
import os
import platform

import jax


def describe_machine() -> dict[str, str]:
    """Devices, versions and the date, to stand beside a figure."""
    device = jax.devices()[0]
    kind = device.device_kind if device.platform != "cpu" else f"{os.cpu_count()} {_cpu()} cores"
    return {
        "devices": f"{jax.device_count()} x {device.platform} ({kind})",
        "python": platform.python_version(),
        **{name: importlib.metadata.version(name) for name in ("jax", "flax", "optax")},
        "date": datetime.date.today().isoformat(),
    }


def _cpu() -> str:
    return platform.machine() or "CPU"
