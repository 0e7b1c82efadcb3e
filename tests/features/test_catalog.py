"""A cache that several data sets share: what is chosen depends on the images at hand, and on nothing else in it."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from featx.base_choice import BaseChoice
from featx.errors import MissingFeatures, UnknownName
from featx.features.catalog import choose_layer_sets, find_base, select_features
from featx.features.dataset import list_dataset
from featx.requests import CompareRequest, ExtractRequest
from featx.store.store import FeatureStore
from featx.workflows.compare import compare_layer_sets
from featx.workflows.extract import extract_features
from featx.workflows.fit import fit_classifier
from tests.conftest import picture, raises_missing

RANDOM = BaseChoice("tiny", "random")


@pytest.fixture
def request_(photos: Path, cache: Path) -> CompareRequest:
    extract_features(ExtractRequest(str(photos), RANDOM, ("layer1", "layer3"), cache=cache))
    return CompareRequest(str(photos), RANDOM, classifiers=("svm",), cache=cache)


@pytest.fixture
def others(tmp_path: Path) -> Path:
    """Another data set, of other images."""
    root = tmp_path / "others"
    for hue, name in enumerate(("red", "green")):
        (root / name).mkdir(parents=True)
        for number in range(6):
            picture(5000 + 10 * hue + number, hue).save(root / name / f"{number}.png")
    return root


@pytest.fixture
def some(photos: Path, tmp_path: Path) -> Path:
    """Another data set, that shares twelve of its images with the first."""
    root = tmp_path / "some"
    for name in ("red", "blue"):
        (root / name).mkdir(parents=True)
        for number in range(6):
            shutil.copy(photos / name / f"{number:02}.png", root / name)
    return root


def choose(request: CompareRequest) -> list[str]:
    """Names, poolings and dtypes of the layer sets that a request comes to."""
    selection = select_features(FeatureStore(request.cache), request, list_dataset(request).digests)
    return [f"{layer_set.name} {layer_set.pooling} {layer_set.keys[0].dtype}" for layer_set in selection.layer_sets]


LAYERS = ["layer1 avg float32", "layer3 avg float32"]


@pytest.mark.parametrize(
    "left",
    [
        {"layers": ("layer2",)},
        {"layers": ("layer1",), "poolings": ("max", "pyramid")},
        {"layers": ("layer3",), "store_dtype": "float16"},
        {"layers": ("layer1", "layer3"), "views": 3},
    ],
)
def test_what_another_data_set_leaves_in_the_cache_changes_nothing(
    request_: CompareRequest, others: Path, left: dict[str, object], caplog: pytest.LogCaptureFixture
) -> None:
    alone = compare_layer_sets(request_)
    extract_features(ExtractRequest(str(others), RANDOM, cache=request_.cache, **left))  # type: ignore[arg-type]
    shared = compare_layer_sets(request_)
    assert [replace(row, megabytes=0, ms_per_image=0) for row in shared] == [
        replace(row, megabytes=0, ms_per_image=0) for row in alone
    ]
    assert all(row.recalled for row in shared)
    assert choose(request_) == LAYERS
    assert choose(replace(request_, layers=("layer1+layer3",))) == ["layer1+layer3 avg float32"]
    assert caplog.text == ""


def test_layers_cached_for_some_of_the_images_are_named_in_one_warning_with_the_command(
    request_: CompareRequest, some: Path, caplog: pytest.LogCaptureFixture
) -> None:
    extract_features(ExtractRequest(str(some), RANDOM, ("layer2",), ("max",), cache=request_.cache))
    assert [row.layer for row in compare_layer_sets(request_)] == ["layer1", "layer3"]
    (warning,) = [record.message for record in caplog.records]
    assert warning.startswith("layer2 (max) is cached for 12 of 36 images only; to use it: featx extract ")
    for flag in ("--weights random", "--layer layer2", "--pooling max", f"--cache {request_.cache}"):
        assert flag in warning


def test_of_a_layer_asked_for_the_poolings_count_that_the_images_have(
    request_: CompareRequest, some: Path, others: Path, caplog: pytest.LogCaptureFixture
) -> None:
    extract_features(ExtractRequest(str(others), RANDOM, ("layer3",), ("pyramid",), cache=request_.cache))
    extract_features(ExtractRequest(str(some), RANDOM, ("layer3",), ("max",), cache=request_.cache))
    request = replace(request_, layers=("layer3",))
    assert choose(request) == ["layer3 avg float32"]
    assert "layer3 (max) is cached for 12 of 36 images only" in caplog.text
    with raises_missing("'layer3' of tiny .* is not cached. Run: .* --layer layer3 --pooling pyramid "):
        compare_layer_sets(replace(request, poolings=("pyramid",)))
    with raises_missing("24 of 36 images have no features yet.*Run: .* --layer layer3 --pooling max "):
        compare_layer_sets(replace(request, poolings=("max",)))


def test_a_layer_that_only_another_data_set_has_is_not_cached(request_: CompareRequest, others: Path) -> None:
    extract_features(ExtractRequest(str(others), RANDOM, ("layer4",), cache=request_.cache))
    with raises_missing("layer 'layer4' of tiny .* is not cached. Run: .* --layer layer4 "):
        compare_layer_sets(replace(request_, layers=("layer4",)))


def test_the_dtype_that_all_images_have_is_taken_and_float32_where_both_are(
    request_: CompareRequest, some: Path
) -> None:
    request = replace(request_, layers=("layer2",))
    extract_features(ExtractRequest(str(some), RANDOM, ("layer2",), cache=request.cache))
    extract_features(ExtractRequest(request.data, RANDOM, ("layer2",), store_dtype="float16", cache=request.cache))
    assert choose(request) == ["layer2 avg float16"]
    extract_features(ExtractRequest(request.data, RANDOM, ("layer2",), cache=request.cache))
    assert choose(request) == ["layer2 avg float32"]
    assert choose(replace(request, store_dtype="float16")) == ["layer2 avg float16"]


def test_a_data_set_without_features_comes_with_the_command_to_run(request_: CompareRequest, others: Path) -> None:
    with raises_missing(r"holds no features of tiny .* for the images of '.*others'. Run: .* --layer layer4 "):
        compare_layer_sets(replace(request_, data=str(others)))


@pytest.fixture
def other_weights(tmp_path: Path) -> BaseChoice:
    import torch
    from safetensors.torch import save_file

    from featx.bases.architectures.tiny import tiny

    torch.manual_seed(5)
    (tmp_path / "weights").mkdir()
    save_file(tiny().state_dict(), tmp_path / "weights" / "other.safetensors")
    return BaseChoice("tiny", str(tmp_path / "weights" / "other.safetensors"))


def test_a_base_that_has_features_of_other_images_only_leaves_no_doubt(
    request_: CompareRequest, others: Path, other_weights: BaseChoice
) -> None:
    extract_features(ExtractRequest(str(others), other_weights, ("layer1",), cache=request_.cache))
    unnamed = replace(request_, base=BaseChoice("tiny"))
    assert compare_layer_sets(unnamed) == compare_layer_sets(request_)
    store = FeatureStore(request_.cache)
    theirs = replace(unnamed, data=str(others))
    assert find_base(store, theirs, list_dataset(theirs).digests).source == "other.safetensors"
    extract_features(ExtractRequest(request_.data, other_weights, ("layer1",), cache=request_.cache))
    with pytest.raises(MissingFeatures, match="2 different weights or transforms: choose one with --weights "):
        compare_layer_sets(unnamed)


def test_several_bases_without_features_of_these_images_are_no_choice(
    request_: CompareRequest, others: Path, other_weights: BaseChoice, tmp_path: Path
) -> None:
    extract_features(ExtractRequest(str(others), other_weights, ("layer1",), cache=request_.cache))
    new = tmp_path / "new"
    for name in ("a", "b"):
        (new / name).mkdir(parents=True)
        for number in range(3):
            picture(ord(name) + number, 0).save(new / name / f"{number}.png")
    with raises_missing("holds no features of tiny for the images of '.*new'. Run: featx extract .*new --base tiny "):
        compare_layer_sets(replace(request_, data=str(new), base=BaseChoice("tiny")))


def test_a_transform_that_was_asked_for_is_found_beside_another_data_sets_default(
    photos: Path, others: Path, cache: Path
) -> None:
    choice = replace(RANDOM, resize=40, crop=32)
    extract_features(ExtractRequest(str(photos), choice, ("layer1",), cache=cache))
    extract_features(ExtractRequest(str(others), RANDOM, ("layer1",), cache=cache))
    request = CompareRequest(str(photos), RANDOM, classifiers=("svm",), cache=cache)
    base = find_base(FeatureStore(cache), request, list_dataset(request).digests)
    assert (base.id.transform.resize, base.id.transform.crop) == (40, 32)


@pytest.mark.slow
def test_the_command_repeats_every_choice_of_the_base_that_was_found(
    photos: Path, cache: Path, other_weights: BaseChoice
) -> None:
    choice = replace(other_weights, resize=40, crop=32, precision="bfloat16")
    extract_features(
        ExtractRequest(str(photos), choice, ("layer1",), ("max",), store_dtype="float16", views=2, cache=cache)
    )
    picture(77, 0).save(photos / "red" / "new.png")
    request = CompareRequest(str(photos), BaseChoice("tiny", precision="bfloat16"), cache=cache, views=2)
    with pytest.raises(MissingFeatures, match="1 of 37 images has no features yet") as caught:
        compare_layer_sets(request)
    mending = caught.value.request
    assert mending == ExtractRequest(
        str(photos), choice, ["layer1"], ["max"], store_dtype="float16", views=2, cache=cache
    )
    assert mending is not None
    extract_features(mending)
    assert {row.layer for row in compare_layer_sets(request)} == {"layer1"}


def test_a_weights_file_of_which_only_the_name_is_known_is_named_honestly(
    photos: Path, cache: Path, other_weights: BaseChoice
) -> None:
    extract_features(ExtractRequest(str(photos), other_weights, ("layer1",), cache=cache))
    (file,) = cache.glob("*/base.json")
    fields = json.loads(file.read_text())
    del fields["weights_file"], fields["checksum"]
    file.write_text(json.dumps(fields))
    with raises_missing(
        r"\(its weights came from the file 'other.safetensors', which is not there: give its path\). "
        r"Run: .* --weights other.safetensors --layer layer2 "
    ):
        compare_layer_sets(CompareRequest(str(photos), BaseChoice("tiny"), ("layer2",), cache=cache))
    extract_features(ExtractRequest(str(photos), other_weights, ("layer1",), cache=cache))
    with raises_missing(f"Run: .* --weights {other_weights.weights} --layer layer2 "):
        compare_layer_sets(CompareRequest(str(photos), BaseChoice("tiny"), ("layer2",), cache=cache))


def test_poolings_asked_for_without_layers_take_the_layers_that_have_them(request_: CompareRequest) -> None:
    extract_features(ExtractRequest(request_.data, RANDOM, ("layer2", "layer1"), ("max",), cache=request_.cache))
    assert choose(replace(request_, poolings=("max", "avg"))) == [
        "layer1 max float32",
        "layer1 avg float32",
        "layer2 max float32",
        "layer3 avg float32",
    ]
    with raises_missing("holds no features of tiny .* with pooling 'flat' for .*Run: .* --pooling flat "):
        compare_layer_sets(replace(request_, poolings=("flat",)))


def test_a_broken_image_does_not_make_every_layer_incomplete(
    request_: CompareRequest, photos: Path, some: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (photos / "red" / "broken.png").write_bytes(b"broken")
    extract_features(ExtractRequest(str(some), RANDOM, ("layer2",), cache=request_.cache))
    assert [row.layer for row in compare_layer_sets(request_)] == ["layer1", "layer3"]
    assert "layer2 (avg) is cached for 12 of 36 images only" in caplog.text


def test_aliases_and_repetitions_come_to_exact_names(request_: CompareRequest) -> None:
    store = FeatureStore(request_.cache)
    digests = list_dataset(request_).digests
    base = find_base(store, request_, digests)
    names = ("layer3+layer1+layer3", "layer1", "layer1")
    chosen = choose_layer_sets(store, base, replace(request_, layers=names), digests)
    assert [layer_set.name for layer_set in chosen] == ["layer3+layer1", "layer1"]
    with pytest.raises(UnknownName, match="unknown layer of tiny 'layer9'. Did you mean 'layer"):
        fit_classifier(replace(request_, layers=("layer9",)))
