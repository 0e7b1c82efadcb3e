"""Imports torchvision without torch's compiler, which takes half of the time that a command needs to start.

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
    """Import torchvision for a process of our own; does nothing where it, or the compiler, is there already.

    Not for a library's user, who may want to compile what torchvision marks as not to be compiled.
    """
    if {"torchvision", COMPILER} & set(sys.modules):
        return
    import torch  # noqa: F401

    stand_ins = make_stand_ins()
    sys.modules.update(stand_ins)
    try:
        importlib.import_module("torchvision.transforms.v2")
    except (ImportError, AttributeError, TypeError):  # another torchvision may ask for more
        for name in [name for name in sys.modules if name.partition(".")[0] == "torchvision"]:
            del sys.modules[name]
    finally:
        for name, module in stand_ins.items():
            if sys.modules.get(name) is module:
                del sys.modules[name]


def make_stand_ins() -> dict[str, ModuleType]:
    """Make modules with the two functions that torchvision asks for."""
    compiler, utilities = ModuleType(COMPILER), ModuleType(f"{COMPILER}.utils")
    compiler.__path__ = []

    def disable(function: Any = None, *_: Any, **__: Any) -> Any:
        """Give a function back as it is: nothing is compiled here."""
        return function if function is not None else lambda given: given

    def is_compile_supported(device: str) -> bool:
        """Ask the compiler itself, once somebody does ask."""
        from torch._dynamo.utils import is_compile_supported as ask

        return bool(ask(device))

    compiler.disable = disable  # type: ignore[attr-defined]
    utilities.is_compile_supported = is_compile_supported  # type: ignore[attr-defined]
    return {compiler.__name__: compiler, utilities.__name__: utilities}
