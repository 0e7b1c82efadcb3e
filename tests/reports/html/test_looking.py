"""What other ways to look bring to a page: checks, the map, channels, and maps of evidence."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from featx.base_choice import BaseChoice
from featx.data.listing import Listing
from featx.errors import WeightsError
from featx.reports.html.channels import find_channels, rate_channels
from featx.reports.html.look import Tools
from featx.reports.html.looking import Answers, ChannelPlace
from featx.requests import CompareRequest, ReportRequest
from featx.store.base_json import StoredBase
from featx.workflows.report import write_report
from tests.browser import Browser
from tests.reports.html.conftest import Made, run
from tests.reports.html.test_in_browser import assert_calm, texts

Open = Callable[..., Browser]


def test_findings_stand_with_their_pictures_and_come_first_among_what_would_help(
    looked_at: Made, browser: Open
) -> None:
    page = browser(looked_at.page)
    shown = page.run("document.querySelector('#data').innerText")
    for words in (
        "1 on both sides of the split",
        "1 with several labels",
        "file size",
        "the two parts differ",
        "blurred",
    ):
        assert words in shown
    assert page.run("document.querySelectorAll('#data img').length") == 5
    steps = texts(page, ".steps li p")
    assert "near-copies lies on both sides" in steps[0]
    assert_calm(page)


def test_the_checks_say_first_which_features_they_are_of_and_how_to_repeat_them(looked_at: Made, two: Made) -> None:
    section = looked_at.text().partition('<section id="data"')[2].partition("</section>")[0]
    lead = re.sub("</?bdi>", "", section.partition('<p class="lead">')[2].partition("</p>")[0])
    assert lead.startswith("Checked through the features of layer4 (avg) of tiny; those of another layer find other ")
    assert lead.endswith("What is wrong with the data would be wrong with every figure above.")
    command = looked_at.summary["checks"]["command"]
    assert "--layer layer4 --pooling avg" in command
    again = json.loads(run(*shlex.split(command)[1:], "--json", "-q"))
    assert (again["layer"], again["pooling"]) == ("layer4", "avg")
    assert "Checked through" not in write_page_without_checks(two)


def write_page_without_checks(made: Made) -> str:
    """Write the page of a data set that is not inspected."""
    page = made.cache.parent / "unchecked.html"
    run("report", *made.flags, "--out", page, "--no-inspect", "-q")
    return page.read_text(encoding="utf-8")


def test_pointing_at_the_map_shows_the_picture_and_a_click_keeps_it(looked_at: Made, browser: Open) -> None:
    page = browser(looked_at.page)
    maps = looked_at.summary["maps"]["maps"]
    assert [each["layer"] for each in maps] == ["layer1", "layer4"]
    place = len(maps[1]["rows"]) // 2
    page.run("document.querySelector('#map').scrollIntoView({behavior: 'instant'})")
    point = f"placeOf(mapCanvases[1], report.maps[1], {place})"
    left, top = page.run(
        f"(() => {{ const box = mapCanvases[1].getBoundingClientRect(); const p = {point};"
        " return [box.left + p[0], box.top + p[1]]; })()"
    )
    page.hover(left, top)
    page.wait_for("document.querySelector('#map-picture img') !== null")
    row = maps[1]["rows"][place]
    shown = page.run("Number(document.querySelector('#map-picture img').dataset.row)")
    assert shown == page.run("mapChosen")
    # Another image may lie on the same place.
    distance = page.run(
        f"(() => {{ const m = report.maps[1]; const i = m.rows.indexOf({shown}); const j = m.rows.indexOf({row});"
        " return Math.hypot(m.x[i] - m.x[j], m.y[i] - m.y[j]); })()"
    )
    assert distance < 0.02
    for kind in ("mousePressed", "mouseReleased"):
        page.call("Input.dispatchMouseEvent", type=kind, x=left, y=top, button="left", clickCount=1)
    assert page.run("[...document.querySelectorAll('#map-kept li')].map((e) => Number(e.dataset.kept))") == [shown]
    assert_calm(page)


def test_the_map_can_be_walked_by_keyboard_and_coloured(looked_at: Made, browser: Open) -> None:
    page = browser(looked_at.page)
    page.run("mapCanvases[0].focus()")
    seen = []
    for key in ("ArrowRight", "ArrowRight", "ArrowUp", "ArrowLeft"):
        page.press(key)
        seen.append(page.run("mapChosen"))
    assert len(set(seen)) > 1
    page.press("Enter")
    assert page.run("document.querySelectorAll('#map-kept li').length") == 1
    colours = (
        "(() => { const c = mapCanvases[0]; const d = c.getContext('2d').getImageData(0, 0, c.width, c.height).data;"
    )
    colours += " const s = new Set(); for (let i = 0; i < d.length; i += 4) if (d[i + 3] === 255 || d[i + 3] === 217)"
    colours += " s.add(d.slice(i, i + 3).join()); return [...s].sort().join(';'); })()"
    by_class = page.run(colours)
    page.click('input[name="map-colour"][value="split"]')
    by_part = page.run(colours)
    assert by_class != by_part
    assert texts(page, "#map-legend") == ["Blue: trained on. Orange: held out."]


def test_evidence_lies_over_mistakes_when_they_are_pointed_at(looked_at: Made, browser: Open) -> None:
    page = browser(looked_at.page)
    assert looked_at.summary["layers"]["evidence"]
    overlay = ".mistake .evidence"
    assert page.run(f"getComputedStyle(document.querySelector('{overlay}')).opacity") == "0"
    page.run("document.querySelector('#mistakes').scrollIntoView({behavior: 'instant'})")
    left, top = page.run("(({x, y}) => [x + 40, y + 40])(document.querySelector('.mistake').getBoundingClientRect())")
    page.hover(left, top)
    page.wait_for(f"getComputedStyle(document.querySelector('{overlay}')).opacity === '1'")
    width = page.run(f"document.querySelector('{overlay}').getBoundingClientRect().width")
    assert 20 < width <= 132
    assert page.run("getComputedStyle(document.querySelector('#layers .evidence')).opacity") == "1"
    assert_calm(page)


def test_where_channels_answer_lies_over_their_pictures_until_it_is_turned_off(looked_at: Made, browser: Open) -> None:
    page = browser(looked_at.page)
    layers = looked_at.summary["layers"]["layers"]
    wanted = sum(len(channel["rows"]) for layer in layers for channel in layer["channels"])
    page.run("showAllPictures(); document.querySelector('#layers').scrollIntoView({behavior: 'instant'})")
    canvases = "[...document.querySelectorAll('#layers .strip .evidence')]"
    assert page.run(f"{canvases}.length") == wanted > 0
    # Less than nothing is nothing.
    alpha = (
        f"(() => {{ const c = {canvases}[0]; const d = c.getContext('2d').getImageData(0, 0, 8, 8).data;"
        " return [d[3], d[4 * 20 + 3], d[4 * 63 + 3]]; })()"
    )
    assert page.run(alpha) == [0, 0, 170]
    shown = f"{canvases}.every((e) => getComputedStyle(e).display !== 'none')"
    assert page.run(shown)
    page.click("#show-answers")
    assert not page.run(shown)
    assert_calm(page)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (WeightsError("the weights are gone"), "the weights are gone"),
        (ModuleNotFoundError("No module named 'torch'"), "torch is not installed, which runs networks"),
    ],
)
def test_why_it_is_not_known_where_channels_answer_is_said(
    error: Exception, said: str, two: Made, tmp_path: Path
) -> None:
    def refuse(request: CompareRequest, base: StoredBase, listing: Listing, places: Sequence[ChannelPlace]) -> Answers:
        raise error

    features = CompareRequest(str(two.data), BaseChoice("tiny"), cache=two.cache)
    page = tmp_path / "report.html"
    summary = write_report(ReportRequest(features, page), tools=Tools(answer=refuse)).to_dict()
    assert summary["layers"]["answers_remark"] == said
    assert f"is not shown: {said}" in page.read_text(encoding="utf-8")
    assert "show-answers" not in page.read_text(encoding="utf-8").partition("<script")[0]


def test_channels_that_tell_classes_apart_are_found() -> None:
    generator = np.random.default_rng(0)
    y = np.repeat([0, 1, 2], 40)
    X = generator.normal(0, 1, (120, 12))
    X[y == 2, 5] += 6
    X[y == 1, 7] += 4
    X[:, 3] = 1
    ratios = rate_channels(X, y)
    assert np.argsort(-ratios)[:2].tolist() == [5, 7]
    assert ratios[3] == 0
    first, second = find_channels(X, y, ["a", "b", "c"], 2, 4)
    assert (first.number, first.label, first.share) == (5, "c", 1.0)
    assert (second.number, second.label) == (7, "b")
    assert all(y[row] == 2 for row in first.rows)
    assert X[first.rows, 5].tolist() == sorted(X[:, 5].tolist(), reverse=True)[:4]
