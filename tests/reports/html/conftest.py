"""Small data sets with mistakes, their pages, and a browser."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from tests.browser import Browser, find_browser, open_browser

HUES = ((150, 90, 90), (120, 110, 90), (90, 130, 100), (90, 95, 150))
"""Mean colours of four classes, near enough to one another that some pictures are taken for others."""

HOSTILE = (
    "<script>window.hacked = 1</script>",
    '"><img src=x onerror="window.hacked = 1">',
    "\u202eevil \u0639\u0631\u0628\u064a {{ 7 * 7 }}",
    "\N{PILE OF POO} line\u2028break \x1b[31m $x^2$ </style>" + "x" * 300,
)
"""Names of classes that would be more than text on a page that took them for markup."""


@dataclass(frozen=True)
class Made:
    """A page, and what commands print of the same.

    Attributes
    ----------
    data, cache, page : pathlib.Path
    base : list of str
        Flags that name data, base and cache.
    summary : dict
        What `featx report --json` prints.
    """

    data: Path
    cache: Path
    page: Path
    summary: dict[str, Any]

    @property
    def flags(self) -> list[str]:
        return [str(self.data), "--base", "tiny", "--cache", str(self.cache)]

    def text(self) -> str:
        return self.page.read_text(encoding="utf-8")


def run(*arguments: object) -> str:
    """Run a command and give what it prints."""
    from featx.cli.main import main

    result = CliRunner().invoke(main, [str(argument) for argument in arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


def noisy(seed: int, hue: tuple[int, int, int], size: tuple[int, int] = (44, 36)) -> Image.Image:
    """A noisy picture about a colour that varies from picture to picture."""
    generator = np.random.default_rng(seed)
    colour = np.array(hue) + generator.normal(0, 16, 3)
    noise = generator.normal(0, 40, (size[1], size[0], 3))
    return Image.fromarray(np.clip(colour + noise, 0, 255).astype(np.uint8))


def write_pictures(root: Path, names: list[str], each: int) -> None:
    """Write folders of classes."""
    for number, name in enumerate(names):
        (root / name).mkdir(parents=True)
        for picture in range(each):
            noisy(1000 * number + picture, HUES[number]).save(root / name / f"{name}-{picture:02}.png")


def write_hostile(root: Path) -> Path:
    """Write a table whose labels and file names are hostile."""
    root.mkdir()
    # The table itself has a line break in its name, which those of pictures in a table may not have.
    table = root / "<img src=x onerror=window.hacked=1>\npictures.jsonl"
    with table.open("w", encoding="utf-8") as file:
        for number, label in enumerate(HOSTILE):
            for picture in range(14):
                name = f"<img src=x onerror=window.hacked=1> '\" & \N{PILE OF POO}\u2028{number}-{picture}.png"
                noisy(1000 * number + picture, HUES[number]).save(root / name)
                file.write(json.dumps({"path": name, "label": label}) + "\n")
    return table


def make(folder: Path, data: Path, *flags: str) -> Made:
    """Extract, compare, and write a page."""
    cache = folder / "cache"
    common = [data, "--base", "tiny", "--cache", cache, "-q"]
    run("extract", *common, "--layer", "layer1", "--layer", "layer2", "--layer", "layer4")
    run("compare", *common, "--clf", "logreg", "--clf", "knn", "--clf", "dummy")
    page = folder / "report.html"
    return Made(data, cache, page, json.loads(run("report", *common, "--out", page, "--json", *flags)))


@pytest.fixture(scope="session")
def four(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """Four classes of 24 pictures."""
    folder = tmp_path_factory.mktemp("four")
    write_pictures(folder / "photos", ["red", "brown", "green", "blue"], 24)
    return make(folder, folder / "photos", "--figures", str(folder / "figures"))


@pytest.fixture(scope="session")
def two(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """Two classes, which have a threshold."""
    folder = tmp_path_factory.mktemp("two")
    write_pictures(folder / "photos", ["sound", "faulty"], 40)
    return make(folder, folder / "photos")


@pytest.fixture(scope="session")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """Four classes of hostile names."""
    folder = tmp_path_factory.mktemp("hostile")
    return make(folder, write_hostile(folder / "pictures"))


@pytest.fixture(scope="session")
def browser() -> Iterator[Callable[..., Browser]]:
    """Open pages in a headless Chromium, one after another."""
    if find_browser() is None:
        pytest.skip("no Chromium is installed: apt-get install chromium, or name one in FEATX_BROWSER")
    with open_browser() as opened:
        yield opened.open


def place_by_components(images: Any) -> tuple[list[int], list[float], list[float]]:
    """Place images by two principal components."""
    X = images.X
    centred = X - X.mean(axis=0)
    left, scale, _ = np.linalg.svd(centred, full_matrices=False)
    places = left[:, :2] * scale[:2]
    return list(range(len(X))), places[:, 0].tolist(), places[:, 1].tolist()


@pytest.fixture(scope="session")
def looked_at(tmp_path_factory: pytest.TempPathFactory, two: Made) -> Made:
    """The page of two classes with everything that other ways to look bring, whoever looks."""
    from featx.base_choice import BaseChoice
    from featx.reports.html.look import Tools
    from featx.reports.html.looking import Evidence
    from featx.requests import CompareRequest, ReportRequest
    from featx.workflows.report import write_report

    folder = tmp_path_factory.mktemp("looked")
    run("fit", *two.flags, "--layer", "layer4", "--clf", "logreg", "--out", folder / "m.featx", "-q")
    paths = sorted(str(path) for path in two.data.rglob("*.png"))
    inspection = {
        "images": 80,
        "base": "tiny",
        "layer": "layer4",
        "pooling": "avg",
        "near_duplicates": [
            {
                "paths": paths[:2],
                "labels": ["faulty", "sound"],
                "splits": ["", ""],
                "similarity": 0.99,
                "is_leak": True,
                "is_conflict": True,
            }
        ],
        "suspect_labels": [{"path": paths[3], "label": "faulty", "suggested": "sound", "margin": 0.7}],
        "estimated_wrong": 2.0,
        "strangers": [{"path": paths[4], "label": "faulty", "familiarity": 0.01}],
        "poor_pictures": [{"path": paths[5], "problem": "blurred", "value": 0.05}],
        "shortcuts": [{"fact": "file size", "accuracy": 0.8, "dummy": 0.5, "p_value": 0.0001, "is_warned": True}],
        "shift": {"auc": 0.7, "low": 0.62, "high": 0.78, "is_warned": True},
        "group_hint": "",
        "notes": [],
    }
    tools = Tools(
        inspect=lambda features: inspection,
        place=place_by_components,
        explain=lambda model, base, listing, rows, codes: {
            row: Evidence(model.classes_[code], np.linspace(-1, 1, 49).reshape(7, 7), "evidence")
            for row, code in zip(rows, codes, strict=True)
        },
        answer=lambda request, base, listing, places: {place: np.linspace(-1, 1, 64).reshape(8, 8) for place in places},
    )
    features = CompareRequest(str(two.data), BaseChoice("tiny"), cache=two.cache)
    page = folder / "report.html"
    summary = write_report(ReportRequest(features, page, folder / "m.featx"), tools=tools)
    return Made(two.data, two.cache, page, summary.to_dict())
