"""The built site fetches nothing, and every link in it leads somewhere."""

from __future__ import annotations

from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from tests.browser import find_browser, open_browser

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
WIDTHS = (1280, 420)
"""Of a window on a desk, and of a telephone."""


class Page(HTMLParser):
    """What a page links to, and the anchors that it has."""

    def __init__(self, file: Path) -> None:
        super().__init__()
        self.links: list[str] = []
        self.anchors: set[str] = set()
        self.feed(file.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        for name, value in attributes:
            if name in ("href", "src") and value:
                self.links.append(value)
            if value and (name == "id" or (tag == "a" and name == "name")):
                self.anchors.add(value)


def find_broken_links(site: Path) -> list[str]:
    """List links whose file or anchor is not in the site, each with the page that has it."""
    pages = {file.resolve(): Page(file) for file in site.rglob("*.html")}
    broken = []
    for file, page in pages.items():
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = (file.parent / unquote(parts.path)).resolve() if parts.path else file
            is_there = target.is_file() and target.is_relative_to(site.resolve())
            # An anchor that a script makes begins with two underscores in this theme.
            if is_there and target in pages and parts.fragment and not parts.fragment.startswith("__"):
                is_there = unquote(parts.fragment) in pages[target].anchors
            if not is_there:
                broken.append(f"{file.relative_to(site.resolve())}: {link}")
    return broken


def test_every_page_is_built_and_fetches_nothing(site: Path) -> None:
    pages = list(site.rglob("*.html"))
    assert len(pages) >= len(list((ROOT / "docs").rglob("*.md")))
    for page in pages:
        text = page.read_text(encoding="utf-8")
        assert 'src="http' not in text, page
        assert '<link rel="stylesheet" href="http' not in text, page
    commands = (site / "reference" / "commands.html").read_text(encoding="utf-8")
    assert "featx extract [OPTIONS]" in commands
    assert "--shard" in commands


def test_every_internal_link_leads_somewhere(site: Path) -> None:
    assert sum(len(Page(file).links) for file in site.rglob("*.html")) > 500
    # The page that says that there is none has links for the root of a server.
    assert [line for line in find_broken_links(site) if not line.startswith("404.html")] == []


def test_broken_links_are_found(tmp_path: Path) -> None:
    (tmp_path / "a.html").write_text('<p id="here"><a href="b.html#there"></a><a href="#here"></a><img src="c.png">')
    (tmp_path / "b.html").write_text('<a href="a.html#gone"></a><a href="../a.html"></a>')
    assert sorted(find_broken_links(tmp_path)) == [
        "a.html: b.html#there",
        "a.html: c.png",
        "b.html: ../a.html",
        "b.html: a.html#gone",
    ]


def test_notebooks_are_pages_with_what_they_show(site: Path) -> None:
    page = (site / "notebooks" / "quickstart.html").read_text(encoding="utf-8")
    assert "(1797, 0)" in page
    assert 'class="notebook-output"' in page


@pytest.mark.skipif(find_browser() is None, reason="no Chromium here")
def test_pages_fit_a_desk_and_a_telephone(site: Path) -> None:
    with open_browser() as browser:
        for name in ("index", "install", "notebooks/quickstart", "reference/commands", "reference/python"):
            for width in WIDTHS:
                browser.open(site / f"{name}.html", width, ready="document.readyState === 'complete'")
                assert browser.run("document.documentElement.scrollWidth") <= width, f"{name} at {width}"
                # Not the site's own files.
                assert [url for url in browser.requests if not url.startswith(site.as_uri())] == [], name
