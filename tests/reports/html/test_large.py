"""Many rows and classes: the page stays small, opens at once, and shows the most confused pairs first."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from featx.reports.html.page import make_page
from tests.browser import Browser
from tests.reports.html.large import make_material
from tests.reports.html.test_in_browser import FIND_OVERFLOW, assert_calm, texts

Open = Callable[..., Browser]

OPENING_SECONDS = 5.0
"""On a machine that does other things; 0.6 s were measured on an idle one, for 50,000 rows."""


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("large") / "report.html"
    material = make_material(20_000, 200, out)
    page = make_page(replace(material, request=replace(material.request, max_images=150)))
    out.write_text(page.text, encoding="utf-8")
    return out


def test_two_hundred_classes_make_a_page_that_can_be_sent(large: Path) -> None:
    # Pictures come on top: 2,000 of them take 7 MB.
    assert large.stat().st_size < 5e6


def test_it_opens_at_once_and_shows_pairs_first(large: Path, browser: Open) -> None:
    page = browser(large)
    seconds = page.run("performance.getEntriesByType('navigation')[0].loadEventEnd") / 1000
    assert 0 < seconds < OPENING_SECONDS
    counts = [int(text.split()[0]) for text in texts(page, "#pairs button")]
    assert len(counts) == 200
    assert counts == sorted(counts, reverse=True)
    page.click("#pairs button")
    assert page.run("document.querySelectorAll('#cell li').length") == min(counts[0], 24)
    assert page.run("document.querySelectorAll('#matrix tbody tr').length") == 40
    assert_calm(page)


@pytest.mark.parametrize("width", [400, 1920])
def test_nothing_overflows(large: Path, width: int, browser: Open) -> None:
    page = browser(large, width=width)
    page.run("for (const d of document.querySelectorAll('details')) d.open = true")
    scroll_width, wide = page.run(FIND_OVERFLOW)
    assert wide == []
    assert scroll_width <= width
