"""The page: one HTML file that opens offline and asks for nothing. What names hold is text, whatever they hold."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any

from featx.evaluation.curves import ReliabilityBin
from featx.log import escape_controls
from featx.reports.html.charts_of_one import chart_labels, chart_precision, chart_reliability, chart_roc
from featx.reports.html.charts_of_rows import chart_cost, chart_depth, name_row
from featx.reports.html.figure import Chart, missing_package, to_inline_svg
from featx.reports.html.material import Material, Section
from featx.reports.html.pictures import Pictures, make_pictures, order_wanted
from featx.reports.html.sections_of_figures import (
    describe_calibration,
    describe_data,
    describe_learning,
    describe_origin,
    describe_table,
    find_threshold_curve,
)
from featx.reports.html.sections_of_images import describe_classes, describe_confusion, describe_mistakes
from featx.reports.html.sections_of_looking import (
    describe_answers,
    describe_checks,
    describe_evidence,
    describe_layers,
    describe_maps,
    list_rows_of_checks,
)
from featx.reports.html.verdict import describe_verdict
from featx.types import Progress

if TYPE_CHECKING:
    from jinja2 import Environment
    from markupsafe import Markup

TEMPLATES = "templates"

PARTS = (
    ("verdict", "Verdict"),
    ("table", "Cut depths"),
    ("mistakes", "Mistakes"),
    ("confusion", "Confusion matrix"),
    ("classes", "Classes"),
    ("data", "Data checks"),
    ("calibration", "Calibration"),
    ("learning", "Learning curve"),
    ("map", "Map of features"),
    ("layers", "What layers see"),
    ("origin", "How it was made"),
)
"""Parts of the page and their names in its menu."""

SCRIPTS = ("theme.js", "pictures.js", "table.js", "confusion.js", "threshold.js", "map.js", "evidence.js", "parts.js")
"""Parts of the page's script, in the order in which they run."""

MEGABYTE = 1e6

PICTURES_GO_HERE = "@@featx-pictures@@"
NOTE_GOES_HERE = "@@featx-note-on-pictures@@"
"""What stands in a page until its pictures are made, which take the room that the rest leaves."""

SPARE_BYTES = 4096
"""Room for the words on what was left out."""


@dataclass(frozen=True)
class Page:
    """A page, and what it shows.

    Attributes
    ----------
    text : str
        HTML.
    sections : dict
        What its parts show, as plain values.
    charts : list of Chart
    pictures : Pictures
    """

    text: str
    sections: dict[str, Section]
    charts: list[Chart]
    pictures: Pictures


def make_page(material: Material, progress: Progress | None = None) -> Page:
    """Make the page of what there is.

    Parameters
    ----------
    progress : callable, optional
        Called with the number of pictures made and to be made.

    Raises
    ------
    RequestError
        If a package is not installed that reports need.
    """
    sections = describe_sections(material)
    charts = choose_charts(material)
    wanted = list_wanted(sections, material)
    environment = make_environment()
    context = {
        "sections": sections,
        "parts": PARTS,
        "charts": {chart.name: safe(to_inline_svg(chart)) for chart in charts},
        "title": f"{sections['origin']['title']}: {name_row(material.subject.row, 2)}",
        "shows_images": material.request.shows_images,
        "anonymous": material.request.anonymous,
        "style": safe(read_template("style.css")),
        "script": safe(read_script()),
        "policy": write_policy(),
        "data": safe(embed_json(describe_for_script(material, sections))),
        "pictures": safe(PICTURES_GO_HERE),
        "pictures_note": safe(NOTE_GOES_HERE),
    }
    text = environment.get_template("page.html").render(context)
    room = int(material.request.max_mb * MEGABYTE) - len(text.encode(errors="backslashreplace")) - SPARE_BYTES
    pictures = Pictures(wanted=len(wanted))
    if material.request.shows_images:
        transform = material.subject.comparison.base.id.transform
        listing = material.dataset.listing
        pictures = make_pictures(
            listing, wanted, material.request.max_images, room, transform.value_range, progress=progress
        )
    text = text.replace(PICTURES_GO_HERE, embed_json({str(row): source for row, source in pictures.sources.items()}))
    text = text.replace(NOTE_GOES_HERE, word_pictures(pictures, material))
    # Bytes of a name that are not UTF-8 are shown as escapes.
    return Page(text.encode(errors="backslashreplace").decode(), sections, charts, pictures)


def describe_sections(material: Material) -> dict[str, Section]:
    """Describe all parts of the page."""
    return {
        "verdict": describe_verdict(material),
        "table": describe_table(material),
        "mistakes": describe_mistakes(material),
        "confusion": describe_confusion(material),
        "classes": describe_classes(material),
        "data": describe_data(material),
        "calibration": describe_calibration(material),
        "learning": describe_learning(material),
        "checks": describe_checks(material),
        "maps": describe_maps(material),
        "layers": describe_layers(material),
        "origin": describe_origin(material),
    }


def choose_charts(material: Material) -> list[Chart]:
    """List the charts that there is something to draw for."""
    row = material.subject.row
    charts: list[Chart] = []
    # One configuration makes no curve.
    if len({(each.base, each.layer, each.clf) for each in material.rows}) > 1:
        charts.append(chart_depth(material.rows, material.dummy_accuracy))
        cost = chart_cost(material.rows)
        charts += [] if cost is None else [cost]
    bins = [ReliabilityBin(**each) for each in describe_calibration(material)["bins"]]
    charts.append(chart_reliability(bins, row.calibration_error))
    curve = find_threshold_curve(material)
    if curve is not None:
        positive = row.positive or ""
        charts.append(chart_roc(curve, positive, row.roc_auc))
        charts.append(chart_precision(curve, positive, row.average_precision))
    if material.few_labels is not None:
        charts.append(chart_labels(material.few_labels))
    return charts


def list_wanted(sections: Mapping[str, Section], material: Material) -> list[int]:
    """List the rows whose pictures the page would show, the most wanted first."""
    mistakes = [image["row"] for image in sections["mistakes"]["shown"]]
    alike = [near["row"] for image in sections["mistakes"]["shown"] for near in image["neighbours"]]
    hard: list[int] = []
    typical: list[int] = []
    for each in sections["classes"]["classes"]:
        hard += [image["row"] for image in each["hard"]]
        typical += [image["row"] for image in each["typical"]]
    wrong: list[int] = []
    right: list[int] = []
    for cell, rows in sections["confusion"]["cells"].items():
        true, _, predicted = cell.partition(",")
        of_cell = right if true == predicted else wrong
        of_cell += rows
    checked = list_rows_of_checks(sections["checks"])
    seen = [image["row"] for image in sections["layers"]["evidence"]]
    for layer in sections["layers"]["layers"]:
        seen += [row for channel in layer["channels"] for row in channel["rows"]]
    on_map = [row for each in sections["maps"]["maps"] for row in each["rows"]]
    return order_wanted(mistakes, alike, hard, typical, checked, wrong, seen, right, on_map)


def describe_for_script(material: Material, sections: Mapping[str, Section]) -> Section:
    """Give the script of the page what it shows on demand: names are written as they are shown."""
    rows = list_wanted(sections, material)
    transform = material.subject.comparison.base.id.transform
    place_of = {int(row): place for place, row in enumerate(material.held_out.tolist())}
    images = {}
    for row in rows:
        place = place_of.get(row)
        predicted = -1 if place is None else int(material.predictions.classes[place])
        probability = None if place is None else float(material.predictions.confidence[place])
        images[str(row)] = [escape_controls(material.names[row]), int(material.dataset.y[row]), predicted, probability]
    return {
        "classes": [escape_controls(name) for name in material.dataset.classes],
        "images": images,
        "cells": sections["confusion"]["cells"],
        "threshold": sections["calibration"]["threshold"],
        "maps": sections["maps"]["maps"],
        "evidence": {str(row): describe_evidence(each) for row, each in material.looked.evidence.items()},
        "answers": describe_answers(material),
        "cropShare": round(transform.crop / transform.resize, 4),
        "showsImages": material.request.shows_images,
    }


def word_pictures(pictures: Pictures, material: Material) -> str:
    """Say what was left out of the page, and by which option."""
    if material.request.anonymous:
        return "Pictures, paths and the name of the data set are not shown (--anonymous)."
    if not material.request.shows_images:
        return "Pictures are not shown (--no-images): images are named by their paths."
    words = [f"{len(pictures.sources)} of {pictures.wanted} pictures are in this page"]
    if pictures.left_out:
        words.append(f"{pictures.left_out} were left out ({pictures.limit}; the others are named by their paths)")
    if pictures.unreadable:
        words.append(f"{pictures.unreadable} cannot be read any more")
    return "; ".join(words) + "."


def embed_json(value: Any) -> str:
    """Write JSON that may stand within a script element: no markup can begin in it."""
    text = json.dumps(value, separators=(",", ":"))
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


@cache
def read_template(name: str) -> str:
    """Read a file that lies beside the templates."""
    return (resources.files("featx.reports.html") / TEMPLATES / name).read_text(encoding="utf-8")


def read_script() -> str:
    """Join the parts of the page's script."""
    parts = "\n".join(read_template(name) for name in SCRIPTS)
    return f'"use strict";\n{parts}'


def write_policy() -> str:
    """Write what the page may do: show pictures that it holds, and run its own script and no other."""
    digest = base64.b64encode(hashlib.sha256(read_script().encode()).digest()).decode()
    return (
        "default-src 'none'; img-src data:; style-src 'unsafe-inline'; "
        f"script-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    )


def safe(text: str) -> Markup:
    """Mark what is markup already."""
    from markupsafe import Markup

    return Markup(text)


def make_environment() -> Environment:
    """Make the environment of the templates: everything is escaped, and every variable must be there.

    Raises
    ------
    RequestError
        If jinja2 is not installed.
    """
    try:
        from jinja2 import Environment, FunctionLoader, StrictUndefined
    except ImportError:
        raise missing_package("jinja2") from None
    environment = Environment(
        loader=FunctionLoader(read_template),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        sentence=begin_sentence, plain=escape_controls, name=show_name, number=show_number, interval=show_interval
    )
    return environment


def begin_sentence(text: str) -> str:
    """Write the first letter large."""
    return escape_controls(text[:1].upper() + text[1:])


def show_name(text: str) -> Markup:
    """Show a foreign name: as text, in its own direction, with what would not be seen written out."""
    from markupsafe import Markup

    return Markup("<bdi>{}</bdi>").format(escape_controls(str(text)))


NOTHING = '<span class="none">\N{EN DASH}</span>'
"""Where there is no number."""


def show_number(value: float | None, digits: int = 3) -> Markup:
    """Show a number, with its exact value beside it for programs; a dash where there is none."""
    from markupsafe import Markup

    if value is None:
        return Markup(NOTHING)
    shown = f"{value:,}".replace(",", "\N{NARROW NO-BREAK SPACE}")
    if isinstance(value, float):
        shown = f"{value:.{digits}f}"
    return Markup('<data value="{}">{}</data>').format(json.dumps(value), shown)


def show_interval(pair: Sequence[float] | None) -> Markup:
    """Show an interval, with its exact bounds beside it for programs."""
    from markupsafe import Markup

    if pair is None:
        return Markup(NOTHING)
    low, high = pair
    shown = f"{low:.3f}\N{EN DASH}{high:.3f}"
    return Markup('<span class="ci" data-low="{}" data-high="{}">{}</span>').format(low, high, shown)
