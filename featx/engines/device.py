"""The devices of this machine."""

from __future__ import annotations

import torch

from featx.errors import RequestError, unknown


def list_devices() -> list[str]:
    """Name the devices that are there, the one to choose first."""
    there = ["cpu"]
    if torch.cuda.is_available():
        there = ["cuda", *there, *(f"cuda:{number}" for number in range(torch.cuda.device_count()))]
    if torch.backends.mps.is_available():
        there = ["mps", *there]
    return there


def choose_device(asked: str) -> torch.device:
    """Turn `--device` into a device that is there.

    Raises
    ------
    UnknownName
        If it names no kind of device.
    RequestError
        If this machine has no such device.
    """
    there = list_devices()
    if asked == "auto":
        return torch.device(there[0])
    if asked.split(":")[0] not in ("cpu", "cuda", "mps"):
        raise unknown("device", asked, ["auto", *there])
    if asked not in there:
        raise RequestError(f"device '{asked}' is not on this machine. There are: {', '.join(there)}")
    return torch.device(asked)
