"""Imports torchvision without torch's compiler, which takes half of the time that a process needs to start.

torchvision 0.29 asks the compiler for two things while it is imported: to leave a function alone that is never compiled
here, and whether it could compile another that is never called here.
"""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import Any

COMPILER = "torch._dynamo"


def import_without_compiler() -> None:
    """Import torchvision without the compiler; does nothing where either is imported already.

    For processes of our own only: a library's user may want to compile what torchvision marks as not to be compiled.
    The compiler itself can be imported afterwards, as `--engine compile` does.
    """
    if {"torchvision", COMPILER} & set(sys.modules):
        return
    # First, or torch would take the stand-ins for its own modules.
    import torch  # noqa: F401

    stand_ins = make_stand_ins()
    sys.modules.update(stand_ins)
    try:
        importlib.import_module("torchvision.transforms.v2")
    except (ImportError, AttributeError, TypeError):
        # Another torchvision may ask for more: it is imported again, with the compiler, when it is needed.
        forget_torchvision()
    finally:
        for name, stand_in in stand_ins.items():
            if sys.modules.get(name) is stand_in:
                del sys.modules[name]


def forget_torchvision() -> None:
    """Take what was imported of torchvision out of `sys.modules`."""
    for name in list(sys.modules):
        if name.partition(".")[0] == "torchvision":
            del sys.modules[name]


def make_stand_ins() -> dict[str, ModuleType]:
    """Make modules with the two functions that torchvision asks for."""

    def disable(function: Any = None, *_: Any, **__: Any) -> Any:
        """Give a function back as it is: nothing is compiled here."""
        if function is None:
            return lambda decorated: decorated
        return function

    def is_compile_supported(device: str) -> bool:
        """Ask the compiler itself, once this is called after all."""
        from torch._dynamo.utils import is_compile_supported as ask_compiler

        return bool(ask_compiler(device))

    compiler = ModuleType(COMPILER)
    # A package, so that `torch._dynamo.utils` can be imported from it.
    compiler.__path__ = []
    compiler.disable = disable  # type: ignore[attr-defined]
    utilities = ModuleType(f"{COMPILER}.utils")
    utilities.is_compile_supported = is_compile_supported  # type: ignore[attr-defined]
    return {compiler.__name__: compiler, utilities.__name__: utilities}
