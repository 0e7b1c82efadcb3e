"""Where passes over many rows run: on the cores, or on a GPU where that pays."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

from featx.errors import RequestError
from featx.linear.lapack import Array

WORTH_GPU = 20.0
"""Seconds on all cores from which on a GPU pays: to import torch and start the card takes a quarter of that."""

DRIVER = Path("/dev/nvidiactl")
"""Missing where no driver is installed: then torch need not be imported to find no card."""


def place_rows(x: Array, device: str, seconds: float) -> Array:
    """Put rows on the device that is asked for.

    Parameters
    ----------
    x : (n, d) float32 or float64
        A numpy array.
    device : str
        "cpu", a card such as "cuda" or "cuda:1", or anything else: a GPU where there is one and the work is worth it.
    seconds : float
        What the work is estimated to take on all cores; 0 where rows are few, which no GPU is asked to solve.

    Returns
    -------
    array, or tensor on the GPU

    Raises
    ------
    RequestError
        If a card is asked for, and torch finds none.
    """
    names_card = device.startswith("cuda") and "," not in device
    if device == "cpu" or (not names_card and (seconds < WORTH_GPU or not DRIVER.exists())):
        return x
    torch = import_torch()
    if torch is None or not torch.cuda.is_available():
        if names_card:
            raise RequestError(f"device '{device}' is not on this machine: choose auto or cpu")
        return x
    return to_tensor(x, device if names_card else "cuda") if seconds else x


def import_torch() -> Any:
    """Import torch; None where it is not installed."""
    try:
        return importlib.import_module("torch")
    except ImportError:
        return None


def to_tensor(x: Array, device: str) -> Array:
    """Copy an array to a device of torch, its dtype kept."""
    return import_torch().as_tensor(x, device=device)
