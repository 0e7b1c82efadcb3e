"""Photos decoded at a part of their size, from files to predictions: keys of their own, and nothing else is new."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import featx
from featx import BaseChoice
from featx.errors import FeatxError, MissingFeatures
from featx.models.model import load_model
from featx.store.store import FeatureStore
from featx.workflows.auto import state_base
from featx.workflows.experiment_file import load_pipeline
from tests.conftest import picture

pytestmark = pytest.mark.slow

LAYERS = ("layer3", "layer4")
WAYS = ("exact", "scaled")
EACH = 10


@pytest.fixture
def large(tmp_path: Path) -> Path:
    """JPEG files for `tiny`, which resizes to 32 pixels: half of them can be decoded at a quarter of their size."""
    root = tmp_path / "large"
    for hue, name in enumerate(("red", "green")):
        (root / name).mkdir(parents=True)
        for number in range(EACH):
            size = (400, 300) if number % 2 else (100, 90)
            # Classes that look alike: no probability is rounded to 1.
            picture(100 * hue + number, 0, size).save(root / name / f"{number}.jpg", quality=90)
    return root


@pytest.fixture
def options(cache: Path) -> dict[str, Any]:
    return {"base": "tiny", "weights": "random", "cache": cache}


def load(data: Path, options: dict[str, Any], **more: Any) -> Any:
    return featx.load_features(data, layer="layer4", **options, **more)


def test_features_of_both_ways_stand_side_by_side_and_are_found_by_their_way(
    large: Path, options: dict[str, Any]
) -> None:
    for decode in WAYS:
        summary = featx.extract(large, layers=LAYERS, decode=decode, **options)
        assert summary.extracted == 2 * EACH
    exact, scaled = (load(large, options, decode=decode, scaled=False).X for decode in WAYS)
    is_same = (exact == scaled).all(axis=1)
    # The even numbers are the small ones.
    is_small = np.array([int(Path(path).stem) % 2 == 0 for path in load(large, options).paths])
    assert np.array_equal(is_same, is_small)
    apart = np.linalg.norm(exact - scaled, axis=1) / np.linalg.norm(exact, axis=1)
    assert apart.max() < 0.1
    assert np.array_equal(load(large, options, scaled=False).X, exact), "exact ones where both are"
    for decode in WAYS:
        rows = featx.compare(large, clf=["logreg"], decode=decode, **options).rows
        assert {row.layer for row in rows} == set(LAYERS)


def test_only_what_is_cached_so_is_found_and_said_where_it_was_not_asked_for(
    large: Path, options: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    featx.extract(large, layers=LAYERS, decode="scaled", **options)
    with pytest.raises(MissingFeatures, match="holds no features of tiny"):
        featx.compare(large, clf="logreg", decode="exact", **options)
    assert "--decode" not in caplog.text
    featx.compare(large, clf="logreg", **options)
    assert "no --decode is given: features with --decode scaled are taken" in caplog.text


def test_what_is_missing_is_asked_for_in_the_same_way(large: Path, options: dict[str, Any]) -> None:
    featx.extract(large, layers="layer4", decode="scaled", **options)
    picture(999, 0, (400, 300)).save(large / "red" / "new.jpg")
    with pytest.raises(MissingFeatures) as caught:
        featx.compare(large, clf="logreg", **options)
    flags = caught.value.request.base.flags()
    assert flags[-2:] == ["--decode", "scaled"]


def test_a_model_decodes_as_it_was_trained(large: Path, options: dict[str, Any], tmp_path: Path) -> None:
    reports = {}
    for decode in WAYS:
        featx.extract(large, layers="layer4", decode=decode, **options)
        reports[decode] = featx.fit(large, layer="layer4", clf="logreg", decode=decode, **options)
        reports[decode].model.save(tmp_path / f"{decode}.featx")
    assert b'"decode"' not in (tmp_path / "exact.featx").read_bytes()
    model = load_model(tmp_path / "scaled.featx")
    assert model.keys == reports["scaled"].model.keys
    assert model.keys[0].base.transform.decode == "scaled"
    photos = sorted(map(str, (large / "red").iterdir()))
    of_way = {}
    for decode in WAYS:
        labelled = featx.predict(tmp_path / f"{decode}.featx", photos, weights="random").labelled
        of_way[decode] = np.array([image.probability for image in labelled])
        scores = featx.score(tmp_path / f"{decode}.featx", large, weights="random")
        assert scores.result.test_accuracy == reports[decode].result.test_accuracy
    assert not np.array_equal(of_way["exact"], of_way["scaled"])
    assert np.abs(of_way["exact"] - of_way["scaled"]).max() < 0.1


def test_the_extractor_and_the_base_choice_take_it(large: Path, options: dict[str, Any]) -> None:
    photos = sorted(map(str, large.rglob("*.jpg")))
    given = {"layer": "layer4", "scaled": False, **options}
    as_keyword = featx.FeatureExtractor(decode="scaled", **given).fit_transform(photos)
    choice = BaseChoice("tiny", "random", decode="scaled")
    as_choice = featx.FeatureExtractor(**{**given, "base": choice}).fit_transform(photos)
    assert np.array_equal(as_keyword, as_choice)
    assert not np.array_equal(as_keyword, featx.FeatureExtractor(**given).fit_transform(photos))


def test_ways_that_do_not_exist_are_refused_wherever_they_are_given(large: Path, featx: Any, tmp_path: Path) -> None:
    for command in ("extract", "compare", "fit", "advise", "auto"):
        result = featx(command, large, "--base", "tiny", "--decode", "half")
        assert result.exit_code == 2
        assert "'half' is not one of 'exact', 'scaled'" in result.output
    with pytest.raises(FeatxError, match="unknown decode 'half'"):
        BaseChoice("tiny", decode="half")  # type: ignore[arg-type]
    text = 'data = "digits"\nbase = "tiny"\nlayers = ["layer3"]\ndecode = '
    (tmp_path / "x.toml").write_text(text + '"half"')
    with pytest.raises(FeatxError, match="unknown decode 'half'"):
        load_pipeline(str(tmp_path / "x.toml"), tmp_path)
    (tmp_path / "x.toml").write_text(text + '"scaled"')
    pipeline = load_pipeline(str(tmp_path / "x.toml"), tmp_path)
    assert pipeline.extract.base.decode == pipeline.compare.base.decode == "scaled"


def test_commands_take_it_and_print_it(large: Path, cache: Path, featx: Any, tmp_path: Path) -> None:
    base = ("--base", "tiny", "--weights", "random", "--cache", cache, "--decode", "scaled")
    assert featx("extract", large, *base, "--layer", "layer4").exit_code == 0
    fitted = featx("fit", large, *base, "--layer", "layer4", "--clf", "logreg", "--out", tmp_path / "m.featx")
    assert fitted.exit_code == 0
    assert "32 of 32 px, scaled" in featx("cache", "ls", "--cache", cache).output
    missing = featx("compare", large, *base, "--layer", "layer2")
    assert missing.exit_code == 1
    assert "--decode scaled" in missing.error
    tuned = tmp_path / "tuned.featx"
    quick = ("--epochs", 1, "--views", 1, "--augment", "none")
    finetuned = featx("finetune", large, *base, "--from", "layer4", "--out", tuned, *quick)
    assert finetuned.exit_code == 0, finetuned.output
    assert load_model(tuned).keys[0].base.transform.decode == "scaled"


def test_a_search_that_says_nothing_of_it_is_the_one_of_before() -> None:
    assert "decode" not in state_base(BaseChoice("tiny"))
    assert state_base(BaseChoice("tiny", decode="scaled"))["decode"] == "scaled"
    assert BaseChoice("tiny").flags() == ["--base", "tiny"]


def make_photos(root: Path, count: int) -> Path:
    for number in range(count):
        folder = root / str(number % 2)
        folder.mkdir(parents=True, exist_ok=True)
        noise = np.random.default_rng(number).integers(0, 256, (40, 60, 3), dtype=np.uint8)
        Image.fromarray(noise).resize((2000, 1500)).save(folder / f"{number}.jpg")
    return root


def test_scaling_is_proposed_once_where_large_photos_take_the_time(
    tmp_path: Path, cache: Path, featx: Any, caplog: pytest.LogCaptureFixture
) -> None:
    photos = make_photos(tmp_path / "large", 20)
    base = ("--base", "tiny", "--weights", "random", "--layer", "layer1", "--engine", "torch")
    caplog.set_level(logging.INFO, "featx")
    exact = featx("extract", photos, *base, "--cache", cache, "-v")
    (line,) = [line for line in exact.stderr.splitlines() if "--decode scaled" in line]
    assert line.startswith("note: decoding is the bottleneck: ")
    assert "20 of 20 images are large JPEG files" in line
    assert "decoding is the bottleneck" in caplog.text
    quiet = featx("extract", photos, *base, "--cache", tmp_path / "quiet", "-q")
    assert "--decode" not in quiet.output
    scaled = featx("extract", photos, *base, "--cache", cache, "--decode", "scaled", "--json", "-q")
    assert json.loads(scaled.stdout)["large_jpegs"] == 0
    assert "--decode" not in featx("extract", photos, *base, "--cache", cache).output, "nothing was extracted"
    assert len(list(FeatureStore(cache).bases())) == 2
