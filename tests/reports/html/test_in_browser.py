"""The page in a real browser, without any network: what one does with it works, and what it holds does nothing."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.browser import Browser
from tests.reports.html.conftest import HOSTILE, Made

Open = Callable[..., Browser]

AXE = Path(__file__).resolve().parents[3] / ".ci" / "node_modules" / "axe-core" / "axe.min.js"

FIND_OVERFLOW = """(() => {
  const wide = [];
  const scrolls = (e) => {
    for (let p = e.parentElement; p; p = p.parentElement) {
      if (getComputedStyle(p).overflowX !== 'visible') return true;
    }
    return false;
  };
  for (const e of document.querySelectorAll('body *')) {
    const r = e.getBoundingClientRect();
    const isShown = r.width > 0 && r.height > 0 && !e.closest('.hidden-words, .skip, noscript');
    if (isShown && (r.right > innerWidth + 1 || r.left < -1) && !scrolls(e)) wide.push(e.outerHTML.slice(0, 120));
  }
  return [document.documentElement.scrollWidth, wide.slice(0, 5)];
})()"""


def assert_calm(page: Browser) -> None:
    """Nothing was asked of the network, and the console is empty."""
    assert page.requests == []
    assert page.faults == []


def texts(page: Browser, selector: str) -> list[str]:
    found: list[str] = page.run(f"[...document.querySelectorAll({json.dumps(selector)})].map((e) => e.textContent)")
    return found


@pytest.mark.parametrize("name", ["four", "two", "hostile"])
def test_nothing_is_asked_of_the_network_and_nothing_goes_wrong(
    name: str, browser: Open, request: pytest.FixtureRequest
) -> None:
    page = browser(request.getfixturevalue(name).page)
    page.run("showAllPictures(); window.scrollTo(0, document.body.scrollHeight)")
    for number in range(page.run("document.querySelectorAll('[data-cell]').length")):
        page.run(f"document.querySelectorAll('[data-cell]')[{number}].click()")
    shown = "[...document.images].filter((e) => e.src).every((e) => e.complete && e.naturalWidth > 0)"
    page.wait_for(shown)
    assert page.run("document.images.length") > 20
    assert_calm(page)
    # The page cannot be made to ask, either.
    page.run("fetch('https://example.org/').catch(() => 0)")
    assert page.run("(() => { const i = new Image(); i.src = 'https://example.org/x.png'; return 1; })()") == 1
    assert all("Content Security Policy" in fault or "Security" in fault for fault in page.faults)
    assert page.faults


def test_hostile_names_are_shown_as_text_and_run_nothing(hostile: Made, browser: Open) -> None:
    page = browser(hostile.page)
    for number in range(page.run("document.querySelectorAll('[data-cell]').length")):
        page.run(f"document.querySelectorAll('[data-cell]')[{number}].click()")
    assert page.run("window.hacked === undefined")
    assert_calm(page)
    shown = page.run("document.querySelector('#classes').innerText + document.querySelector('#confusion').innerText")
    assert HOSTILE[0] in shown
    assert HOSTILE[1] in shown
    assert "\\u202eevil \u0639\u0631\u0628\u064a {{ 7 * 7 }}" in shown
    assert "\N{PILE OF POO} line\\u2028break \\x1b[31m $x^2$ </style>" in shown
    assert texts(page, "h1") == ["<img src=x onerror=window.hacked=1>\\npictures.jsonl"]
    assert page.run("document.querySelectorAll('#classes table').length") == 1
    assert page.run("document.querySelectorAll('style').length") == 1
    assert page.run("[...document.querySelectorAll('img')].every((e) => e.dataset.row !== undefined)")


def test_a_click_on_a_heading_sorts_and_a_second_one_turns_it(four: Made, browser: Open) -> None:
    page = browser(four.page)
    cells = '#rows td[data-field="test_accuracy"] data'
    page.click('#rows th[data-column="test_accuracy"] button')
    falling = [float(text) for text in texts(page, cells)]
    assert falling == sorted(falling, reverse=True)
    assert falling[0] > falling[-1]
    assert page.run("document.querySelector('#rows th[aria-sort]').getAttribute('aria-sort')") == "descending"
    page.click('#rows th[data-column="test_accuracy"] button')
    assert [float(text) for text in texts(page, cells)] == falling[::-1]
    page.click('#rows th[data-column="clf"] button')
    assert texts(page, '#rows td[data-field="clf"]')[0] == "dummy"


def test_words_filter_rows_and_columns_can_be_chosen(four: Made, browser: Open) -> None:
    page = browser(four.page)
    page.click("#filter")
    page.type("layer2 knn")
    assert texts(page, '#rows tbody tr:not([hidden]) td[data-field="layer"]') == ["layer2"]
    assert texts(page, "#row-count") == ["1 of 9 rows"]
    page.run("document.querySelector('#filter').value = ''")
    page.click("#tied-only")
    marks = texts(page, "#rows tbody tr:not([hidden]) .mark-cell .hidden-words")
    assert marks.count("best") == 1
    assert len(marks) == len(texts(page, "#rows tbody tr:not([hidden])"))
    is_shown = "getComputedStyle(document.querySelector('#rows td[data-column=macro_f1]')).display !== 'none'"
    assert not page.run(is_shown)
    page.click(".columns summary")
    page.click('.columns input[data-column="macro_f1"]')
    assert page.run(is_shown)


def test_a_cell_shows_its_pictures_by_mouse_and_by_keyboard(four: Made, browser: Open) -> None:
    page = browser(four.page)
    cells = four.summary["confusion"]["cells"]
    wrong = next(cell for cell in cells if cell.split(",")[0] != cell.split(",")[1])
    page.click(f'[data-cell="{wrong}"]')
    shown = page.run("[...document.querySelectorAll('#cell img')].map((e) => Number(e.dataset.row))")
    assert shown == cells[wrong]
    true, predicted = (four.summary["confusion"]["classes"][int(code)] for code in wrong.split(","))
    assert f"\u2018{true}\u2019 called \u2018{predicted}\u2019" in texts(page, "#cell h3")[0]
    page.run("document.querySelector('[data-cell=\"0,0\"]').focus()")
    visited = [page.run("document.activeElement.dataset.cell")]
    for key in ("ArrowDown", "ArrowRight", "ArrowUp", "ArrowLeft"):
        page.press(key)
        visited.append(page.run("document.activeElement.dataset.cell"))
    assert all(cell in cells for cell in visited)
    assert len(set(visited)) > 2
    assert page.run("[...document.querySelectorAll('#matrix button')].filter((e) => e.tabIndex === 0).length") == 1
    page.press("Enter")
    focused = page.run("document.activeElement.dataset.cell")
    assert page.run("[...document.querySelectorAll('#cell img')].map((e) => Number(e.dataset.row))") == cells[focused]


def test_everything_can_be_reached_by_the_keyboard(two: Made, browser: Open) -> None:
    page = browser(two.page)
    page.press("Tab")
    assert page.run("document.activeElement.className") == "skip"
    reached = set()
    for _ in range(120):
        page.press("Tab")
        name = page.run("(({id, className, tagName}) => id || className || tagName)(document.activeElement)")
        reached.add(name)
        outline = page.run("getComputedStyle(document.activeElement).outlineStyle")
        assert name == "BODY" or outline != "none", name
    assert {"theme", "filter", "threshold-slider", "cost-missed", "cheapest", "command"} <= reached


def test_the_threshold_shows_sensitivity_specificity_and_costs(two: Made, browser: Open) -> None:
    page = browser(two.page)
    row = two.summary["verdict"]["row"]
    assert texts(page, "#t-sensitivity") == [f"{row['sensitivity']:.3f}"]
    assert texts(page, "#t-specificity") == [f"{row['specificity']:.3f}"]
    assert texts(page, "#t-accuracy") == [f"{row['test_accuracy']:.3f}"]
    page.run("document.querySelector('#threshold-slider').focus()")
    before = page.run("document.querySelector('.threshold-mark').getAttribute('cx')")
    page.run("const s = document.querySelector('#threshold-slider'); s.value = 0; s.dispatchEvent(new Event('input'))")
    assert texts(page, "#t-sensitivity") == ["1.000"]
    assert texts(page, "#t-specificity") == ["0.000"]
    assert page.run("document.querySelector('.threshold-mark').getAttribute('cx')") != before
    negatives = two.summary["calibration"]["threshold"]["negatives"]
    page.run("const c = document.querySelector('#cost-alarm'); c.value = 2.5; c.dispatchEvent(new Event('input'))")
    assert float(texts(page, "#t-cost")[0]) == 2.5 * negatives
    page.click("#cheapest")
    assert float(texts(page, "#t-cost")[0]) < 2.5 * negatives
    page.press("ArrowRight")
    assert_calm(page)


def test_dark_and_light_follow_the_system_and_the_button(four: Made, browser: Open) -> None:
    ground = "getComputedStyle(document.body).backgroundColor"
    drawn = "getComputedStyle(document.querySelector('#depth-title').parentElement.querySelector('text')).fill"
    page = browser(four.page, scheme="light")
    light = page.run(ground), page.run(drawn)
    page.prefer("dark")
    dark = page.run(ground), page.run(drawn)
    assert dark[0] != light[0]
    assert dark[1] != light[1]
    page.click("#theme")
    assert (page.run(ground), page.run(drawn)) == light
    assert texts(page, "#theme") == ["Dark"]


def test_print_shows_all_pictures_on_white_without_tools(four: Made, browser: Open) -> None:
    page = browser(four.page, scheme="dark")
    page.prefer("dark", media="print")
    page.run("window.dispatchEvent(new Event('beforeprint'))")
    assert page.run("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert page.run("[...document.images].every((e) => e.src.startsWith('data:image/webp'))")
    for hidden in ("nav", ".tools", "#theme"):
        assert page.run(f"getComputedStyle(document.querySelector('{hidden}')).display") == "none"
    pdf = page.call("Page.printToPDF", preferCSSPageSize=True)["data"]
    assert len(pdf) > 20_000


@pytest.mark.parametrize("width", [400, 1024, 1920])
@pytest.mark.parametrize("name", ["four", "two", "hostile"])
def test_nothing_overflows(name: str, width: int, browser: Open, request: pytest.FixtureRequest) -> None:
    page = browser(request.getfixturevalue(name).page, width=width)
    page.run(
        "showAllPictures(); document.querySelector('[data-cell]').click();"
        "for (const d of document.querySelectorAll('details')) d.open = true"
    )
    scroll_width, wide = page.run(FIND_OVERFLOW)
    assert wide == []
    assert scroll_width <= width


@pytest.mark.parametrize("name", ["four", "two"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_no_serious_fault(name: str, scheme: str, browser: Open, request: pytest.FixtureRequest) -> None:
    file = Path(os.environ.get("FEATX_AXE", AXE))
    if not file.is_file():
        pytest.skip("axe-core is not installed: npm ci --prefix .ci, or name axe.min.js in FEATX_AXE")
    page = browser(request.getfixturevalue(name).page, scheme=scheme)
    page.run(
        "showAllPictures(); document.querySelector('[data-cell]').click();"
        "for (const d of document.querySelectorAll('details')) d.open = true"
    )
    page.run(file.read_text(encoding="utf-8") + "; 1")
    found = page.run("axe.run().then((r) => r.violations.map((v) => [v.id, v.impact, v.nodes.map((n) => n.html)]))")
    assert [fault for fault in found if fault[1] in ("serious", "critical")] == []


def test_marks_of_charts_say_what_they_are(four: Made, browser: Open) -> None:
    page = browser(four.page)
    titles = texts(page, "svg .mark > title")
    assert any(re.match(r"tiny layer4 logreg: .*accuracy 0\.\d{3}", title) for title in titles)
    names = page.run("[...document.querySelectorAll('[id]')].map((e) => e.id)")
    assert len(names) == len(set(names))
