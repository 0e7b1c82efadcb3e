"""`featx completion`: what shells need to complete commands and options."""

from __future__ import annotations

import click

VARIABLE = "_FEATX_COMPLETE"
"""Variable of the environment in which shells ask featx for completions."""


@click.command("completion")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def command(shell: str) -> None:
    """Print what SHELL needs to complete commands and options of featx.

    \b
    Example:
      featx completion bash > ~/.local/share/bash-completion/completions/featx
      featx completion zsh > ~/.zfunc/_featx
      featx completion fish > ~/.config/fish/completions/featx.fish
    """
    from click.shell_completion import get_completion_class

    from featx.cli.main import main

    completion = get_completion_class(shell)
    if completion is None:
        raise click.UsageError(f"this version of click knows nothing of '{shell}'")
    click.echo(completion(main, {}, "featx", VARIABLE).source())
