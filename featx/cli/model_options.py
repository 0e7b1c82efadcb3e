"""Options of commands that use a saved model."""

from __future__ import annotations

import click

from featx.cli.options import join_options

model_base_options = join_options(
    click.option(
        "--base", help="Python file defining the base (needed, and executed, only for models trained on such a file)."
    ),
    click.option(
        "--weights",
        help="Weights of the base: name, file or 'random'; needed where the model was trained on a file.  "
        "[default: those that the model holds or names]",
    ),
    click.option(
        "--yes", is_flag=True, help="Download the weights that the model names, if they are not on this machine."
    ),
)
"""`--base`, `--weights` and `--yes`: where the base of the model comes from."""
