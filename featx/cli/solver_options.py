"""The option that says where linear classifiers are solved."""

from __future__ import annotations

import click

solver_device_option = click.option(
    "--device",
    type=click.Choice(["auto", "cpu", "cuda"]),
    default="auto",
    show_default=True,
    help="Where linear classifiers on many images are solved; auto: on a GPU only where that takes less time.",
)
