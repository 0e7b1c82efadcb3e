"""The page as a file: it asks for nothing, its figures are those of the commands, and it tells no more than it may."""

from __future__ import annotations

import base64
import io
import json
import re
import shutil
import sys
from collections.abc import Callable, Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from PIL import Image

from tests.reports.html.conftest import Made, make, noisy, run, write_pictures


class Figures(HTMLParser):
    """Reads the figures of a page: rows of tables as dicts of field to value, and single ones."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.rows: list[dict[str, Any]] = []
        self.classes: list[dict[str, Any]] = []
        self.cells: dict[str, int] = {}
        self.single: dict[str, Any] = {}
        self.into: dict[str, Any] = self.single
        self.field: str | None = None
        self.is_name = False
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        values = dict(attributes)
        if tag == "tr":
            self.into = {}
            if "data-row-number" in values:
                self.rows.append(self.into)
            if "data-class" in values:
                self.classes.append(self.into)
        if "data-cell" in values and values["data-cell"] not in self.cells:
            self.cells[values["data-cell"] or ""] = int(values["data-count"] or 0)
        if "data-field" in values:
            self.field = values["data-field"]
        if tag == "data" and self.field:
            self.into[self.field] = json.loads(values["value"] or "null")
            self.field = None
        if values.get("class") == "ci":
            self.into.setdefault("ci", []).append([float(values["data-low"] or 0), float(values["data-high"] or 0)])
        self.is_name = tag == "bdi"

    def handle_data(self, data: str) -> None:
        if self.is_name and self.field:
            self.into[self.field] = data
            self.field = None

    def handle_endtag(self, tag: str) -> None:
        self.is_name = False
        if tag == "tr":
            self.into = self.single
        if tag == "td":
            self.field = None


def list_pictures(text: str) -> dict[str, str]:
    found = re.search(r'<script type="application/json" id="report-pictures">(.*?)</script>', text, re.DOTALL)
    assert found
    pictures: dict[str, str] = json.loads(found[1])
    return pictures


def open_pictures(text: str) -> Iterator[Image.Image]:
    for source in list_pictures(text).values():
        yield Image.open(io.BytesIO(base64.b64decode(source)))


def test_the_table_has_the_figures_of_compare(four: Made) -> None:
    compared = json.loads(run("compare", *four.flags, "--clf", "logreg", "--clf", "knn", "--clf", "dummy", "--json"))
    shown = Figures(four.text()).rows
    assert len(shown) == len(compared) == 9
    for row, expected in zip(shown, compared, strict=True):
        assert row.pop("ci") == [[expected["ci_low"], expected["ci_high"]]]
        assert {"layer", "clf", "cv_accuracy", "test_accuracy", "p_adjusted", "macro_f1", "matthews"} <= set(row)
        assert row == {name: expected[name] for name in row}


def test_details_have_the_figures_of_fit(four: Made) -> None:
    row = four.summary["verdict"]["row"]
    flags = ["--layer", row["layer"], "--clf", row["clf"], "--json"]
    fitted = json.loads(run("fit", *four.flags, *flags))
    page = Figures(four.text())
    assert page.single["test_accuracy"] == fitted["test_accuracy"]
    assert page.single["calibration_error"] == fitted["calibration_error"]
    of_label = {each["label"]: each for each in fitted["per_class"]}
    described = four.summary["classes"]["classes"]
    assert [each["label"] for each in described] == sorted(of_label, key=lambda label: of_label[label]["f1"])
    for shown, each in zip(page.classes, described, strict=True):
        expected = of_label[each["label"]]
        assert {name: shown[name] for name in ("f1", "recall", "precision", "images")} == {
            name: expected[name] for name in ("f1", "recall", "precision", "images")
        }
        assert shown["ci"] == [each["f1_ci"], each["recall_ci"], each["precision_ci"]]
        for low, value, high in zip(
            [pair[0] for pair in shown["ci"]],
            [shown["f1"], shown["recall"], shown["precision"]],
            [pair[1] for pair in shown["ci"]],
            strict=True,
        ):
            assert low - 1e-6 <= value <= high + 1e-6
    confusion = {
        f"{true},{predicted}": count
        for true, counts in enumerate(fitted["confusion"])
        for predicted, count in enumerate(counts)
        if count
    }
    assert page.cells == confusion
    assert len(confusion) > 4, "without mistakes this page shows too little"
    mistakes = [
        (str(four.data / each["path"]), each["label"], each["predicted"], each["probability"])
        for each in four.summary["mistakes"]["shown"]
    ]
    expected_mistakes = [tuple(each.values()) for each in fitted["mistakes"]]
    assert mistakes[: len(expected_mistakes)] == expected_mistakes
    assert four.summary["mistakes"]["count"] == sum(sum(row) for row in fitted["confusion"]) - sum(
        fitted["confusion"][place][place] for place in range(4)
    )


def test_neighbours_are_training_images(four: Made) -> None:
    held_out = {image["path"] for each in four.summary["classes"]["classes"] for image in each["typical"]}
    for image in four.summary["mistakes"]["shown"]:
        similarities = [near["similarity"] for near in image["neighbours"]]
        assert len(similarities) == 3
        assert similarities == sorted(similarities, reverse=True)
        assert not held_out & {near["path"] for near in image["neighbours"]}


def test_the_page_asks_for_nothing_and_forbids_itself_to(four: Made) -> None:
    text = four.text()
    assert "default-src &#39;none&#39;" in text
    assert not re.search(r'(src|href)="(?!data:|#)[^"]', text)
    assert "@import" not in text
    assert not re.search(r"url\((?!#)", text)
    assert not re.search(r"\bhttps?://(?!www\.w3\.org/)", text)
    assert not re.search(r'\son[a-z]+="', text)


def test_the_same_request_gives_the_same_page(four: Made, tmp_path: Path) -> None:
    again = tmp_path / "again.html"
    run("report", *four.flags, "--out", again, "-q")
    assert again.read_text() == four.text()


def test_charts_are_files_for_papers(four: Made) -> None:
    names = {Path(name).name for name in four.summary["figures"]}
    assert names >= {"depth.svg", "depth.png", "cost.svg", "reliability.png"}
    for name in four.summary["figures"]:
        content = Path(name).read_bytes()
        assert content.startswith(b"\x89PNG" if name.endswith("png") else b"<?xml")
        assert b"var(--" not in content


def test_compare_draws_its_chart(four: Made, tmp_path: Path, featx: Callable[..., Result]) -> None:
    for name in ("depth.png", "depth.svg", "depth.pdf"):
        run("compare", *four.flags, "--clf", "logreg", "--plot", tmp_path / name, "-q")
        assert (tmp_path / name).stat().st_size > 1000
    result = featx("compare", *four.flags, "--plot", tmp_path / "depth.bmp")
    assert result.exit_code == 1
    assert "let its name end in .svg, .png or .pdf" in result.error  # type: ignore[attr-defined]


def test_pages_without_pictures_name_paths(four: Made, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    run("report", *four.flags, "--out", page, "--no-images", "-q")
    text = page.read_text()
    assert list_pictures(text) == {}
    assert "<img" not in text
    assert four.summary["mistakes"]["shown"][0]["path"] in text
    assert "(--no-images)" in text


def test_anonymous_pages_name_neither_paths_nor_data(four: Made, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    printed = run("report", *four.flags, "--out", page, "--anonymous", "-q", "--json")
    text = page.read_text() + json.dumps({**json.loads(printed), "report": ""})
    assert list_pictures(page.read_text()) == {}
    assert "image 1" in text
    assert ".png" not in text
    for secret in (four.data.name, str(four.cache), str(tmp_path), str(Path.home()), "red-"):
        assert secret not in text, secret


def test_limits_are_kept_and_said(four: Made, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    few = json.loads(run("report", *four.flags, "--out", page, "--max-images", "3", "-q", "--json"))
    assert few["pictures"] == len(list_pictures(page.read_text())) == 3
    assert f"{few['left_out']} were left out (--max-images" in page.read_text()
    whole = four.summary["bytes"]
    small = (whole - 20_000) / 1e6
    kept = json.loads(run("report", *four.flags, "--out", page, "--max-mb", f"{small:.4f}", "-q", "--json"))
    assert 0 < kept["pictures"] < four.summary["pictures"]
    assert page.stat().st_size <= small * 1e6
    assert "(--max-mb" in page.read_text()


def test_pictures_are_upright_and_hold_no_metadata(tmp_path: Path) -> None:
    for number, name in enumerate(("red", "blue")):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for picture in range(12):
            exif = Image.Exif()
            exif[0x0112] = 6
            exif[0x010E] = "SECRET place"
            image = noisy(1000 * number + picture, ((150, 90, 90), (90, 90, 150))[number], (60, 40))
            image.save(tmp_path / "photos" / name / f"{picture}.jpg", exif=exif, comment=b"SECRET too")
    made = make(tmp_path, tmp_path / "photos")
    assert b"SECRET" not in made.page.read_bytes()
    sizes = set()
    for picture in open_pictures(made.text()):
        assert not picture.getexif()
        assert set(picture.info) <= {"loop", "background", "timestamp", "duration"}
        sizes.add(picture.size)
    assert sizes == {(40, 60)}


def test_large_pictures_are_shrunk(tmp_path: Path) -> None:
    from featx.reports.html.pictures import LONG_SIDE, shrink

    photo = noisy(1, (90, 90, 150), (1200, 700))
    photo.info["icc_profile"] = b"SECRET"
    small = shrink(photo)
    assert small.size == (LONG_SIDE, round(LONG_SIDE * 700 / 1200))
    assert small.info == {}
    assert photo.size == (1200, 700)


def test_without_results_the_usual_classifiers_are_evaluated(tmp_path: Path, photos: Path) -> None:
    cache = tmp_path / "cache"
    run("extract", photos, "--base", "tiny", "--layer", "layer2", "--cache", cache, "-q")
    printed = run("report", photos, "--base", "tiny", "--cache", cache, "--out", tmp_path / "r.html", "--json", "-q")
    table = json.loads(printed)["table"]
    assert {row["clf"] for row in table["rows"]} == {"logreg", "svm", "mlp"}
    assert table["lacking"] == []


def test_what_is_not_evaluated_is_said_with_the_command_that_does(four: Made, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    shutil.copytree(four.cache, cache)
    flags = [str(four.data), "--base", "tiny", "--cache", str(cache), "-q"]
    run("extract", *flags, "--layer", "layer3")
    table = json.loads(run("report", *flags, "--out", tmp_path / "page.html", "--json"))["table"]
    assert table["lacking"] == ["Cached of tiny, but not evaluated yet: layer3 (avg)."]
    assert table["command"].startswith("featx compare ")


def test_a_model_is_shown_in_detail(four: Made, tmp_path: Path) -> None:
    model = tmp_path / "m.featx"
    run("fit", *four.flags, "--layer", "layer1", "--clf", "knn", "--out", model, "-q")
    summary = json.loads(run("report", *four.flags, "--model", model, "--out", tmp_path / "page.html", "--json", "-q"))
    assert (summary["verdict"]["row"]["layer"], summary["verdict"]["row"]["clf"]) == ("layer1", "knn")
    assert summary["verdict"]["sentences"][0].startswith("The classifier of the model 'm.featx': knn on layer1")
    assert len(summary["table"]["rows"]) == 9


def test_a_mix_of_layers_becomes_a_row_of_its_own(four: Made, tmp_path: Path) -> None:
    page = tmp_path / "fit.html"
    printed = run("fit", *four.flags, "--layer", "layer1+layer2", "--clf", "svm", "--report", page, "--json", "-q")
    rows = Figures(page.read_text()).rows
    assert [row["layer"] for row in rows].count("layer1+layer2") == 1
    assert Figures(page.read_text()).single["test_accuracy"] == json.loads(printed)["test_accuracy"]


def test_learning_curves_that_are_there_are_shown(two: Made, tmp_path: Path) -> None:
    assert two.summary["learning"]["points"] is None
    assert "--shots 1,2,5,10,20" in two.text()
    page = tmp_path / "page.html"
    flags = ["--shots", "1,2,5", "--draws", "3", "--clf", "logreg", "--json", "-q"]
    shown = json.loads(run("report", *two.flags, "--out", page, *flags))["learning"]["points"]
    traced = json.loads(run("compare", *two.flags, *flags))["shots"]
    assert shown
    assert all(point in traced for point in shown)


def test_threshold_counts_are_those_of_the_row(two: Made) -> None:
    threshold = two.summary["calibration"]["threshold"]
    row = two.summary["verdict"]["row"]
    assert threshold["positive"] == row["positive"] == "sound"
    place = max(place for place, value in enumerate(threshold["thresholds"]) if value >= 0.5)
    assert threshold["true_positives"][place] / threshold["positives"] == pytest.approx(row["sensitivity"], abs=1e-6)
    specificity = 1 - threshold["false_positives"][place] / threshold["negatives"]
    assert specificity == pytest.approx(row["specificity"], abs=1e-6)


@pytest.mark.parametrize("package", ["jinja2", "matplotlib"])
def test_missing_packages_are_said_with_what_installs_them(
    four: Made, tmp_path: Path, package: str, monkeypatch: pytest.MonkeyPatch, featx: Callable[..., Result]
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    result = featx("report", *four.flags, "--out", tmp_path / "page.html", "-q")
    assert result.exit_code == 1
    assert "pip install 'featx[report]'" in result.error  # type: ignore[attr-defined]


def test_a_page_that_cannot_be_written_is_said_at_once(
    four: Made, tmp_path: Path, featx: Callable[..., Result]
) -> None:
    result = featx("report", *four.flags, "--out", tmp_path / "nowhere" / "page.html")
    assert result.exit_code == 1
    assert "there is no folder" in result.error  # type: ignore[attr-defined]


def test_one_configuration_makes_no_charts_of_depth_and_cost(four: Made, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    summary = json.loads(
        run(
            "report",
            *four.flags,
            "--layer",
            "layer2",
            "--clf",
            "knn",
            "--out",
            page,
            "--figures",
            tmp_path,
            "--json",
            "-q",
        )
    )
    assert {Path(name).stem for name in summary["figures"]} == {"reliability"}
    assert "One cut was evaluated" in page.read_text()


def test_the_ladder_of_an_automatic_choice_is_told(two: Made, tmp_path: Path) -> None:
    page = tmp_path / "auto.html"
    flags = ["--base", "tiny", "--cache", two.cache, "--budget", "1s", "--report", page, "--json", "-q"]
    ladder = json.loads(run("auto", two.data, *flags))["ladder"]
    text = page.read_text()
    assert "The ladder that led there" in text
    assert f"{sum(step['tried'] for step in ladder)} candidates were tried by cross-validation" in text
    assert all(step["step"] in text for step in ladder)


def test_what_an_automatic_choice_has_tried_already_is_not_advised_again(tmp_path: Path) -> None:
    write_pictures(tmp_path / "photos", ["red", "blue"], 12)
    flags = [tmp_path / "photos", "--base", "tiny", "--cache", tmp_path / "cache", "-q"]
    run("extract", *flags, "--layer", "layer1")

    def list_commands(*further: str) -> list[str]:
        page = ("--out", tmp_path / "report.html", "--no-inspect", "--clf", "logreg", "--layer", "layer1", "--json")
        steps = json.loads(run("report", *flags, *page, *further))["verdict"]["steps"]
        return [step["command"] or "" for step in steps]

    assert any(command.startswith("featx auto ") for command in list_commands())
    run("auto", *flags, "--budget", "1s")
    assert not any(command.startswith("featx auto ") for command in list_commands())
    assert any(command.startswith("featx auto ") for command in list_commands("--seed", "7")), "of another split"
