"""Options that several commands share, each defined once."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import wraps
from pathlib import Path
from typing import Any, TypeVar

import click

from featx.requests import BaseChoice, default_cache
from featx.types import Progress

F = TypeVar("F", bound=Callable[..., Any])

data_argument = click.argument("data")

cache_option = click.option(
    "--cache",
    type=click.Path(file_okay=False, path_type=Path),
    default=default_cache,
    help="Folder of the feature store.  [default: $FEATX_CACHE, else ./cache]",
)

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON and nothing else to stdout.")

layers_option = click.option("--layer", "-l", "layers", multiple=True, help="Layer, by name or alias; repeatable.")

poolings_option = click.option(
    "--pooling",
    "poolings",
    multiple=True,
    help="avg, max, avg+max, pyramid, cls (class token) or flat (all of it); repeatable.",
)

store_dtype_option = click.option(
    "--store-dtype",
    type=click.Choice(["float32", "float16"]),
    help="Numbers as they are stored; float16 takes half the room.  [default: float32]",
)

views_option = click.option(
    "--views",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="Views of each image: itself, then mirror image, corners, random changes.",
)

test_views_option = click.option(
    "--test-views",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="Views of each judged image whose scores are averaged; at most --views.",
)

rehash_option = click.option("--rehash", is_flag=True, help="Read every file, also those that look unchanged.")

refit_option = click.option("--refit", is_flag=True, help="Fit again what an earlier run left a result of.")


def parse_memory(context: click.Context, parameter: click.Parameter, value: str | None) -> int | None:
    """Turn "8GB", "500 MB" or a number of bytes into bytes."""
    if value is None:
        return None
    found = re.fullmatch(r"([0-9]*\.?[0-9]+)\s*([kmgt]?)b?", value.strip().lower())
    if not found:
        raise click.BadParameter(f"'{value}' is no amount of memory: write it like 8GB or 500MB")
    return int(float(found[1]) * 1000 ** " kmgt".index(found[2] or " "))


memory_option = click.option(
    "--memory",
    callback=parse_memory,
    metavar="AMOUNT",
    help="Memory for fitting, such as 8GB; larger features go through in passes.  [default: half of all]",
)

seed_option = click.option("--seed", type=int, default=42, show_default=True, help="Of split, folds and classifiers.")


def base_options(command: F, multiple: bool = False) -> F:
    """Add `--base` and what belongs to it; the command receives one `base: BaseChoice`."""
    said = "Name of a base, such as resnet50, tiny or hog"
    said += "; repeatable: of others than the first, all that is cached is shown beside it." if multiple else "."

    @wraps(command)
    def with_choice(
        *args: Any, base: Any, weights: str | None, resize: int | None, crop: int | None, precision: str, **kwargs: Any
    ) -> Any:
        return command(*args, base=BaseChoice(base, weights, resize, crop, precision), **kwargs)

    options = [
        click.option("--base", "-b", required=True, multiple=multiple, help=said),
        click.option("--weights", help="Weights name, file (.safetensors, .pth) or 'random'."),
        click.option("--resize", type=click.IntRange(min=1), help="Shorter side in pixels.  [default: the base's]"),
        click.option("--crop", type=click.IntRange(min=1), help="Centre crop in pixels.  [default: the base's]"),
        click.option("--precision", type=click.Choice(["float32", "bfloat16"]), default="float32", show_default=True),
    ]
    decorated: Any = with_choice
    for option in reversed(options):
        decorated = option(decorated)
    return decorated


def several_bases(command: F) -> F:
    """Let `--base` be given more than once; the command receives the first as `base`, the others as `beside`."""

    @wraps(command)
    def with_choices(*args: Any, base: BaseChoice, **kwargs: Any) -> Any:
        names: Any = base.name  # a tuple, as the option may be given more than once
        first, *others = names
        beside = tuple(BaseChoice(name, precision=base.precision) for name in others)
        return command(*args, base=replace(base, name=first), beside=beside, **kwargs)

    decorated: Any = base_options(with_choices, multiple=True)
    return decorated


def verbosity_options(command: F) -> F:
    """Add `-v` and `-q`; the command receives `quiet: bool`."""

    @wraps(command)
    def with_logging(*args: Any, verbose: int, quiet: bool, **kwargs: Any) -> Any:
        from featx.cli.main import set_up_logging

        set_up_logging(-1 if quiet else verbose)
        return command(*args, quiet=quiet, **kwargs)

    decorated: Any = click.option("--quiet", "-q", is_flag=True, help="No progress bar; errors only.")(with_logging)
    return click.option("--verbose", "-v", count=True, help="Say what is going on.")(decorated)


@contextmanager
def progress_bar(unit: str, quiet: bool) -> Iterator[Progress | None]:
    """Show a bar with rate and time left on stderr."""
    if quiet:
        yield None
        return
    from tqdm import tqdm

    bars: list[Any] = []

    def show(done: int, total: int) -> None:
        if not bars:
            bars.append(tqdm(total=total, unit=unit, leave=False, dynamic_ncols=True, mininterval=0.2))
        bars[0].total = total
        bars[0].update(done - bars[0].n)

    try:
        yield show
    finally:
        for bar in bars:
            bar.close()


def print_json(value: Any) -> None:
    """Print a value as JSON on stdout."""
    click.echo(json.dumps(value, indent=2))
