"""Views from end to end: augmentation for cached features."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from featx.base_choice import BaseChoice
from featx.bases.loading import open_base
from featx.data.digest_cache import digest_all
from featx.data.sources import list_images
from featx.engines.compute import compute_features
from featx.engines.engine import LazyEngine, make_plan
from featx.errors import RequestError
from featx.evaluation.comparison import open_comparison
from featx.features.splits import make_folds, with_views
from featx.images import decode as images
from featx.images.augment import make_views
from featx.images.normalise import to_input
from featx.requests import CompareRequest, ExtractRequest, PredictRequest
from featx.runners.local import list_feature_keys
from featx.store.store import FeatureStore
from featx.timing import Clock
from featx.workflows.compare import compare_layer_sets
from featx.workflows.extract import extract_features
from featx.workflows.fit import fit_classifier
from featx.workflows.predict import label_images
from tests.conftest import raises_missing
from tests.data.counted import count_reads

pytestmark = pytest.mark.slow

RANDOM = BaseChoice("tiny", "random")
CPU = torch.device("cpu")
Stored = dict[str, NDArray[Any]]


@pytest.fixture
def request_(photos: Path, cache: Path) -> ExtractRequest:
    return ExtractRequest(str(photos), RANDOM, ("layer1", "layer3"), cache=cache, batch_size=8, views=8)


def stored(request: ExtractRequest) -> Stored:
    """Features of every key, in the order of the rows."""
    manifest = digest_all(request.cache, list_images(request.data))
    store = FeatureStore(request.cache)
    return {key.folder: store.get(key, manifest.digests) for key in list_feature_keys(open_base(request.base), request)}


def same(first: Stored, second: Stored) -> bool:
    return first.keys() == second.keys() and all(np.array_equal(first[name], second[name]) for name in first)


def test_a_view_is_what_the_network_makes_of_the_augmented_picture(request_: ExtractRequest) -> None:
    extract_features(request_)
    base, manifest = open_base(RANDOM), digest_all(request_.cache, list_images(request_.data))
    found = stored(request_)
    for row in (0, 20):
        path, digest = manifest.listing.paths[row], manifest.digests[row].tobytes()
        views = make_views(images.decode(Path(path).read_bytes()), base.id.transform, digest, range(8))
        for key in list_feature_keys(base, request_):
            pixels = torch.from_numpy(np.array(views[key.view]))[None]
            with torch.inference_mode():
                expected = base.forward(to_input(pixels, base.id.transform), {key.layer: ["avg"]})[key.layer, "avg"]
            assert np.allclose(found[key.folder][row], expected.numpy(), rtol=1e-4, atol=1e-6)


def test_the_views_of_an_image_come_from_one_decoding(request_: ExtractRequest) -> None:
    listing = list_images(request_.data)
    counted, read = count_reads(listing)
    prepared: list[bytes] = []

    def choose_views(digest: bytes) -> range:
        prepared.append(digest)  # asked once for each picture that was decoded
        return range(8)

    engine = LazyEngine("eager", make_plan(open_base(RANDOM), {"layer1": ["avg"]}, CPU, 8, 2), 36, Clock())
    batches = list(compute_features(engine, counted, range(36), lambda digest, row: True, choose_views))
    assert sum(len(batch.members) for batch in batches) == 8 * 36
    assert (len(read), len(prepared)) == (36, 36)


def test_further_views_leave_what_is_there_and_cost_only_themselves(request_: ExtractRequest) -> None:
    extract_features(replace(request_, views=1))
    before = {path: path.read_bytes() for path in request_.cache.rglob("part-*.h5")}
    assert {path.parent.name for path in before} == {"avg"}
    assert extract_features(request_).extracted == 36
    assert {path: path.read_bytes() for path in before} == before
    assert len(list(request_.cache.glob("*/layer1/avg/part-*.h5"))) == 2  # 36 rows in parts of 32
    assert extract_features(request_).cached == 36


def test_an_interrupted_run_and_another_order_give_bit_identical_views(
    request_: ExtractRequest, tmp_path: Path
) -> None:
    class Stop(Exception):
        pass

    def stop(done: int, total: int) -> None:
        if done == 24:
            raise Stop

    other = replace(request_, cache=tmp_path / "other")
    with pytest.raises(Stop):
        extract_features(other, stop)
    extract_features(replace(other, shard=(2, 3)))
    extract_features(other)
    extract_features(request_)
    assert same(stored(request_), stored(other))


def test_folds_never_split_an_images_views() -> None:
    y, groups = np.arange(30) % 3, np.arange(30) // 2 * 2
    folds = with_views(make_folds(y, groups, 1), 30, 4, 2)
    for learned, judged in folds:
        assert judged.shape == (len(judged), 2)
        assert len(learned) + 4 * len(judged) == 120
        assert not set(groups[learned % 30]) & set(groups[judged % 30].ravel())
    assert sorted(row for _, judged in folds for row in judged[:, 0]) == list(range(30))


@pytest.mark.parametrize("clf", ["logreg", "svm", "mlp"])
@pytest.mark.parametrize("test_views", [1, 3])
def test_classifiers_train_on_all_views_and_average_scores(request_: ExtractRequest, clf: str, test_views: int) -> None:
    extract_features(request_)
    asked = CompareRequest(request_.data, RANDOM, ("layer1+layer3",), (clf,), cache=request_.cache)
    asked = replace(asked, views=3, test_views=test_views)
    experiment = open_comparison(asked)
    (cut,) = experiment.layer_sets
    features = experiment.features(cut)
    assert features.array is not None
    assert features.array.shape == (3 * 36, 160)
    X = features.array.reshape(3, 36, 160)
    outcome = fit_classifier(asked)
    result = outcome.result
    assert (result.views, result.test_views, result.n_train, result.n_test) == (3, test_views, 27, 9)
    scores = np.stack([outcome.model.classifier.scores(X[view, experiment.dataset.test]) for view in range(test_views)])
    right = scores.mean(axis=0).argmax(axis=1) == experiment.dataset.y[experiment.dataset.test]
    assert right.mean() == pytest.approx(result.test_accuracy, abs=1e-6)
    assert result.test_accuracy > 0.8
    assert result.cv_accuracy > 0.8


def test_records_and_tables_tell_views_apart(request_: ExtractRequest, featx: Callable[..., Any]) -> None:
    extract_features(request_)
    asked = CompareRequest(request_.data, RANDOM, ("layer3",), ("logreg",), cache=request_.cache)
    variants = [replace(asked, views=views, test_views=tested) for views, tested in ((1, 1), (4, 1), (4, 4))]
    rows = [compare_layer_sets(one)[0] for one in variants]
    assert not any(row.recalled for row in rows)
    assert [compare_layer_sets(one)[0].test_views for one in variants] == [1, 1, 4]
    assert all(compare_layer_sets(one)[0].recalled for one in variants)
    assert rows[1].megabytes == pytest.approx(4 * rows[0].megabytes, rel=0.1)
    words = ("compare", request_.data, "--base", "tiny", "--clf", "logreg", "--cache", request_.cache)
    assert "4 (4 test)" in featx(*words, "--views", 4, "--test-views", 4).stdout


def test_views_that_are_not_cached_come_with_the_command_to_run(request_: ExtractRequest) -> None:
    extract_features(replace(request_, views=3))
    asked = CompareRequest(request_.data, RANDOM, ("layer3",), ("logreg",), cache=request_.cache, views=4)
    with raises_missing(r"not cached with 4 views. Run: .* --layer layer3 --views 4 "):
        compare_layer_sets(asked)


@pytest.mark.parametrize(("views", "tested"), [(1, 2), (0, 0), (3, 0)])
def test_impossible_numbers_of_views_are_an_error(request_: ExtractRequest, views: int, tested: int) -> None:
    with pytest.raises(RequestError, match="'test_views' (is 2, but 'views' is 1|must be an integer of at least 1)"):
        compare_layer_sets(CompareRequest(request_.data, RANDOM, cache=request_.cache, views=views, test_views=tested))
    with pytest.raises(RequestError, match="'views' must be an integer of at least 1, not 0"):
        extract_features(replace(request_, views=0))


def test_a_model_of_several_test_views_predicts_what_was_judged(request_: ExtractRequest, tmp_path: Path) -> None:
    extract_features(request_)
    asked = CompareRequest(request_.data, RANDOM, ("layer1",), ("svm",), cache=request_.cache, views=4, test_views=4)
    experiment = open_comparison(asked)
    outcome = fit_classifier(asked)
    outcome.model.save(tmp_path / "m.featx")
    found = {one.path: one for one in label_images(PredictRequest(tmp_path / "m.featx", [request_.data])).labelled}
    held, features = np.flatnonzero(experiment.dataset.test), experiment.features(experiment.layer_sets[0])
    X = features.take(features.rows(held, 4)).reshape(4, len(held), -1).swapaxes(0, 1)
    paths = np.array(experiment.dataset.manifest.listing.paths)[experiment.dataset.test]
    for path, shares in zip(paths, outcome.model.classifier.predict(X)[1], strict=True):
        assert list(found[path].probabilities.values()) == pytest.approx(shares, abs=2e-4)


def test_the_command_line_extracts_and_fits_with_views(featx: Callable[..., Any], photos: Path, cache: Path) -> None:
    base = ("--base", "tiny", "--weights", "random", "--cache", cache, "-q", "--json")
    featx("extract", photos, *base, "-l", "layer1", "--views", 2)
    found = json.loads(
        featx("fit", photos, *base, "-l", "layer1", "--clf", "logreg", "--views", 2, "--test-views", 2).stdout
    )
    assert (found["views"], found["test_views"]) == (2, 2)
