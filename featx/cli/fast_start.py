"""Commands that run networks start without torch's compiler."""

from __future__ import annotations

import copy
import functools
from typing import Any

import click

from featx.bases.architectures.fast_torchvision import import_without_compiler


def starts_fast(command: click.Command) -> click.Command:
    """Give a copy of a command that imports torchvision without the compiler before it runs.

    Not while it is looked up: `--help` and bad usage need neither.
    """
    run = command.callback
    if run is None:
        return command

    @functools.wraps(run)
    def run_fast(*args: Any, **kwargs: Any) -> Any:
        import_without_compiler()
        return run(*args, **kwargs)

    # A copy, since commands are looked up more than once in a process, and would be wrapped again each time.
    fast = copy.copy(command)
    fast.callback = run_fast
    return fast
