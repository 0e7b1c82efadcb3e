"""`featx inspect`: what cached features say of the pictures and labels of a data set."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from featx.base_choice import BaseChoice
from featx.cli.cache_options import feature_cache_options
from featx.cli.data_options import exclude_option, grouped_data
from featx.cli.options import (
    POOLINGS_IN_WORDS,
    UserPath,
    base_options,
    cached_dtype_option,
    format_count,
    output_options,
    print_json,
    seed_option,
)
from featx.cli.progress import progress_bar
from featx.cli.terminal import say_line, say_text
from featx.requests import InspectRequest

if TYPE_CHECKING:
    from featx.inspection.report import Inspection

SHOWN = 10
"""Findings of a kind that are printed; --json and --csv hold all."""


@click.command("inspect")
@grouped_data
@base_options
@click.option(
    "--layer", "-l", help="Layer to look through, by name or alias; a+b for several.  [default: the deepest cached]"
)
@click.option("--pooling", help=f"Pooling of the layer: {POOLINGS_IN_WORDS}.  [default: what is cached]")
@cached_dtype_option
@click.option(
    "--threshold",
    type=click.FloatRange(-1, 1),
    help="Least cosine of near-duplicates; pixels have to agree all the same.  [default: by the data's own distances]",
)
@click.option("--csv", "csv_file", type=UserPath(dir_okay=False), help="Also write every finding as a line of CSV.")
@click.option(
    "--drop-list",
    type=UserPath(dir_okay=False),
    help="Write the paths that may be left out, each below its reason, for --exclude.",
)
@click.option(
    "--map",
    "map_file",
    type=UserPath(dir_okay=False),
    help="Also write where each picture lies on a map of the features (t-SNE), as CSV: path, label, x, y.",
)
@seed_option
@exclude_option
@feature_cache_options
@output_options
def command(
    data: str,
    base: BaseChoice,
    csv_file: Path | None,
    drop_list: Path | None,
    map_file: Path | None,
    as_json: bool,
    quiet: bool,
    **options: Any,
) -> None:
    """Look at DATA through cached features: copies, wrong labels, strangers, poor pictures, shortcuts.

    Nothing is removed by itself: --drop-list writes what may be left out, and extract, compare, fit and auto take it
    with --exclude.

    \b
    Example:
      featx inspect photos --base resnet50 --drop-list drop.txt
      featx compare photos --base resnet50 --exclude drop.txt
    """
    request = InspectRequest(data, base, **options)
    from featx.files import write_text
    from featx.inspection.report import write_drop_list
    from featx.reports.csv_text import write_csv
    from featx.workflows.inspect import inspect_data, map_data

    with progress_bar("image", quiet) as progress:
        inspection = inspect_data(request, progress)
    if csv_file:
        heading = ("finding", "path", "label", "figure", "detail")
        write_text(csv_file, write_csv([heading, *inspection.list_lines()]))
    if map_file:
        places = [(place.path, place.label, place.x, place.y) for place in map_data(request)]
        write_text(map_file, write_csv([("path", "label", "x", "y"), *places]))
    drops = inspection.list_drops()
    if drop_list:
        write_text(drop_list, write_drop_list(drops))
    if as_json:
        print_json(inspection.to_dict())
        return
    say_text(describe_inspection(inspection))
    if drop_list:
        say_line(f"'{drop_list}' lists {format_count(len(drops), 'image')}. Leave them out with: --exclude {drop_list}")


def describe_inspection(inspection: Inspection) -> str:
    """Write what was found, most important first, the first few of each kind."""
    lines = [
        f"{format_count(inspection.images, 'image')} of {inspection.classes} "
        f"{'class' if inspection.classes == 1 else 'classes'}, through {inspection.layer} ({inspection.pooling}) of "
        f"{inspection.base}."
    ]
    for describe in SECTIONS:
        lines += ["", *describe(inspection)]
    lines += [f"note: {note}" for note in inspection.notes]
    return "\n".join(lines)


def describe_duplicates(inspection: Inspection) -> list[str]:
    """Write the groups of near-duplicates."""
    groups = inspection.near_duplicates
    leaks = sum(group.is_leak for group in groups)
    conflicts = sum(group.is_conflict for group in groups)
    split = "the split that fit and compare draw" if inspection.has_drawn_split else "the split"
    lines = [
        f"Near-duplicates: {format_count(len(groups), 'group')}, {leaks} across {split}, {conflicts} across "
        f"labels (pairs down to a cosine of {inspection.threshold:.2f}, confirmed by pixels)."
    ]
    for group in groups[:SHOWN]:
        kinds = [kind for kind, holds in (("leak", group.is_leak), ("conflict", group.is_conflict)) if holds]
        what = f" [{', '.join(kinds)}]" if kinds else ""
        lines.append(f"  {group.similarity:.3f}{what} {shorten_list(group.paths)}")
    return cut(lines, len(groups))


def describe_labels(inspection: Inspection) -> list[str]:
    """Write the most suspect labels."""
    suspects = inspection.suspect_labels
    if inspection.estimated_wrong is None:
        return ["Suspect labels: not looked at."]
    lines = [f"Suspect labels: about {inspection.estimated_wrong:.0f} of {inspection.images} are wrong, by estimate."]
    for suspect in suspects[:SHOWN]:
        what = f"labelled {suspect.label}, looks like {suspect.suggested}"
        lines.append(f"  {suspect.margin:+.2f} {suspect.path}: {what}")
    return cut(lines, len(suspects))


def describe_strangers(inspection: Inspection) -> list[str]:
    """Write the pictures that are unlike all classes."""
    strangers = inspection.strangers
    lines = [f"Strangers: {format_count(len(strangers), 'image')} unlike all classes."]
    lines += [f"  {stranger.familiarity:.2f} {stranger.path} ({stranger.label})" for stranger in strangers[:SHOWN]]
    return cut(lines, len(strangers))


def describe_pictures(inspection: Inspection) -> list[str]:
    """Write the poor pictures."""
    poor_pictures = inspection.poor_pictures
    lines = [f"Poor pictures: {len(poor_pictures)}."]
    for poor in poor_pictures[:SHOWN]:
        value = "" if poor.value is None else f" ({poor.value:.3g})"
        lines.append(f"  {poor.problem}{value} {poor.path}")
    return cut(lines, len(poor_pictures))


def describe_shortcuts(inspection: Inspection) -> list[str]:
    """Write what the class can be told from beside what pictures show."""
    warned = [shortcut for shortcut in inspection.shortcuts if shortcut.is_warned]
    if not warned:
        return ["Shortcuts: none; the form of the files does not tell the class."]
    lines = ["Shortcuts:"]
    for shortcut in warned:
        told = f"class can be told from the {shortcut.fact} alone: {shortcut.accuracy:.2f}"
        lines += [f"  warning: {told} (most frequent class: {shortcut.dummy:.2f})"]
    return lines


def describe_hints(inspection: Inspection) -> list[str]:
    """Write whether the two parts differ, and which groups names suggest."""
    lines = []
    if inspection.shift is not None:
        shift = inspection.shift
        interval = f"AUC {shift.auc:.2f}, 95 % interval {shift.low:.2f} to {shift.high:.2f}"
        can = "can be told apart" if shift.is_warned else "can hardly be told apart"
        lines.append(f"{'warning: ' if shift.is_warned else ''}Training part and held-out part {can} ({interval}).")
    if inspection.group_hint:
        lines.append(f"Hint: {inspection.group_hint}")
    return lines or ["Hints: none."]


SECTIONS: Sequence[Callable[[Inspection], list[str]]] = (
    describe_duplicates,
    describe_labels,
    describe_strangers,
    describe_pictures,
    describe_shortcuts,
    describe_hints,
)
"""The parts of the report, in their order."""


def shorten_list(paths: Sequence[str]) -> str:
    """Join paths, the first three where there are more than four."""
    if len(paths) <= 4:
        return ", ".join(paths)
    return f"{', '.join(paths[:3])} and {len(paths) - 3} more"


def cut(lines: list[str], count: int) -> list[str]:
    """Say how many findings are not shown."""
    return lines if count <= SHOWN else [*lines, f"  and {count - SHOWN} more (--csv or --json)"]
