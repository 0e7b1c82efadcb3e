"""Options that several commands share, each defined once."""

from __future__ import annotations

import json
import math
import os
import re
import shlex
from collections.abc import Callable
from dataclasses import replace
from functools import wraps
from pathlib import Path
from typing import Any, TypeVar

import click

from featx.base_choice import BaseChoice
from featx.bases.names import is_python_file
from featx.errors import RequestError
from featx.keys import DECODE_MODES, parse_value_range
from featx.paths import expand_home, refuse_url

F = TypeVar("F", bound=Callable[..., Any])


def join_options(*options: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Make one decorator of several; `--help` lists their options in the order given."""

    def decorate(command: Any) -> Any:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


class UserPath(click.Path):
    """A path as users write it: `~` is the home folder, also in `--out=~/model.featx`, where no shell replaces it."""

    def __init__(self, file_okay: bool = True, dir_okay: bool = True) -> None:
        super().__init__(file_okay=file_okay, dir_okay=dir_okay, path_type=Path)

    def convert(self, value: Any, parameter: click.Parameter | None, context: click.Context | None) -> Any:
        """Make a path of what was written; a URL is bad usage."""
        try:
            refuse_url(os.fspath(value))
        except RequestError as error:
            self.fail(str(error), parameter, context)
        return super().convert(expand_home(os.fspath(value)), parameter, context)


layers_option = click.option("--layer", "-l", "layers", multiple=True, help="Name or alias of a layer; repeatable.")

POOLINGS_IN_WORDS = "avg, max, avg+max, pyramid, cls (class token) or flat (the whole map)"

poolings_option = click.option(
    "--pooling", "poolings", multiple=True, help=f"How to pool a layer: {POOLINGS_IN_WORDS}; repeatable."
)


def take_one(context: click.Context, parameter: click.Parameter, values: tuple[str, ...]) -> str:
    """Take the only value of an option that other commands let be given several times."""
    if len(values) > 1:
        raise click.BadParameter(f"give one, not {len(values)} ({', '.join(values)}); featx compare takes several")
    return values[0]


pooling_option = click.option(
    "--pooling",
    multiple=True,
    default=("avg",),
    show_default=True,
    callback=take_one,
    help=f"How to pool the layer: {POOLINGS_IN_WORDS}.",
)

store_dtype_option = click.option(
    "--store-dtype",
    type=click.Choice(["float32", "float16"]),
    help="Number format of stored features; float16 takes half the space.  [default: float32]",
)

cached_dtype_option = click.option(
    "--store-dtype",
    type=click.Choice(["float32", "float16"]),
    help="Number format of the cached features to use.  [default: what is cached, float32 where both are]",
)

views_option = click.option(
    "--views",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="Views of each image: the image itself, its mirror image, its corners, then random augmentations.",
)

wide_option = click.option("--wide", is_flag=True, help="Print all columns, however wide the terminal is.")

MEMORY = re.compile(r"([0-9]*\.?[0-9]+)\s*([kmgt]?)b?")
"""An amount of memory in small letters: a number and, perhaps, a unit."""

# Powers of ten, as on the label of a disk: a user who writes 8GB must not get more than that.
MEMORY_UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12}
"""Bytes by the first letter of a unit."""


def parse_memory(context: click.Context, parameter: click.Parameter, value: str | None) -> int | None:
    """Turn "8GB", "500 MB" or a number of bytes into bytes."""
    if value is None:
        return None
    match = MEMORY.fullmatch(value.strip().lower())
    if not match:
        raise click.BadParameter(f"'{value}' is not an amount of memory: write it like 8GB or 500MB")
    number, unit = match.groups()
    size = int(float(number) * MEMORY_UNITS[unit])
    if size < 1:
        raise click.BadParameter(f"'{value}' is less than one byte: write an amount like 8GB or 500MB")
    return size


memory_option = click.option(
    "--memory",
    callback=parse_memory,
    metavar="AMOUNT",
    help="Memory for fitting, such as 8GB; features that need more are fitted out-of-core."
    "  [default: half of this machine's memory]",
)

seed_option = click.option(
    "--seed",
    type=click.IntRange(min=0),
    default=42,
    show_default=True,
    help="Random seed for split, folds and classifiers.",
)

class_weight_option = click.option(
    "--class-weight",
    default="none",
    show_default=True,
    metavar="RULE",
    help="Weight of errors on each class in training: none, balanced (all classes together the same) or "
    "NAME=W,NAME=W (1 for the others).",
)

weights_option = click.option(
    "--weights", help="Weights of the base: a published name, a file (.safetensors, .pth) or 'random'."
)


def check_value_range(context: click.Context, parameter: click.Parameter, text: str | None) -> str | None:
    """Refuse what is not a range."""
    if text is not None:
        try:
            parse_value_range(text)
        except RequestError as error:
            raise click.BadParameter(str(error)) from error
    return text


TRANSFORM_OPTIONS = (
    click.option("--resize", type=click.IntRange(min=1), help="Shorter side in pixels.  [default: the base's own]"),
    click.option("--crop", type=click.IntRange(min=1), help="Centre crop in pixels.  [default: the base's own]"),
    click.option(
        "--precision",
        type=click.Choice(["float32", "bfloat16"]),
        default="float32",
        show_default=True,
        help="Arithmetic of the forward pass; bfloat16 is for a GPU, or a CPU that has avx512_bf16 or amx_bf16.",
    ),
    click.option(
        "--value-range",
        callback=check_value_range,
        metavar="LOW:HIGH",
        help="Values that mean black and white in pictures of more than 8 bits, such as 0:4095.  [default: 0:1 in "
        "floating-point pictures, in others what the file states]",
    ),
    click.option(
        "--decode",
        type=click.Choice(DECODE_MODES),
        help="How JPEG files are decoded: as they are, or at a half, a quarter or an eighth of their size where that "
        "leaves twice --resize, which takes a half to a third of the time for large photos.  [default: exact; "
        "evaluation takes what is cached]",
    ),
)

TRANSFORM_FIELDS = ("resize", "crop", "precision", "value_range", "decode")
"""Fields of `BaseChoice` that these options say."""


def transform_options(command: F) -> F:
    """Add how pictures reach the base, and how it computes; the command receives `transform`, for `BaseChoice`."""

    @wraps(command)
    def with_transform(*args: Any, **kwargs: Any) -> Any:
        transform = {name: kwargs[name] for name in TRANSFORM_FIELDS}
        others = {name: value for name, value in kwargs.items() if name not in TRANSFORM_FIELDS}
        return command(*args, transform=transform, **others)

    return join_options(*TRANSFORM_OPTIONS)(with_transform)


def base_options(command: F) -> F:
    """Add `--base` and what belongs to it; the command receives one `base: BaseChoice`."""

    @wraps(command)
    def with_choice(*args: Any, base: str, weights: str | None, transform: dict[str, Any], **kwargs: Any) -> Any:
        return command(*args, base=BaseChoice(base, weights, **transform), **kwargs)

    options = join_options(
        click.option("--base", "-b", required=True, help="Name of a base, such as resnet50, tiny or hog."),
        weights_option,
        transform_options,
    )
    return options(with_choice)


def several_bases(command: F) -> F:
    """Let `--base` be given more than once; the command receives the first as `base`, the others as `beside`.

    Weights, resize and crop are those of the first base; precision, value range and decoding are those of all.
    """

    @wraps(command)
    def with_choices(
        *args: Any, base: tuple[str, ...], weights: str | None, transform: dict[str, Any], **kwargs: Any
    ) -> Any:
        # A base named twice is shown once.
        first, *others = dict.fromkeys(base)
        choice = BaseChoice(first, weights, **transform)
        beside = tuple(replace(choice, name=name, weights=None, resize=None, crop=None) for name in others)
        return command(*args, base=choice, beside=beside, **kwargs)

    options = join_options(
        click.option(
            "--base",
            "-b",
            required=True,
            multiple=True,
            help="Name of a base, such as resnet50, tiny or hog; repeatable: every cached layer of the further bases "
            "is added to the table.",
        ),
        weights_option,
        transform_options,
    )
    return options(with_choices)


def output_options(command: F) -> F:
    """Add `--json`, `-v` and `-q`; the command receives `as_json: bool` and `quiet: bool`."""

    @wraps(command)
    def with_logging(*args: Any, verbose: int, quiet: bool, **kwargs: Any) -> Any:
        from featx.cli.main import set_up_logging

        set_up_logging(-1 if quiet else verbose)
        return command(*args, quiet=quiet, **kwargs)

    options = join_options(
        click.option("--json", "as_json", is_flag=True, help="Print JSON and nothing else to stdout."),
        click.option("--verbose", "-v", count=True, help="Log what is going on."),
        click.option("--quiet", "-q", is_flag=True, help="Show no progress bar and log errors only."),
    )
    return options(with_logging)


def print_json(value: Any) -> None:
    """Print a value as JSON on stdout."""
    click.echo(json.dumps(without_nan(value), indent=2, allow_nan=False))


def without_nan(value: Any) -> Any:
    """Replace NaN and infinity by None: JSON has neither, and most readers refuse them."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {name: without_nan(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [without_nan(item) for item in value]
    return value


def format_count(number: int, noun: str) -> str:
    """Write a number with its noun in singular or plural, such as "1 part" or "2 parts"."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def predict_command(model: Path, base: str, weights: str | None = None) -> str:
    """Write the command that labels images with a model: it works from any folder.

    Parameters
    ----------
    model : pathlib.Path
    base : str
        What `--base` named; a Python file has to be named again, since only then it is run.
    weights : str, optional
        The file of weights that the model names, which has to be named again, since only then it is opened.
    """
    words = ["featx", "predict", str(model.resolve())]
    if is_python_file(base):
        words += ["--base", str(Path(base).expanduser().resolve())]
    if weights is not None:
        words += ["--weights", weights]
    return f"{shlex.join(words)} IMAGES"
