"""Drawings by matplotlib: as SVG within the page, in its colours of light and dark, and as files for papers."""

from __future__ import annotations

import io
import logging
import re
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from featx.errors import RequestError, StoreError
from featx.files import write_atomic
from featx.log import escape_controls

SVG = "http://www.w3.org/2000/svg"
XLINK = "http://www.w3.org/1999/xlink"

POINTS_PER_INCH = 72
"""Drawings are measured in points, which are the units of an SVG of matplotlib."""

PNG_DOTS_PER_INCH = 200

UNDATED = {"svg": {"Date": None}, "png": {}, "pdf": {"CreationDate": None}}
"""Kinds of files, and what keeps the day out of each: equal charts are equal files."""

SERIES = ("logreg", "svm", "mlp", "knn", "head", "finetuned", "other")
"""What has a colour and a mark of its own; everything else shares the last one."""

MARKS = dict(zip(SERIES, "os^DvPX", strict=True))
"""Shape of a mark, so that nobody needs to tell colours apart."""

SETTINGS = {
    "svg.hashsalt": "featx",  # names of clips and marks are the same in every run
    "svg.fonttype": "none",  # letters stay letters: found, read aloud, and in the page's own font
    "text.parse_math": False,  # names of layers and classes may hold dollars
    "font.family": "sans-serif",
    "font.size": 11.0,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.8,
    "axes.titlesize": 11.0,
    "axes.axisbelow": True,
    "xtick.major.size": 0.0,
    "ytick.major.size": 0.0,
    "legend.frameon": False,
    "legend.handletextpad": 0.3,
    "legend.columnspacing": 1.2,
}


@dataclass(frozen=True)
class Palette:
    """The colours of a drawing.

    Attributes
    ----------
    ink, muted, grid, accent, paper : str
        `#rrggbb`: text, lesser text, lines behind the data, what is pointed out, and the ground.
    series : mapping of str to str
        Of each of `SERIES`.
    """

    ink: str
    muted: str
    grid: str
    accent: str
    paper: str
    series: Mapping[str, str]

    def of_series(self, name: str) -> str:
        """Give the colour of a classifier."""
        return self.series.get(name, self.series["other"])


PAPER = Palette(
    ink="#1c2128",
    muted="#5b6572",
    grid="#e3e6ea",
    accent="#1f5fa8",
    paper="#ffffff",
    series=dict(
        zip(SERIES, ("#1f66b0", "#c2571a", "#23805a", "#7c4fb0", "#b03a5b", "#80631a", "#5b6572"), strict=True)
    ),
)
"""Colours of files for papers."""

# Colours that no drawing has by chance.
PAGE = Palette(
    ink="#010203",
    muted="#010204",
    grid="#010205",
    accent="#010206",
    paper="#010207",
    series={name: f"#0102{place + 16:02x}" for place, name in enumerate(SERIES)},
)
"""Colours of drawings within the page: the page's own take their place."""

PLACEHOLDERS = {
    PAGE.ink: "var(--ink)",
    PAGE.muted: "var(--muted)",
    PAGE.grid: "var(--grid)",
    PAGE.accent: "var(--accent)",
    PAGE.paper: "var(--paper)",
    **{colour: f"var(--series-{name})" for name, colour in PAGE.series.items()},
}
"""Colour in a drawing to what the page puts in its place."""


@dataclass(frozen=True)
class Drawing:
    """A drawing of matplotlib, and what is said of it.

    Attributes
    ----------
    figure : matplotlib.figure.Figure
    tips : dict of str to str
        What is said of single marks, by the name that each has in the figure (its `gid`).
    axes : matplotlib.axes.Axes or None
        Axes on which the page moves a mark, from 0 to 1 both.
    """

    figure: Any
    tips: dict[str, str] = field(default_factory=dict)
    axes: Any = None


@dataclass(frozen=True)
class Chart:
    """A chart of the page.

    Attributes
    ----------
    name : str
        Of its file, too.
    title, description : str
        For who cannot see it.
    draw : callable
        Draws it in the colours of a palette.
    """

    name: str
    title: str
    description: str
    draw: Callable[[Palette], Drawing]


@contextmanager
def drawing_settings(palette: Palette) -> Iterator[None]:
    """Let drawings have our fonts and colours within the block.

    Raises
    ------
    RequestError
        If matplotlib is not installed.
    """
    try:
        import matplotlib
    except ImportError:
        raise missing_package("matplotlib") from None
    # It tells of every font that lacks a letter.
    logging.getLogger("matplotlib").setLevel(logging.ERROR)
    settings: dict[Any, Any] = {
        **SETTINGS,
        "text.color": palette.ink,
        "axes.labelcolor": palette.muted,
        "axes.edgecolor": palette.grid,
        "xtick.color": palette.muted,
        "ytick.color": palette.muted,
        "grid.color": palette.grid,
    }
    with matplotlib.rc_context(settings), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing")
        yield


def missing_package(name: str) -> RequestError:
    """Build the error for a package that reports need."""
    return RequestError(f"a report needs the package '{name}', which is not installed: pip install 'featx[report]'")


def make_figure(width: float, height: float, **layout: Any) -> tuple[Any, Any]:
    """Make a figure of so many points with axes that have horizontal lines behind the data.

    Parameters
    ----------
    layout
        As for `matplotlib.figure.Figure.subplots`.

    Returns
    -------
    figure, axes
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width / POINTS_PER_INCH, height / POINTS_PER_INCH), layout="constrained")
    axes = figure.subplots(**layout)
    for each in [axes] if not hasattr(axes, "flat") else axes.flat:
        each.grid(axis="y", linewidth=0.8)
        each.tick_params(labelsize=10)
    return figure, axes


def to_inline_svg(chart: Chart) -> str:
    """Draw a chart as SVG to stand within the page: its colours are the page's, and it says what it shows."""
    with drawing_settings(PAGE):
        drawing = chart.draw(PAGE)
        root = to_tree(drawing.figure)
        frame = "" if drawing.axes is None else find_frame(drawing)
    prefix_names(root, chart.name)
    for gid, text in drawing.tips.items():
        mark = root.find(f".//*[@id='{chart.name}-{gid}']")
        if mark is not None:
            title = ElementTree.Element(f"{{{SVG}}}title")
            title.text = escape_controls(text)
            mark.insert(0, title)
            mark.set("class", "mark")
    for name, text in (("desc", chart.description), ("title", chart.title)):
        element = ElementTree.Element(f"{{{SVG}}}{name}", {"id": f"{chart.name}-{name}"})
        element.text = escape_controls(text)
        root.insert(0, element)
    root.set("role", "img")
    root.set("aria-labelledby", f"{chart.name}-title {chart.name}-desc")
    if frame:
        root.set("data-frame", frame)
    return put_page_style(ElementTree.tostring(root, encoding="unicode"))


def to_tree(figure: Any) -> ElementTree.Element:
    """Draw a figure as a tree of SVG, without what would reach beyond it on a page."""
    text = io.BytesIO()
    figure.savefig(text, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    ElementTree.register_namespace("", SVG)
    ElementTree.register_namespace("xlink", XLINK)
    root = ElementTree.fromstring(text.getvalue())
    for parent in list(root.iter()):
        for child in list(parent):
            # A style in an SVG is one of the whole page.
            if child.tag in (f"{{{SVG}}}metadata", f"{{{SVG}}}style"):
                parent.remove(child)
    for name in ("width", "height", "version"):
        root.attrib.pop(name, None)
    root.set("style", "stroke-linejoin: round; stroke-linecap: butt")
    return root


def find_frame(drawing: Drawing) -> str:
    """Say where 0 and 1 of both axes lie, in units of the SVG: "x0 y0 x1 y1"."""
    height = drawing.figure.get_figheight() * POINTS_PER_INCH
    per_dot = POINTS_PER_INCH / drawing.figure.dpi
    left, bottom = drawing.axes.transData.transform((0, 0)) * per_dot
    right, top = drawing.axes.transData.transform((1, 1)) * per_dot
    return f"{left:.2f} {height - bottom:.2f} {right:.2f} {height - top:.2f}"


def prefix_names(root: ElementTree.Element, prefix: str) -> None:
    """Give every name in an SVG a prefix, so that several of them can stand on one page."""
    for element in root.iter():
        for name, value in element.attrib.items():
            if name == "id":
                element.set(name, f"{prefix}-{value}")
            elif name == f"{{{XLINK}}}href":
                element.set(name, value.replace("#", f"#{prefix}-", 1))
            elif "url(#" in value:
                element.set(name, value.replace("url(#", f"url(#{prefix}-"))


FONT = re.compile(r"font: ((?:[a-z0-9]+ )*?)([0-9.]+px) [^;\"]*")
"""A font in the style of a letter: its size stays."""


def put_page_style(svg: str) -> str:
    """Put the page's colours and font in the place of the drawing's."""
    for placeholder, variable in PLACEHOLDERS.items():
        svg = svg.replace(placeholder, variable)
    return FONT.sub(r"font: \1\2 var(--font)", svg)


def check_chart(file: Path) -> str:
    """Give the kind of file that a chart is to be written as.

    Raises
    ------
    RequestError
        If its suffix is not `.svg`, `.png` or `.pdf`, or matplotlib is not installed.
    """
    kind = file.suffix.lower().removeprefix(".")
    if kind not in UNDATED:
        raise RequestError(f"the chart '{file}' would be of no known kind: let its name end in .svg, .png or .pdf")
    with drawing_settings(PAPER):
        return kind


def write_chart(chart: Chart, file: Path) -> None:
    """Write a chart for a paper, as what the suffix of the file says.

    Raises
    ------
    RequestError
        As `check_chart` does.
    StoreError
        If the file cannot be written.
    """
    kind = check_chart(file)
    with drawing_settings(PAPER):
        drawing = chart.draw(PAPER)
        content = io.BytesIO()
        options: dict[str, Any] = {"dpi": PNG_DOTS_PER_INCH, "facecolor": PAPER.paper, "metadata": UNDATED[kind]}
        drawing.figure.savefig(content, format=kind, **options)
    try:
        write_atomic(file, content.getvalue())
    except OSError as error:
        raise StoreError(f"'{file}' cannot be written: {error.strerror or error}") from error
