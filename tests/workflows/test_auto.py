"""The whole job in one command, on photos that are hard to tell apart."""

from __future__ import annotations

import csv
import json
import re
import shlex
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from featx.api.experiments import run_automatically
from featx.api.models import load_model
from featx.base_choice import BaseChoice
from featx.errors import DataError, FeatxError, RequestError, WeightsError
from featx.ladder.report import AutoReport
from featx.models.model import Model
from featx.requests import AutoRequest
from featx.types import Progress

pytestmark = pytest.mark.slow

Featx = Callable[..., Any]

TINY = BaseChoice("tiny")

A_CLASS = 12
"""Pictures of each class."""


def draw(seed: int, hue: int) -> Image.Image:
    """A noisy picture with a faint hue."""
    noise = np.random.default_rng(seed).integers(0, 200, (32, 32, 3))
    noise[:, :, hue] += 4
    return Image.fromarray(noise.astype(np.uint8))


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A table of two classes with a split of its own."""
    root = tmp_path_factory.mktemp("table")
    lines = ["path,label,split"]
    for hue, name in enumerate(("red", "green")):
        for number in range(A_CLASS):
            path = f"{name}{number:02}.png"
            draw(100 * hue + number, hue).save(root / path)
            lines.append(f"{path},{name},{'test' if number % 3 == 0 else 'train'}")
    (root / "table.csv").write_text("\n".join(lines) + "\n")
    return root / "table.csv"


@pytest.fixture(scope="module")
def folder(table: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same pictures in class folders, without a split."""
    root = tmp_path_factory.mktemp("folder") / "photos"
    for line in table.read_text().splitlines()[1:]:
        path, label, _ = line.split(",")
        (root / label).mkdir(parents=True, exist_ok=True)
        shutil.copy(table.parent / path, root / label / path)
    return root


@contextmanager
def silent(what: str, unit: str) -> Iterator[Progress | None]:
    yield None


def run(data: Path, cache: Path, *bases: BaseChoice, **options: Any) -> AutoReport:
    chosen = {"budget": "10h", **options}
    return run_automatically(AutoRequest(str(data), bases or (TINY,), cache=cache, **chosen), silent)


def compare_ladders(report: AutoReport) -> list[dict[str, Any]]:
    """Everything of a ladder but its seconds."""
    return [{**asdict(row), "seconds": None} for row in report.ladder]


def assert_equal_arrays(model: Model, other: Model) -> None:
    """Hold the classifiers of two models to be the same, bit for bit."""
    assert set(model.classifier.arrays) == set(other.classifier.arrays)
    for name, array in model.classifier.arrays.items():
        np.testing.assert_array_equal(array, other.classifier.arrays[name])


@pytest.fixture(scope="module")
def climbed(table: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[AutoReport, Path]:
    """One run with time for everything, and its cache."""
    cache = tmp_path_factory.mktemp("climbed")
    return run(table, cache), cache


def test_every_step_is_taken_and_the_best_candidate_becomes_the_model(climbed: tuple[AutoReport, Path]) -> None:
    report, _ = climbed
    steps = [row.step for row in report.ladder if row.step != "best of all"]
    assert steps == ["best single layer", "several layers", "other poolings", "six views", "MLP"]
    assert all(row.candidate and row.tried and row.seconds is not None for row in report.ladder if row.seconds)
    first = report.ladder[0]
    assert (first.tried, first.gain, first.is_kept) == (8, None, True)
    kept = [row for row in report.ladder if row.is_kept]
    assert kept[-1].candidate == report.chosen.describe()
    assert first.before is None
    for row in report.ladder[1:]:
        assert row.gain is not None
        assert row.figure is not None
        assert row.before is not None
        assert 100 * (row.figure - row.before) == pytest.approx(row.gain, abs=1e-3)
        assert row.standard_error is not None
        assert row.is_kept == (row.gain > row.standard_error or row.step == "best of all")
    result = report.fit.result
    assert (result.layer, result.pooling, result.clf) == (
        report.chosen.features.layer_set,
        report.chosen.features.pooling,
        report.chosen.clf,
    )
    assert (result.views, result.test_views) == (report.chosen.features.views,) * 2
    assert result.n_test == 8
    assert report.estimate is None


def test_the_same_run_again_prints_the_same_and_measures_nothing(climbed: tuple[AutoReport, Path], table: Path) -> None:
    report, cache = climbed
    before = {path: path.stat().st_mtime_ns for path in (cache / "results").glob("trial-*.json")}
    again = run(table, cache)
    assert again.ladder == report.ladder
    assert again.chosen == report.chosen
    assert again.fit.result == report.fit.result
    after = {path: path.stat().st_mtime_ns for path in (cache / "results").glob("trial-*.json")}
    assert after == before


def test_a_fresh_cache_gives_the_same_numbers(climbed: tuple[AutoReport, Path], table: Path, tmp_path: Path) -> None:
    report, _ = climbed
    fresh = run(table, tmp_path / "fresh")
    assert compare_ladders(fresh) == compare_ladders(report)
    assert fresh.fit.result.test_accuracy == report.fit.result.test_accuracy


def test_labels_of_the_held_out_part_change_the_final_figures_and_nothing_else(
    climbed: tuple[AutoReport, Path], table: Path, tmp_path: Path
) -> None:
    report, _ = climbed
    rows = list(csv.DictReader(table.read_text().splitlines()))
    swapped = {"red": "green", "green": "red"}
    for row in rows:
        row["path"] = str(table.parent / row["path"])
        if row["split"] == "test":
            row["label"] = swapped[row["label"]]
    permuted = tmp_path / "permuted.csv"
    with permuted.open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    other = run(permuted, tmp_path / "cache")
    assert compare_ladders(other) == compare_ladders(report)
    assert other.chosen == report.chosen
    assert other.fit.result.cv_accuracy == report.fit.result.cv_accuracy
    assert other.fit.result.test_accuracy == pytest.approx(1 - report.fit.result.test_accuracy)
    assert_equal_arrays(other.model, report.model)


class Stop(Exception):
    """What ends a run in the middle."""


@pytest.mark.parametrize("at", ["tiny: several layers", "tiny: extraction of 6 views", "tiny: MLP"])
def test_a_run_that_was_stopped_goes_on_and_ends_alike(
    climbed: tuple[AutoReport, Path], table: Path, tmp_path: Path, at: str
) -> None:
    report, _ = climbed

    @contextmanager
    def stopping(what: str, unit: str) -> Iterator[Progress | None]:
        def stop(done: int, total: int) -> None:
            if what == at:
                raise Stop

        yield stop

    cache = tmp_path / "cache"
    with pytest.raises(Stop):
        run_automatically(AutoRequest(str(table), (TINY,), budget="10h", cache=cache), stopping)
    measured = {path: path.stat().st_mtime_ns for path in (cache / "results").glob("trial-*.json")}
    resumed = run(table, cache)
    assert compare_ladders(resumed) == compare_ladders(report)
    assert measured
    assert {path: path.stat().st_mtime_ns for path in measured} == measured


def test_what_the_budget_does_not_allow_is_said_and_is_not_tried_again(
    climbed: tuple[AutoReport, Path], table: Path, tmp_path: Path
) -> None:
    report, _ = climbed
    short = run(table, tmp_path / "cache", budget=0.001)
    assert short.ladder[0].candidate == report.ladder[0].candidate
    assert [row.candidate for row in short.ladder[1:]] == [None] * 4
    for row in short.ladder[1:]:
        assert re.fullmatch(r"not tried: about \d+ (s|min), budget left nothing", row.remark), row.remark
    assert short.chosen.describe() == report.ladder[0].candidate
    assert run(table, tmp_path / "cache", budget=0.001).ladder == short.ladder


def test_several_bases_climb_and_the_best_wins(folder: Path, tmp_path: Path) -> None:
    report = run(folder, tmp_path / "cache", TINY, BaseChoice("color-histogram"))
    assert {row.base for row in report.ladder} == {"tiny", "color-histogram"}
    of_histogram = [row.step for row in report.ladder if row.base == "color-histogram"]
    # There is one layer, so there are none to be put together.
    steps = ["best single layer", "other poolings", "six views"]
    assert [step for step in of_histogram if step in steps or step == "several layers"] == steps
    reached: dict[str, float] = {}
    for row in report.ladder:
        if row.is_kept and row.figure is not None:
            reached[row.base] = row.figure
    assert report.base == max(reached, key=lambda base: reached[base])
    estimate = report.estimate
    assert estimate is not None
    assert (estimate.images, estimate.folds) == (2 * A_CLASS, 5)
    assert estimate.ci_low < estimate.accuracy < estimate.ci_high
    assert sum(estimate.chosen.values()) == 5
    assert run(folder, tmp_path / "cache", TINY, BaseChoice("color-histogram")).estimate == estimate


def test_the_model_of_the_whole_is_trained_on_all_images_and_has_the_figures_of_the_other(
    climbed: tuple[AutoReport, Path], table: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    import featx

    report, cache = climbed
    out = tmp_path / "whole.featx"
    whole = run(table, cache, whole=True, out=out)
    assert whole.fit.result == report.fit.result
    model = load_model(out)
    assert model.protocol["trained_on_all"] == 2 * A_CLASS
    assert model.scores == report.model.scores
    assert model.params != report.model.params
    with pytest.raises(AssertionError):
        assert_equal_arrays(model, report.model)
    with caplog.at_level("WARNING", logger="featx"):
        featx.score(out, table, split="test")
    assert "trained on all images of its data set" in caplog.text


def test_the_commands_that_are_printed_make_the_same_model(
    climbed: tuple[AutoReport, Path], table: Path, tmp_path: Path, featx: Featx
) -> None:
    report, cache = climbed
    out = tmp_path / "auto.featx"
    again = run(table, cache, out=out)
    by_hand = tmp_path / "cache"
    for line in again.commands:
        words = shlex.split(line)
        assert words[0] == "featx"
        words = [word.replace(str(cache), str(by_hand)).replace("auto.featx", "hand.featx") for word in words]
        done = featx(*words[1:])
        assert done.exit_code == 0, done.output
    made, fitted = load_model(tmp_path / "hand.featx"), load_model(out)
    assert made.scores == fitted.scores
    assert made.keys == fitted.keys
    assert_equal_arrays(made, fitted)
    assert report.chosen == again.chosen


def test_the_command_prints_the_ladder_the_model_and_what_to_do_next(
    climbed: tuple[AutoReport, Path], table: Path, tmp_path: Path, featx: Featx
) -> None:
    report, cache = climbed
    out = tmp_path / "model.featx"
    words = ("auto", table, "--base", "tiny", "--budget", "10h", "--cache", cache, "--out", out)
    text = featx(*words).stdout
    for row in report.ladder:
        line = next(line for line in text.splitlines() if line.startswith(row.step))
        assert row.candidate is not None
        assert row.candidate in line
        assert f"{row.figure:.3f}" in line
        assert line.endswith(row.remark)
        if row.before is not None:
            assert f"  {row.figure:.3f}  {row.before:.3f}" in re.sub(" +", "  ", line)
    assert f"featx predict {out}" in text
    chosen = [f"{row.figure:.3f}" for row in report.ladder if row.candidate == report.chosen.describe()]
    final = re.search(r"cross-validated (\d\.\d{3}) on 16 images", text)
    assert final is not None
    assert final[1] == chosen[-1] or f"The {final[1]} here and the {chosen[-1]} in the ladder are of the same" in text
    assert featx("predict", out, table.parent, "-q").exit_code == 0
    quiet = featx(*words, "--json", "-q")
    values = json.loads(quiet.stdout)
    assert quiet.stderr == ""
    assert values["chosen"] == report.chosen.to_dict(["tiny"])
    assert [row["candidate"] for row in values["ladder"]] == [row.candidate for row in report.ladder]
    assert values["result"]["test_accuracy"] == report.fit.result.test_accuracy
    assert values["model"] == str(out)


def test_the_function_gives_the_same_as_the_command(climbed: tuple[AutoReport, Path], table: Path) -> None:
    import featx

    report, cache = climbed
    done: list[tuple[int, int]] = []
    given = featx.auto(
        table, base="tiny", budget="10h", cache=cache, progress=lambda count, total: done.append((count, total))
    )
    assert given.ladder == report.ladder
    assert given.model.scores == report.model.scores
    assert (5, 5) in done or (4, 4) in done


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--base", "tiny", "--budget", "10 minutes"), "'budget' is '10 minutes': write 90s, 10m or 1h"),
        (("--base", "tinny"), "tiny"),
        (("--base", "tiny", "--weights", "gone.pth"), "gone.pth"),
        (("--base", "tiny", "--out", "gone/model.featx"), "there is no folder 'gone'"),
        (("--base", "tiny", "--base", "nowhere.py"), "nowhere.py"),
    ],
)
def test_what_cannot_be_done_is_one_line_before_anything_is_extracted(
    table: Path, tmp_path: Path, featx: Featx, words: tuple[str, ...], message: str
) -> None:
    done = featx("auto", table, *words, "--cache", tmp_path / "cache")
    assert done.exit_code == 1
    assert message in done.error
    assert "\n" not in done.error
    assert not list((tmp_path / "cache").glob("tiny-*"))


def test_more_weights_than_bases_are_bad_usage(table: Path, featx: Featx) -> None:
    done = featx("auto", table, "--base", "tiny", "--weights", "a", "--weights", "b")
    assert done.exit_code == 2
    assert "2 --weights for 1 --base" in done.output


def test_a_class_of_one_picture_is_too_few(tmp_path: Path, folder: Path) -> None:
    few = tmp_path / "few"
    for name in ("red", "green"):
        (few / name).mkdir(parents=True)
        shutil.copy(next((folder / name).iterdir()), few / name)
    with pytest.raises(DataError, match="one image"):
        run(few, tmp_path / "cache")
    assert not list((tmp_path / "cache").glob("tiny-*"))


def test_weights_of_the_last_base_are_asked_for_before_the_first_is_run(table: Path, tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"gone\.pth"):
        run(table, tmp_path / "cache", TINY, BaseChoice("resnet18", "gone.pth"))
    assert not list((tmp_path / "cache").glob("tiny-*"))


def test_requests_are_checked(tmp_path: Path) -> None:
    request = AutoRequest("photos", (TINY,), budget="1.5h", cache=tmp_path)
    assert request.seconds == 5400
    assert replace(request, budget=90) == replace(request, budget="90s")
    for budget in ("0s", "-5m", "soon", float("nan"), 1e9):
        with pytest.raises(FeatxError, match="budget"):
            replace(request, budget=budget)
    with pytest.raises(RequestError, match="names the same base twice"):
        replace(request, bases=(TINY, TINY))
    with pytest.raises(RequestError, match="bases"):
        replace(request, bases=())
