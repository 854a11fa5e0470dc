"""What devices can do at most, as their makers publish it."""

import jax

# Dense products of bfloat16, in FLOP/s. JAX counts the two cores of a TPU v2 or v3 chip as two
# devices, so that theirs is half of the chip's. NVIDIA's data sheets often print twice these
# figures, for sparse matrices. The first name that the device's kind begins with counts; the cards
# without a figure are slower than their namesakes.
_PEAKS: tuple[tuple[str, float | None], ...] = (
    ("TPU v2", 23e12),
    ("TPU v3", 61.5e12),
    ("TPU v4 lite", 138e12),
    ("TPU v4", 275e12),
    ("TPU v5 lite", 197e12),
    ("TPU v5e", 197e12),
    ("TPU v5", 459e12),
    ("TPU v6", 918e12),
    ("NVIDIA A100", 312e12),
    ("NVIDIA H100 PCIe", 756e12),
    ("NVIDIA H100 NVL", None),
    ("NVIDIA H100", 989e12),
    ("NVIDIA H200 NVL", None),
    ("NVIDIA H200", 989e12),
)


def peak_flops(kind: str) -> float | None:
    """Published peak of a device in FLOP/s, dense products of bfloat16; None if not known.

    >>> peak_flops("NVIDIA H100 80GB HBM3"), peak_flops("cpu")
    (989000000000000.0, None)

    Args:
      kind: JAX's name for it, `jax.Device.device_kind`.
    """
    return next((peak for name, peak in _PEAKS if kind.startswith(name)), None)


def peak_of_all_devices() -> float | None:
    """The peak of all devices of all processes together; None if one is not known."""
    peaks = [peak_flops(device.device_kind) for device in jax.devices()]
    return None if None in peaks else sum(peak for peak in peaks if peak is not None)
