"""Groups from end to end: no command has a group on two sides, and accuracy is that of new groups."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, reject, settings
from hypothesis import strategies as st
from PIL import Image

import featx as library
from featx.advice.sample import draw_sample, label_rows
from featx.base_choice import BaseChoice
from featx.errors import DataError
from featx.evaluation.comparison import open_comparison
from featx.features.dataset import Dataset
from featx.features.splits import make_folds
from featx.finetuning.plan import plan
from featx.finetuning.run import FinetuningRun
from featx.requests import CompareRequest, ExtractRequest, FinetuneRequest
from featx.workflows.extract import extract_features
from tests.conftest import picture

pytestmark = pytest.mark.slow

Featx = Callable[..., Any]

TINY = BaseChoice("tiny")

SMALL = {"resize": 32, "crop": 32}
"""What makes extraction of small pictures quick."""


def draw_patients(root: Path, first: int, patients: int, pictures: int) -> Path:
    """Draw pictures whose colour says the patient, and nothing else does; every second patient is ill."""
    rows = ["path,label,patient"]
    for patient in range(first, first + patients):
        random = np.random.default_rng(patient)
        cast = random.integers(0, 200, 3)
        label = ("ill", "well")[patient % 2]
        (root / label).mkdir(parents=True, exist_ok=True)
        for number in range(pictures):
            pixels = (cast + random.integers(0, 56, (24, 24, 3))).astype(np.uint8)
            path = f"{label}/patient{patient}_{number:02}.png"
            Image.fromarray(pixels).save(root / path)
            rows.append(f"{path},{label},{patient}")
    (root / "table.csv").write_text("\n".join(rows))
    return root


@pytest.fixture(scope="module")
def clinic(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sixty patients with eight pictures each, extracted into `cache` beside them."""
    root = draw_patients(tmp_path_factory.mktemp("clinic") / "photos", 0, 60, 8)
    library.extract(root, base="tiny", layers="layer1", cache=root.parent / "cache", **SMALL)
    return root


@pytest.fixture(scope="module")
def new_patients(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pictures of a hundred others."""
    return draw_patients(tmp_path_factory.mktemp("new") / "photos", 1000, 100, 2)


def fit(clinic: Path, data: Path | None = None, **options: Any) -> Any:
    cache = clinic.parent / "cache"
    return library.fit(data or clinic, base="tiny", layer="layer1", clf="knn", cache=cache, **SMALL, **options)


def test_accuracy_by_groups_is_that_of_new_patients_and_without_them_is_20_points_too_high(
    clinic: Path, new_patients: Path
) -> None:
    alone = fit(clinic)
    grouped = fit(clinic, group_by=r"patient(\d+)")
    truth = library.score(grouped.model, new_patients).result.test_accuracy
    assert truth < 0.65
    assert alone.result.test_accuracy > truth + 0.2
    assert alone.result.cv_accuracy > truth + 0.2
    assert abs(grouped.result.test_accuracy - truth) < 0.2
    assert abs(grouped.result.cv_accuracy - truth) < 0.1
    assert grouped.split == (
        "held out: a quarter of the 60 groups, drawn with seed 42 (15 groups, 120 images); "
        "trained on the rest (45 groups, 360)"
    )


def test_a_column_a_pattern_and_groups_in_python_mean_the_same(clinic: Path) -> None:
    table = clinic / "table.csv"
    patients = [line.split(",")[2] for line in table.read_text().splitlines()[1:]]
    results = []
    for options in ({}, {"group_column": "patient"}, {"group_by": r"patient(\d+)"}, {"groups": np.array(patients)}):
        report = fit(clinic, table, **options)
        results.append((report.split, report.result.test_accuracy, report.result.cv_accuracy))
    assert len(set(results)) == 1
    assert "60 groups" in results[0][0]


def test_score_finds_the_held_out_groups_again_however_they_were_said(
    clinic: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    groups = {str(path.relative_to(clinic)): path.name.split("_")[0] for path in clinic.rglob("*.png")}
    report = fit(clinic, groups=groups)
    report.model.save(tmp_path / "model.featx")
    again = library.score(tmp_path / "model.featx", clinic)
    assert "these are the images that the model was fitted on: the 120 that were held out are scored" in caplog.text
    assert again.result.n_test == 120
    assert again.result.test_accuracy == report.result.test_accuracy
    library.score(tmp_path / "model.featx", clinic, split="all")
    assert caplog.text.count("these are the images") == 1


@pytest.mark.parametrize("stated", [None, 3, {}, {"held_out": 3}, {"held_out": "zz"}, {"held_out": "ff", "rows": "x"}])
def test_a_model_that_states_nonsense_of_its_groups_scores_all_images(clinic: Path, stated: Any) -> None:
    model = fit(clinic, group_by=r"patient(\d+)").model
    damaged = replace(model, protocol={**model.protocol, "groups": stated})
    assert library.score(damaged, clinic).result.n_test == 480


def test_the_command_line_takes_a_pattern_and_says_what_is_held_out(featx: Featx, clinic: Path) -> None:
    words = ("--base", "tiny", "--resize", 32, "--crop", 32, "--layer", "layer1", "--cache", clinic.parent / "cache")
    result = featx("compare", clinic, *words, "--clf", "knn", "--group-by", r"patient(\d+)", "--json")
    assert result.exit_code == 0
    assert "held out: a quarter of the 60 groups, drawn with seed 42 (15 groups, 120 images)" in result.stderr
    assert json.loads(result.stdout)[0]["n_test"] == 120
    result = featx("compare", clinic, *words, "--clf", "knn")
    assert "suggest 60 groups of pictures" in result.stderr
    result = featx("fit", clinic, *words, "--clf", "knn", "--group-by", "(")
    assert result.exit_code == 1
    assert "'group_by' is not a regular expression: '('" in str(result.exception)
    result = featx("fit", clinic, *words, "--clf", "knn", "--group-by", r"^(ill|well)/")
    assert result.exit_code == 1
    assert "each of the 2 groups is the only one of a class" in str(result.exception)


def test_advice_repeats_the_groups_in_its_command(tmp_path: Path) -> None:
    root = draw_patients(tmp_path / "photos", 0, 12, 4)
    library.extract(root, base="tiny", layers="layer1", cache=tmp_path / "cache", **SMALL)
    advice = library.advise(root, base="tiny", cache=tmp_path / "cache", group_by=r"patient(\d+)", **SMALL)
    assert "--group-by 'patient(\\d+)'" in advice.command


def test_an_experiment_says_the_groups_once_for_all_of_its_requests(tmp_path: Path) -> None:
    from featx.workflows.experiment_file import load_pipeline

    file = tmp_path / "e.toml"
    file.write_text('data = "p"\nbase = "tiny"\nlayers = ["layer4"]\ngroup_by = "x"\n[finetune]\nfrom = "layer4"\n')
    pipeline = load_pipeline(str(file), tmp_path / "cache")
    assert pipeline.compare.group_by == "x"
    assert pipeline.finetune is not None
    assert pipeline.finetune.group_by == "x"


def check_apart(dataset: Dataset, one: Any, other: Any) -> None:
    """Check that two sets of rows share no group."""
    assert len(other)
    assert not set(dataset.groups[one].tolist()) & set(dataset.groups[other].tolist())


@pytest.fixture(scope="module")
def tuning(tmp_path_factory: pytest.TempPathFactory) -> FinetuneRequest:
    """A fine-tuning of 48 pictures of three classes, whose features are there."""
    root = tmp_path_factory.mktemp("tuning")
    for place, name in enumerate(("red", "green", "blue")):
        (root / "photos" / name).mkdir(parents=True)
        for number in range(16):
            picture(place * 100 + number, place, (32, 32)).save(root / "photos" / name / f"{number:02}.png")
    base = BaseChoice("tiny", **SMALL)
    request = FinetuneRequest(str(root / "photos"), base, "layer4", root / "m.featx", cache=root / "cache", views=1)
    extract_features(ExtractRequest(request.data, base, ("layer4",), cache=request.cache))
    return replace(request, device="cpu", workers=1)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.integers(0, 14), min_size=48, max_size=48), st.integers(0, 2**32 - 1))
def test_no_command_has_a_group_on_two_sides(tuning: FinetuneRequest, groups: list[int], seed: int) -> None:
    names = tuple(map(str, groups))
    request = CompareRequest(tuning.data, tuning.base, ("layer4",), cache=tuning.cache, seed=seed, groups=names)
    try:
        # What compare and fit take.
        dataset = open_comparison(request).dataset
    except DataError:
        # Too few groups to divide.
        reject()
    train = np.flatnonzero(dataset.train)
    check_apart(dataset, train, np.flatnonzero(dataset.test))
    for of_train, val in make_folds(dataset.y[train], dataset.groups[train], seed):
        check_apart(dataset, train[of_train], train[val])
    sample = draw_sample(dataset, seed)
    assert not dataset.test[sample].any()
    for of_sample, val in label_rows(dataset, sample).folds(seed):
        check_apart(dataset, sample[of_sample], sample[val])
    run = FinetuningRun(replace(tuning, seed=seed, groups=names), plan(tuning))
    assert np.array_equal(run.dataset.test, dataset.test)
    check_apart(dataset, run.parts.train, run.parts.val)
    check_apart(dataset, run.parts.train_val, run.parts.test)
