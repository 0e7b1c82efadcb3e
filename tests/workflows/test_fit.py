from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from featx.errors import DataError, MissingFeatures, RequestError, UnknownName
from featx.evaluation.result import best
from featx.requests import BaseChoice, CompareRequest, ExtractRequest
from featx.workflows.compare import compare
from featx.workflows.extract import extract
from tests.conftest import picture, raises_missing

RANDOM = BaseChoice("tiny", "random")


@pytest.fixture
def request_(photos: Path, cache: Path) -> CompareRequest:
    extract(ExtractRequest(str(photos), RANDOM, ("layer1", "layer3"), cache=cache))
    return CompareRequest(str(photos), RANDOM, classifiers=("logreg", "svm"), cache=cache)


def test_there_is_a_row_for_every_cached_layer_and_classifier_in_the_bases_order(request_: CompareRequest) -> None:
    rows = compare(request_)
    assert [(row.layer, row.clf) for row in rows] == [
        ("layer1", "logreg"),
        ("layer1", "svm"),
        ("layer3", "logreg"),
        ("layer3", "svm"),
    ]
    assert [(row.dim, row.n_train, row.n_test) for row in rows[::2]] == [(32, 27, 9), (128, 27, 9)]


def test_colours_are_told_apart_and_the_interval_holds_the_accuracy(request_: CompareRequest) -> None:
    row = best(compare(request_))
    assert row.test_accuracy > 0.9
    assert row.ci_low <= row.test_accuracy <= row.ci_high
    assert 0 < row.macro_f1 <= 1


def test_the_same_request_gives_the_same_numbers(request_: CompareRequest) -> None:
    first, second = compare(request_), compare(request_)
    assert [replace(row, fit_seconds=0) for row in first] == [replace(row, fit_seconds=0) for row in second]


def test_the_best_row_is_chosen_by_cross_validation_not_by_the_test_part(request_: CompareRequest) -> None:
    row = compare(request_)[0]
    lucky = replace(row, cv_accuracy=0.5, test_accuracy=1.0)
    steady = replace(row, cv_accuracy=0.9, test_accuracy=0.8)
    assert best([lucky, steady]) is steady


def test_folders_named_for_splits_hold_out_their_own_part(photos: Path, cache: Path, tmp_path: Path) -> None:
    root = tmp_path / "split"
    for part, numbers in (("train", range(8)), ("val", range(8, 12))):
        for hue, name in enumerate(("red", "green")):
            (root / part / name).mkdir(parents=True)
            for number in numbers:
                picture(hue * 50 + number, hue).save(root / part / name / f"{number}.png")
    extract(ExtractRequest(str(root), RANDOM, ("layer1",), cache=cache))
    (row,) = compare(CompareRequest(str(root), RANDOM, classifiers=("logreg",), cache=cache))
    assert (row.n_train, row.n_test) == (16, 8)


def test_features_that_are_not_extracted_come_with_the_command_to_run(request_: CompareRequest) -> None:
    with raises_missing(r"Run: featx extract .*photos --base tiny --weights random --layer layer2"):
        compare(replace(request_, layers=("layer2",)))


def test_an_empty_cache_comes_with_the_command_to_run(photos: Path, tmp_path: Path) -> None:
    request = CompareRequest(str(photos), RANDOM, ("layer3",), cache=tmp_path / "empty")
    with raises_missing(r"holds no features of tiny .* --layer layer3 --cache .*empty"):
        compare(request)


def test_new_images_without_features_are_counted(request_: CompareRequest, photos: Path) -> None:
    picture(77, 0).save(photos / "red" / "new.png")
    with pytest.raises(MissingFeatures, match="1 of 37 images has no features yet, such as .*new.png"):
        compare(request_)


def test_broken_images_are_left_out_with_a_warning(
    request_: CompareRequest, photos: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (photos / "red" / "new.png").write_bytes(b"broken")
    assert len(compare(request_)) == 4
    assert "new.png' is left out: not an image" in caplog.text


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"classifiers": ("svn",)}, "unknown classifier 'svn'. Did you mean 'svm'"),
        ({"layers": ("layr1",)}, "unknown layer of tiny 'layr1'. Did you mean 'layer1'"),
        ({"poolings": ("avgg",)}, "unknown pooling 'avgg'. Did you mean 'avg'"),
        ({"base": BaseChoice("resnet81")}, "unknown base 'resnet81'. Did you mean 'resnet18'"),
    ],
)
def test_unknown_names_come_with_the_nearest(request_: CompareRequest, change: dict[str, object], message: str) -> None:
    with pytest.raises(UnknownName, match=message):
        compare(replace(request_, **change))  # type: ignore[arg-type]


def test_one_class_or_one_image_of_a_class_is_an_error(cache: Path, tmp_path: Path) -> None:
    root = tmp_path / "few"
    (root / "red").mkdir(parents=True)
    for number in range(6):
        picture(number, 0).save(root / "red" / f"{number}.png")
    request = CompareRequest(str(root), RANDOM, classifiers=("logreg",), cache=cache)
    extract(ExtractRequest(str(root), RANDOM, ("layer1",), cache=cache))
    with pytest.raises(DataError, match=r"one class only \('red'\)"):
        compare(request)
    (root / "blue").mkdir()
    picture(99, 2).save(root / "blue" / "only.png")
    extract(ExtractRequest(str(root), RANDOM, ("layer1",), cache=cache))
    with pytest.raises(DataError, match="only one image of: blue"):
        compare(request)


def test_two_weights_of_one_base_have_to_be_told_apart(request_: CompareRequest, photos: Path, tmp_path: Path) -> None:
    import torch
    from safetensors.torch import save_file

    from featx.bases.architectures.tiny import tiny

    torch.manual_seed(5)
    save_file(tiny().state_dict(), tmp_path / "other.safetensors")
    other = BaseChoice("tiny", str(tmp_path / "other.safetensors"))
    extract(ExtractRequest(str(photos), other, ("layer1",), cache=request_.cache))
    with pytest.raises(MissingFeatures, match="2 different weights or transforms .*choose with --weights"):
        compare(replace(request_, base=BaseChoice("tiny")))
    assert len(compare(replace(request_, base=other))) == 2
    assert len(compare(request_)) == 4


def test_a_leak_between_splits_is_reported(photos: Path, cache: Path, caplog: pytest.LogCaptureFixture) -> None:
    rows = [f"{path},{path.parent.name}," for path in sorted(photos.rglob("*.png"))]
    splits = np.where(np.arange(len(rows)) % 3 == 0, "test", "train")
    lines = [row + split for row, split in zip(rows, splits, strict=True)]
    lines.append(rows[0] + "train")
    table = photos / "table.csv"
    table.write_text("path,label,split\n" + "\n".join(lines))
    extract(ExtractRequest(str(table), RANDOM, ("layer1",), cache=cache))
    compare(CompareRequest(str(table), RANDOM, classifiers=("logreg",), cache=cache))
    assert "1 image lies in two splits" in caplog.text


@pytest.mark.parametrize("clf", ["logreg", "svm"])
def test_features_beyond_the_memory_allowed_are_gone_through_in_passes(
    request_: CompareRequest, clf: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = replace(request_, layers=("layer1+layer3",), classifiers=(clf,))
    (kept,) = compare(asked)
    monkeypatch.setattr("featx.features.matrix.BLOCK_BYTES", 4 * 160 * 5)
    streamed = compare(replace(asked, memory=1000))
    assert abs(streamed[0].test_accuracy - kept.test_accuracy) <= 1 / kept.n_test
    assert not streamed[0].recalled, "a result of another way is no answer"
    assert compare(replace(asked, memory=1000))[0].recalled


def test_a_classifier_that_needs_memory_says_so(request_: CompareRequest) -> None:
    with pytest.raises(RequestError, match="--memory does not allow"):
        compare(replace(request_, classifiers=("mlp",), memory=1000))


def test_without_a_choice_of_classifiers_those_that_go_in_passes_are_fitted(
    request_: CompareRequest, caplog: pytest.LogCaptureFixture
) -> None:
    results = compare(replace(request_, layers=("layer1",), classifiers=(), memory=1000))
    assert [result.clf for result in results] == ["logreg", "svm"]
    assert "only logreg and svm are fitted" in caplog.text
