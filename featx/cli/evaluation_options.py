"""Options of commands that evaluate classifiers on cached features."""

from __future__ import annotations

from typing import get_args

import click

from featx.cli.options import cached_dtype_option, join_options, memory_option, seed_option, views_option
from featx.requests import SelectedFigure

figure_options = join_options(
    click.option(
        "--select",
        type=click.Choice(get_args(SelectedFigure)),
        help="Cross-validated figure by which C (or the neighbours of knn) and the best row are chosen."
        "  [default: log-loss for C of logreg, else accuracy]",
    ),
    click.option(
        "--positive",
        metavar="CLASS",
        help="Of two classes, the one that sensitivity, specificity and average precision are of."
        "  [default: the second]",
    ),
)
"""`--select` and `--positive`: what is chosen by, and the class that figures are of."""

evaluation_options = join_options(
    cached_dtype_option,
    views_option,
    click.option(
        "--test-views",
        type=click.IntRange(min=1),
        default=1,
        show_default=True,
        help="Views of each test image whose scores are averaged; at most --views.",
    ),
    figure_options,
)
"""Which cached features are evaluated, and by which figures."""

fitting_options = join_options(
    seed_option,
    memory_option,
    click.option(
        "--device",
        type=click.Choice(["auto", "cpu", "cuda"]),
        default="auto",
        show_default=True,
        help="Where linear classifiers on many images are solved; auto: on a GPU only where that takes less time.",
    ),
)
"""`--seed`, `--memory` and `--device`, for classifiers that are fitted."""

runner_option = click.option(
    "--runner",
    type=click.Choice(["local", "ray"]),
    default="local",
    show_default=True,
    help="Who trains: this machine, or the nodes of a Ray cluster (RAY_ADDRESS).",
)
"""Where `compare` and `fit` train."""
