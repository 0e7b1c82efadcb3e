"""The devices of this machine."""

from __future__ import annotations

import torch

from featx.errors import RequestError, unknown

DEVICE_KINDS = ("cpu", "cuda", "mps")


def list_devices() -> list[str]:
    """Name the devices of this machine, the one that "auto" takes first."""
    devices = ["cpu"]
    if torch.cuda.is_available():
        gpus = [f"cuda:{number}" for number in range(torch.cuda.device_count())]
        devices = ["cuda", *devices, *gpus]
    if torch.backends.mps.is_available():
        devices = ["mps", *devices]
    return devices


def choose_device(name: str) -> torch.device:
    """Turn the name of one device into a device of this machine; "auto" is the fastest.

    Raises
    ------
    UnknownName
        If it does not name a kind of device.
    RequestError
        If this machine has no such device.
    """
    available = list_devices()
    if name == "auto":
        return torch.device(available[0])
    if name.split(":")[0] not in DEVICE_KINDS:
        raise unknown("device", name, ["auto", *available])
    if name not in available:
        raise RequestError(f"device '{name}' is not on this machine. There are: {', '.join(available)}")
    return torch.device(name)


def parse_devices(names: str) -> list[str]:
    """Turn `--device`, which may name several devices, into their names.

    Parameters
    ----------
    names : str
        One name, several with commas between them, or "all" for every GPU.

    Raises
    ------
    UnknownName
        If one of several does not name a kind of device.
    RequestError
        If "all" is asked for where there is no GPU, or this machine lacks one of several.
    """
    if names == "all":
        gpus = [device for device in list_devices() if device.startswith("cuda:")]
        if not gpus:
            raise RequestError("device 'all' means every GPU, and this machine has none: leave out --device")
        return gpus
    if "," not in names:
        return [names]
    return [str(choose_device(name.strip())) for name in names.split(",")]


def forbid_tf32() -> None:
    """Keep GPUs from rounding to the 10 bits of TF32, an error of up to 5e-4: engines may differ by 1e-4 only."""
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
