from __future__ import annotations

import json
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from featx.base_choice import BaseChoice
from featx.bases.weights import digest_tensors
from featx.errors import DataError, MissingFeatures, RequestError, UnknownName, WeightsError
from featx.evaluation.result import best
from featx.features.load import load_labelled_features
from featx.requests import CompareRequest, ExtractRequest, PredictRequest
from featx.workflows.compare import compare_layer_sets
from featx.workflows.extract import extract_features
from featx.workflows.fit import fit_classifier
from featx.workflows.predict import label_images
from tests.conftest import picture, raises_missing

pytestmark = pytest.mark.slow

RANDOM = BaseChoice("tiny", "random")


@pytest.fixture
def request_(photos: Path, cache: Path) -> CompareRequest:
    extract_features(ExtractRequest(str(photos), RANDOM, ("layer1", "layer3"), cache=cache))
    return CompareRequest(str(photos), RANDOM, classifiers=("logreg", "svm"), cache=cache)


def test_there_is_a_row_for_every_cached_layer_and_classifier_in_the_bases_order(request_: CompareRequest) -> None:
    rows = compare_layer_sets(request_)
    assert [(row.layer, row.clf) for row in rows] == [
        ("layer1", "logreg"),
        ("layer1", "svm"),
        ("layer3", "logreg"),
        ("layer3", "svm"),
    ]
    assert [(row.dim, row.n_train, row.n_test) for row in rows[::2]] == [(32, 27, 9), (128, 27, 9)]


def test_colours_are_told_apart_and_the_interval_holds_the_accuracy(request_: CompareRequest) -> None:
    row = best(compare_layer_sets(request_))
    assert row.test_accuracy > 0.9
    assert row.ci_low <= row.test_accuracy <= row.ci_high
    assert 0 < row.macro_f1 <= 1


def test_the_same_request_gives_the_same_numbers(request_: CompareRequest) -> None:
    first, second = compare_layer_sets(request_), compare_layer_sets(request_)
    assert [replace(row, fit_seconds=0) for row in first] == [replace(row, fit_seconds=0) for row in second]


def test_the_best_row_is_chosen_by_cross_validation_not_by_the_test_part(request_: CompareRequest) -> None:
    row = compare_layer_sets(request_)[0]
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
    extract_features(ExtractRequest(str(root), RANDOM, ("layer1",), cache=cache))
    (row,) = compare_layer_sets(CompareRequest(str(root), RANDOM, classifiers=("logreg",), cache=cache))
    assert (row.n_train, row.n_test) == (16, 8)


def test_features_that_are_not_extracted_come_with_the_command_to_run(request_: CompareRequest) -> None:
    with raises_missing(r"Run: featx extract .*photos --base tiny --weights random --layer layer2"):
        compare_layer_sets(replace(request_, layers=("layer2",)))


def test_an_empty_cache_comes_with_the_command_to_run(photos: Path, tmp_path: Path) -> None:
    request = CompareRequest(str(photos), RANDOM, ("layer3",), cache=tmp_path / "empty")
    with raises_missing(r"holds no features of tiny .* --layer layer3 --cache .*empty"):
        compare_layer_sets(request)


def test_new_images_without_features_are_counted(request_: CompareRequest, photos: Path) -> None:
    picture(77, 0).save(photos / "red" / "new.png")
    with pytest.raises(MissingFeatures, match="1 of 37 images has no features yet: .*new.png"):
        compare_layer_sets(request_)


def test_broken_images_are_left_out_with_a_warning(
    request_: CompareRequest, photos: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (photos / "red" / "new.png").write_bytes(b"broken")
    assert len(compare_layer_sets(request_)) == 4
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
        compare_layer_sets(replace(request_, **change))  # type: ignore[arg-type]


def test_one_class_or_one_image_of_a_class_is_an_error(cache: Path, tmp_path: Path) -> None:
    root = tmp_path / "few"
    (root / "red").mkdir(parents=True)
    for number in range(6):
        picture(number, 0).save(root / "red" / f"{number}.png")
    request = CompareRequest(str(root), RANDOM, classifiers=("logreg",), cache=cache)
    extract_features(ExtractRequest(str(root), RANDOM, ("layer1",), cache=cache))
    with pytest.raises(DataError, match=r"one class only \('red'\)"):
        compare_layer_sets(request)
    (root / "blue").mkdir()
    picture(99, 2).save(root / "blue" / "only.png")
    extract_features(ExtractRequest(str(root), RANDOM, ("layer1",), cache=cache))
    with pytest.raises(DataError, match="only one image of: blue"):
        compare_layer_sets(request)


def test_two_weights_of_one_base_have_to_be_told_apart(request_: CompareRequest, photos: Path, tmp_path: Path) -> None:
    import torch
    from safetensors.torch import save_file

    from featx.bases.architectures.tiny import tiny

    torch.manual_seed(5)
    save_file(tiny().state_dict(), tmp_path / "other.safetensors")
    other = BaseChoice("tiny", str(tmp_path / "other.safetensors"))
    extract_features(ExtractRequest(str(photos), other, ("layer1",), cache=request_.cache))
    with pytest.raises(MissingFeatures, match="2 different weights or transforms: choose one with --weights"):
        compare_layer_sets(replace(request_, base=BaseChoice("tiny")))
    assert len(compare_layer_sets(replace(request_, base=other))) == 2
    assert len(compare_layer_sets(request_)) == 4


def test_a_leak_between_splits_is_reported(photos: Path, cache: Path, caplog: pytest.LogCaptureFixture) -> None:
    rows = [f"{path},{path.parent.name}," for path in sorted(photos.rglob("*.png"))]
    splits = np.where(np.arange(len(rows)) % 3 == 0, "test", "train")
    lines = [row + split for row, split in zip(rows, splits, strict=True)]
    lines.append(rows[0] + "train")
    table = photos / "table.csv"
    table.write_text("path,label,split\n" + "\n".join(lines))
    extract_features(ExtractRequest(str(table), RANDOM, ("layer1",), cache=cache))
    compare_layer_sets(CompareRequest(str(table), RANDOM, classifiers=("logreg",), cache=cache))
    assert "1 image lies in two splits" in caplog.text


@pytest.mark.parametrize("clf", ["logreg", "svm"])
def test_features_beyond_the_memory_allowed_are_fitted_out_of_core(request_: CompareRequest, clf: str) -> None:
    asked = replace(request_, layers=("layer1+layer3",), classifiers=(clf,))
    (in_memory,) = compare_layer_sets(asked)
    five_rows_at_a_time = 8 * 4 * 160 * 5
    streamed = compare_layer_sets(replace(asked, memory=five_rows_at_a_time))
    assert abs(streamed[0].test_accuracy - in_memory.test_accuracy) <= 1 / in_memory.n_test
    assert not streamed[0].recalled, "a result of another method is no answer"
    assert compare_layer_sets(replace(asked, memory=five_rows_at_a_time))[0].recalled


def test_a_classifier_that_needs_memory_says_so(request_: CompareRequest) -> None:
    with pytest.raises(RequestError, match="--memory does not allow"):
        compare_layer_sets(replace(request_, classifiers=("mlp",), memory=1000))


def test_without_a_choice_of_classifiers_those_that_can_be_fitted_out_of_core_are(
    request_: CompareRequest, caplog: pytest.LogCaptureFixture
) -> None:
    results = compare_layer_sets(replace(request_, layers=("layer1",), classifiers=(), memory=1000))
    assert [result.clf for result in results] == ["logreg", "svm"]
    assert "only logreg and svm are fitted" in caplog.text


def make_weights(path: Path) -> Path:
    import torch
    from safetensors.torch import save_file

    from featx.bases.architectures.tiny import tiny

    torch.manual_seed(5)
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file(tiny().state_dict(), path)
    return path


def run_in(folder: Path, *words: object) -> str:
    """Run the command line in a process of its own, in some folder, and give what it prints."""
    program = [sys.executable, "-c", "from featx.cli.main import run; run()"]
    done = subprocess.run([*program, *map(str, words)], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_predict_line_that_fit_prints_works_from_any_folder(photos: Path, tmp_path: Path) -> None:
    make_weights(tmp_path / "work" / "weights" / "w.safetensors")
    work, elsewhere = tmp_path / "work", tmp_path / "elsewhere"
    elsewhere.mkdir()
    base = ("--base", "tiny", "--cache", "cache", "-q")
    run_in(work, "extract", photos, *base, "--weights", "weights/w.safetensors", "--layer", "layer1")
    model = work / "models" / "m.featx"
    printed = run_in(work, "fit", photos, *base, "--layer", "layer1", "--clf", "logreg", "--out", model)
    line = printed.strip().splitlines()[-1]
    weights = work / "weights" / "w.safetensors"
    command = f"featx predict {model} --weights {weights} IMAGES"
    assert line.startswith(f"The model is '{model}'. Label new images with: {command}")
    image = photos / "red" / "00.png"
    words = shlex.split(line.split("with: featx ")[1].replace("IMAGES", str(image)))
    labelled = run_in(elsewhere, *words, "--json", "-q")
    assert json.loads(labelled)[0]["label"] == "red"


def test_a_model_with_its_base_predicts_where_the_weights_are_not(photos: Path, tmp_path: Path) -> None:
    weights = make_weights(tmp_path / "weights" / "w.safetensors")
    base = ("--base", "tiny", "--weights", weights, "--cache", tmp_path / "cache", "-q")
    run_in(tmp_path, "extract", photos, *base, "--layer", "layer1")
    fit_words = ("fit", photos, *base, "--layer", "layer1", "--clf", "logreg")
    run_in(tmp_path, *fit_words, "--out", "without.featx")
    expected = run_in(tmp_path, "predict", "without.featx", "--weights", weights, photos, "--json", "-q")
    run_in(tmp_path, *fit_words, "--out", "with.featx", "--with-base")
    weights.unlink()
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    shutil.move(tmp_path / "with.featx", elsewhere)
    assert json.loads(run_in(elsewhere, "predict", "with.featx", photos, "--json", "-q")) == json.loads(expected)


def test_no_file_is_opened_because_a_cache_names_it(photos: Path, cache: Path, tmp_path: Path) -> None:
    weights = make_weights(tmp_path / "w.safetensors")
    extract_features(ExtractRequest(str(photos), BaseChoice("tiny", str(weights)), ("layer1",), cache=cache))
    unnamed = CompareRequest(str(photos), BaseChoice("tiny"), ("layer1",), ("svm",), cache=cache)
    assert fit_classifier(unnamed).model.weights_file == str(weights)
    with pytest.raises(WeightsError, match=r"a cache names is opened only where you name it: add --weights .*w\.safe"):
        fit_classifier(unnamed, with_base=True)


def test_a_model_can_hold_a_base_whose_file_has_a_classifier_of_other_classes(
    photos: Path, cache: Path, tmp_path: Path
) -> None:
    import torch
    from safetensors.torch import load_file, save_file

    weights = make_weights(tmp_path / "w.safetensors")
    tensors = load_file(weights)
    (name,) = [name for name in tensors if name.startswith("fc") and tensors[name].ndim == 2]
    tensors[name] = torch.ones(7, tensors[name].shape[1])
    tensors[name.replace("weight", "bias")] = torch.ones(7)
    save_file(tensors, weights)
    choice = BaseChoice("tiny", str(weights))
    extract_features(ExtractRequest(str(photos), choice, ("layer1",), cache=cache))
    fitted = fit_classifier(CompareRequest(str(photos), choice, ("layer1",), ("svm",), cache=cache), with_base=True)
    assert digest_tensors(fitted.model.base_tensors) == fitted.model.keys[0].base.weights
    fitted.model.save(tmp_path / "m.featx")
    weights.unlink()
    (labelled,) = label_images(PredictRequest(tmp_path / "m.featx", [str(photos / "blue" / "00.png")])).labelled
    assert labelled.label == "blue"


def test_the_base_belongs_into_a_file(featx: Callable[..., Any], request_: CompareRequest) -> None:
    words = ("fit", request_.data, "--base", "tiny", "--cache", request_.cache, "--layer", "layer1", "--clf", "svm")
    result = featx(*words, "--with-base")
    assert result.exit_code == 2
    assert "name the file with --out" in result.output
    assert "earlier run" not in featx(*words, "-q").stdout
    assert "in an earlier run" in featx(*words, "-q").stdout


def test_the_whole_is_trained_on_all_images_and_evaluated_without_the_held_out_ones(request_: CompareRequest) -> None:
    one = replace(request_, layers=("layer1",), classifiers=("svm",))
    part = fit_classifier(one)
    whole = fit_classifier(one, whole=True)
    data = load_labelled_features(one)
    assert whole.result == part.result
    assert whole.model.scores == part.model.scores
    np.testing.assert_allclose(whole.model.classifier.arrays["mean"], data.X.mean(axis=0), atol=1e-6)
    np.testing.assert_allclose(part.model.classifier.arrays["mean"], data.X[data.train].mean(axis=0), atol=1e-6)


def test_the_whole_belongs_into_a_file(featx: Callable[..., Any], request_: CompareRequest) -> None:
    done = featx("fit", request_.data, "--base", "tiny", "--layer", "layer1", "--clf", "svm", "--whole")
    assert done.exit_code == 2
    assert "--whole says what the model is trained on" in done.output


def test_a_model_does_not_depend_on_the_threads_of_linear_algebra(cache: Path, tmp_path: Path) -> None:
    extract_features(ExtractRequest("digits", RANDOM, ("layer3",), ("pyramid",), cache=cache))
    request = CompareRequest("digits", RANDOM, ("layer3",), ("logreg",), ("pyramid",), cache=cache)
    models = []
    for threads in (1, 2):
        with threadpool_limits(threads, "blas"):
            fit_classifier(request).model.save(tmp_path / "model.featx")
        models.append((tmp_path / "model.featx").read_bytes())
    assert models[0] == models[1]
