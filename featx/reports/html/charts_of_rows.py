"""Charts of a table's rows: accuracy against depth, and against what a layer costs to extract."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from featx.evaluation.result import TUNED, best
from featx.evaluation.table_row import TableRow
from featx.reports.classes import cut_short
from featx.reports.html.figure import MARKS, Chart, Drawing, Palette, make_figure, write_chart
from featx.reports.table_notes import mark_row

WIDTH = 520.0
"""Of a chart, in points: as wide as half of a page, so that letters keep their size there."""

ASPECT = 0.66

SPREAD = 0.11
"""Distance of classifiers at one place, in places: their intervals must not cover one another."""

LONGEST_NAME = 24
"""Letters of a layer's name below a chart."""

MOST_LEVEL_NAMES = 7
"""More names of layers are written slanting."""

FAR_BELOW = 1.2
"""The dummy's line lies on the chart unless it is further below all intervals than so many times their range."""

ONE_COST = 1.1
"""Ratio of the largest to the smallest cost up to which marks stand side by side: they would cover one another."""

WORTH_LOGARITHM = 12.0
"""Ratio of the largest to the smallest cost from which on a scale of ratios shows them all."""


@dataclass(frozen=True)
class Place:
    """A layer set at its place along a depth chart."""

    base: str
    layer: str


def name_row(row: TableRow, bases: int = 1) -> str:
    """Name a row in a few words."""
    words = [row.base] if bases > 1 else []
    words += [row.layer, f"({row.pooling})" if row.pooling != "avg" else "", row.clf]
    if row.views > 1:
        words.append(f"{row.views} views")
    return " ".join(word for word in words if word)


def describe_row(row: TableRow, winner: TableRow) -> str:
    """Say in one line what a mark of a chart stands for."""
    mark = {"*": "best by cross-validation; ", "=": "not told apart from the best; ", "": ""}[mark_row(row, winner)]
    cost = "" if row.ms_per_image is None else f"; {row.ms_per_image:.2f} ms/image"
    return (
        f"{name_row(row, 2)}: {mark}accuracy {row.test_accuracy:.3f} "
        f"({row.ci_low:.3f} to {row.ci_high:.3f}), cross-validated {row.cv_accuracy:.3f}{cost}"
    )


def draw_depths(rows: Sequence[TableRow], file: Path) -> None:
    """Write the chart of accuracy against depth to a file; the dummy is on it where it is among the rows.

    Raises
    ------
    FeatxError
        As `write_chart` does.
    """
    write_chart(chart_depth(rows, find_dummy(rows)), file)


def find_dummy(rows: Sequence[TableRow]) -> float | None:
    """Find the accuracy of the dummy among rows; None if it is not there."""
    return next((row.test_accuracy for row in rows if row.clf == "dummy"), None)


def chart_depth(rows: Sequence[TableRow], dummy: float | None) -> Chart:
    """Make the chart of accuracy against depth: a line a classifier, intervals, the deepest cut and the dummy.

    Parameters
    ----------
    dummy : float or None
        Accuracy of naming the most frequent class, where it is known.
    """
    winner = best(rows)
    return Chart(
        "depth",
        "Accuracy against depth of the cut",
        f"One line for each classifier, with 95 % intervals. The best, {describe_row(winner, winner)}."
        f"{'' if dummy is None else f' Always naming the most frequent class reaches {dummy:.3f}.'}",
        lambda palette: draw_depth(rows, dummy, palette),
    )


def list_places(rows: Sequence[TableRow]) -> list[Place]:
    """List the layers in the base's order, base by base, and layer sets behind them."""
    places = dict.fromkeys(Place(row.base, row.layer) for row in rows if row.clf not in TUNED)
    return sorted(places, key=lambda place: ("+" in place.layer, list_bases(rows).index(place.base)))


def list_bases(rows: Sequence[TableRow]) -> list[str]:
    """List the bases of rows, each once."""
    return list(dict.fromkeys(row.base for row in rows))


def draw_depth(rows: Sequence[TableRow], dummy: float | None, palette: Palette) -> Drawing:
    """Draw the chart of accuracy against depth."""
    figure, axes = make_figure(WIDTH, WIDTH * ASPECT)
    frozen = [row for row in rows if row.clf not in TUNED and row.clf != "dummy"]
    places = list_places(frozen)
    names = list(dict.fromkeys(row.clf for row in frozen))
    usual = best(frozen) if frozen else None
    tips: dict[str, str] = {}
    for number, name in enumerate(names):
        shift = (number - (len(names) - 1) / 2) * SPREAD
        of_name = [row for row in frozen if row.clf == name]
        on_line = [row for row in of_name if usual and (row.pooling, row.views) == (usual.pooling, usual.views)]
        for stretch in split_at_bases(on_line):
            at = [places.index(Place(row.base, row.layer)) + shift for row in stretch]
            axes.plot(at, [row.test_accuracy for row in stretch], color=palette.of_series(name), linewidth=1.4)
        for row in of_name:
            at_row = places.index(Place(row.base, row.layer)) + shift
            gid = f"depth-{len(tips)}"
            draw_mark(axes, at_row, row, palette, gid, is_filled=row in on_line)
            tips[gid] = describe_row(row, best(rows))
        axes.plot([], [], color=palette.of_series(name), marker=MARKS.get(name, "o"), markersize=5, label=name)
    draw_levels(axes, rows, frozen, dummy, palette)
    write_places(axes, places, palette)
    axes.set_ylabel("accuracy on held-out images")
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=max(1, len(names)), borderaxespad=0.2)
    return Drawing(figure, tips)


def split_at_bases(rows: Sequence[TableRow]) -> list[list[TableRow]]:
    """Split the rows of a line where another base begins; layer sets are no part of it."""
    stretches: list[list[TableRow]] = []
    for row in rows:
        if "+" in row.layer:
            continue
        if not stretches or stretches[-1][-1].base != row.base:
            stretches.append([])
        stretches[-1].append(row)
    return stretches


def draw_mark(axes: Any, at: float, row: TableRow, palette: Palette, gid: str, is_filled: bool = True) -> None:
    """Draw a row: its interval, and a mark of its classifier's shape."""
    colour = palette.of_series(row.clf)
    axes.plot([at, at], [row.ci_low, row.ci_high], color=colour, linewidth=1.2, alpha=0.45)
    (mark,) = axes.plot(
        [at],
        [row.test_accuracy],
        linestyle="none",
        marker=MARKS.get(row.clf, MARKS["other"]),
        markersize=6.5,
        markerfacecolor=colour if is_filled else palette.paper,
        markeredgecolor=palette.paper if is_filled else colour,
        markeredgewidth=1.0,
    )
    mark.set_gid(gid)


def draw_levels(
    axes: Any, rows: Sequence[TableRow], frozen: Sequence[TableRow], dummy: float | None, palette: Palette
) -> None:
    """Draw the accuracy of the deepest cut and of the dummy as lines, as far as they are on the chart."""
    low = min((row.ci_low for row in frozen), default=0.0)
    high = max((row.ci_high for row in frozen), default=1.0)
    span = max(high - low, 0.02)
    is_far = dummy is not None and low - dummy > FAR_BELOW * span
    bottom = low if is_far or dummy is None else min(low, dummy)
    axes.set_ylim(max(-0.02, bottom - 0.06 * span - 0.005), min(1.02, high + 0.04 * span + 0.005))
    single = [row for row in frozen if "+" not in row.layer]
    if single:
        deepest = max((row for row in single if row.layer == single[-1].layer), key=lambda row: row.merit)
        label = f"deepest cut, {deepest.layer}: {deepest.test_accuracy:.3f}"
        draw_level(axes, deepest.test_accuracy, label, palette.muted, "--")
    if is_far:
        note = f"dummy, the most frequent class: {dummy:.3f}, far below"
        axes.text(0.006, 0.012, note, transform=axes.transAxes, ha="left", va="bottom", size=9, color=palette.muted)
        return
    if dummy is not None:
        draw_level(axes, dummy, f"dummy, the most frequent class: {dummy:.3f}", palette.muted, ":")


def draw_level(axes: Any, level: float, label: str, colour: str, style: str) -> None:
    """Draw a line across a chart, with words at its left end, where shallow cuts leave room."""
    axes.axhline(level, color=colour, linewidth=1.0, linestyle=style, zorder=1)
    at = axes.get_yaxis_transform()
    axes.text(0.006, level, label, transform=at, ha="left", va="bottom", size=9, color=colour)


def write_places(axes: Any, places: Sequence[Place], palette: Palette) -> None:
    """Write the names of layers below a chart, and those of bases where there are several."""
    names = [cut_short(place.layer, LONGEST_NAME) for place in places]
    slant = len(names) > MOST_LEVEL_NAMES or sum(map(len, names)) > 60
    slanting: dict[str, Any] = {"rotation": 35, "ha": "right", "rotation_mode": "anchor"} if slant else {}
    axes.set_xticks(range(len(names)), names, **slanting)
    axes.set_xlim(-0.5, max(len(names) - 0.5, 0.5))
    bases = dict.fromkeys(place.base for place in places)
    for base in bases if len(bases) > 1 else ():
        first = next(number for number, place in enumerate(places) if place.base == base)
        if first:
            axes.axvline(first - 0.5, color=palette.grid, linewidth=0.8)
        axes.annotate(base, (first - 0.4, 0.985), xycoords=("data", "axes fraction"), va="top", size=9.5)


def chart_cost(rows: Sequence[TableRow]) -> Chart | None:
    """Make the chart of accuracy against the cost of extraction, one mark a row; None where no cost is known."""
    measured = [row for row in rows if row.ms_per_image is not None and row.clf != "dummy"]
    if not measured:
        return None
    winner = best(rows)
    return Chart(
        "cost",
        "Accuracy against the cost of extraction",
        f"One mark for each of {len(measured)} rows, with 95 % intervals; further left is cheaper. Costs are those of "
        f"a pass to that cut alone: the least that was measured of it or of a deeper one. "
        f"The best: {describe_row(winner, winner)}.",
        lambda palette: draw_cost(measured, winner, palette),
    )


def draw_cost(rows: Sequence[TableRow], winner: TableRow, palette: Palette) -> Drawing:
    """Draw the chart of accuracy against the cost of extraction."""
    figure, axes = make_figure(WIDTH, WIDTH * ASPECT)
    costs = [max(row.ms_per_image or 0.0, 1e-3) for row in rows]
    is_logarithmic = max(costs) > WORTH_LOGARITHM * min(costs)
    if is_logarithmic:
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
        axes.xaxis.set_minor_formatter("")
    tips: dict[str, str] = {}
    names = list(dict.fromkeys(row.clf for row in rows))
    for name in names:
        axes.plot([], [], color=palette.of_series(name), linestyle="none", marker=MARKS.get(name, "o"), label=name)
    for row, at in zip(rows, place_costs(rows, costs, is_logarithmic), strict=True):
        gid = f"cost-{len(tips)}"
        draw_mark(axes, at, row, palette, gid)
        tips[gid] = describe_row(row, winner)
        if row is winner:
            ring = {"markersize": 13, "markerfacecolor": "none", "markeredgecolor": palette.ink}
            axes.plot([at], [row.test_accuracy], "o", label=f"best: {cut_short(name_row(row), LONGEST_NAME)}", **ring)
    axes.margins(x=0.08)
    if max(costs) <= ONE_COST * min(costs):
        axes.set_xlim(0.2 * min(costs), 1.8 * max(costs))
        axes.set_xlabel("extraction, ms/image (within a tenth of each other; marks stand side by side)")
    else:
        axes.set_xlabel("extraction, ms/image")
        if not is_logarithmic:
            # So that twice as far is twice as dear.
            axes.set_xlim(0, 1.06 * max(costs))
    axes.set_ylabel("accuracy on held-out images")
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=len(names) + 1, borderaxespad=0.2)
    return Drawing(figure, tips)


def place_costs(rows: Sequence[TableRow], costs: Sequence[float], is_logarithmic: bool) -> list[float]:
    """Say where rows stand along their costs: classifiers of one layer side by side, since they cost the same."""
    if max(costs) <= ONE_COST * min(costs):
        step = min(0.05, 1.2 / len(rows))
        return [cost * (1 + (number - (len(rows) - 1) / 2) * step) for number, cost in enumerate(costs)]
    names = list(dict.fromkeys(row.clf for row in rows))
    spread = 0.012 * max(costs)
    places = []
    for row, cost in zip(rows, costs, strict=True):
        number = names.index(row.clf) - (len(names) - 1) / 2
        places.append(cost * 1.03**number if is_logarithmic else cost + number * spread)
    return places
