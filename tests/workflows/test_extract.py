from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from safetensors.torch import save_file

from featx.base_choice import BaseChoice
from featx.bases import registry
from featx.bases.architecture import Architecture
from featx.bases.architectures.tiny import tiny
from featx.bases.loading import open_base
from featx.bases.registry import resolve
from featx.data.digest_cache import digest_all
from featx.data.sources import list_images
from featx.errors import RequestError, UnknownName
from featx.requests import ExtractRequest
from featx.runners.local import list_feature_keys, run_here
from featx.runners.shard import Shard
from featx.runners.summary import ExtractSummary
from featx.store.part import Part
from featx.store.store import FeatureStore
from featx.store.writer import rows_per_part
from featx.workflows.extract import extract_features
from tests.conftest import picture
from tests.data.counted import count_reads

RANDOM = BaseChoice("tiny", "random")


@pytest.fixture
def request_(photos: Path, cache: Path) -> ExtractRequest:
    return ExtractRequest(str(photos), RANDOM, ("layer1", "layer3"), cache=cache, batch_size=8)


def counts(summary: ExtractSummary) -> tuple[int, int, int]:
    return summary.cached, summary.extracted, len(summary.failed)


def stored(request: ExtractRequest, layer: str = "layer3") -> NDArray[np.float32]:
    """Features of the data set as the store gives them, in the order of the rows."""
    (key,) = list_feature_keys(open_base(request.base), replace(request, layers=(layer,)))
    manifest = digest_all(request.cache, list_images(request.data))
    return FeatureStore(request.cache).get(key, manifest.digests)


def test_features_are_what_the_network_computes(request_: ExtractRequest) -> None:
    assert counts(extract_features(request_)) == (0, 36, 0)
    base = open_base(RANDOM)
    from featx.images.normalise import to_input
    from featx.images.transform import to_pixels

    for path, row in zip(list_images(request_.data).paths[::7], stored(request_)[::7], strict=True):
        with Image.open(path) as image:
            pixels = torch.from_numpy(np.array(to_pixels(image, base.id.transform)))[None]
        with torch.inference_mode():
            expected = base.forward(to_input(pixels, base.id.transform), {"layer3": ["avg"]})["layer3", "avg"][0]
        assert np.allclose(row, expected.numpy(), rtol=1e-4, atol=1e-6)


def test_a_second_run_computes_nothing(request_: ExtractRequest) -> None:
    extract_features(request_)
    assert counts(extract_features(request_)) == (36, 0, 0)


def test_ten_new_images_cost_ten_images(request_: ExtractRequest, photos: Path) -> None:
    extract_features(request_)
    for number in range(10):
        picture(900 + number, 0).save(photos / "red" / f"a new {number}.png")
    assert counts(extract_features(request_)) == (36, 10, 0)


def test_renaming_moving_and_relabelling_cost_nothing(request_: ExtractRequest, photos: Path) -> None:
    extract_features(request_)
    photos.rename(photos.with_name("renamed"))
    root = photos.with_name("renamed")
    (root / "red" / "00.png").rename(root / "green" / "moved.png")
    (root / "blue").rename(root / "azure")
    assert counts(extract_features(replace(request_, data=str(root)))) == (36, 0, 0)


def test_another_layer_costs_only_that_layer(request_: ExtractRequest) -> None:
    extract_features(request_)
    before = stored(request_)
    assert counts(extract_features(replace(request_, layers=("layer2", "layer3")))) == (0, 36, 0)
    assert np.array_equal(stored(request_), before)
    parts = list(request_.cache.glob("*/layer3/avg/part-*.h5"))
    assert len(parts) == 2  # 36 rows in parts of 32: nothing was written twice


@pytest.mark.parametrize("change", ["weights", "transform", "precision"])
def test_other_weights_transform_or_precision_share_nothing(
    request_: ExtractRequest, tmp_path: Path, change: str
) -> None:
    extract_features(request_)
    torch.manual_seed(9)
    save_file(tiny().state_dict(), tmp_path / "other.safetensors")
    choice = {
        "weights": replace(RANDOM, weights=str(tmp_path / "other.safetensors")),
        "transform": replace(RANDOM, resize=40),
        "precision": replace(RANDOM, precision="bfloat16"),
    }[change]
    # Torch computes in bfloat16 on any processor.
    assert counts(extract_features(replace(request_, base=choice, engine="torch"))) == (0, 36, 0)


def test_one_bad_image_never_costs_its_batch(request_: ExtractRequest, photos: Path) -> None:
    (photos / "red" / "05.png").write_bytes(b"no picture")
    (photos / "red" / "06.png").write_bytes(b"")
    summary = extract_features(request_)
    assert counts(summary) == (0, 34, 2)
    assert {(Path(f.path).name, f.reason) for f in summary.failed} == {
        ("05.png", "not an image, or of an unknown format"),
        ("06.png", "empty file"),
    }
    assert counts(extract_features(request_)) == (34, 0, 2)


def test_a_file_that_vanishes_is_named(request_: ExtractRequest, photos: Path) -> None:
    extract_features(request_)
    (photos / "red" / "gone.png").symlink_to(photos / "nowhere.png")
    assert [f.reason for f in extract_features(request_).failed] == ["No such file or directory"]


def test_equal_pictures_are_computed_once(request_: ExtractRequest, photos: Path) -> None:
    shutil.copy(photos / "red" / "00.png", photos / "red" / "copy.png")
    summary = extract_features(request_)
    assert (summary.images, summary.extracted, summary.duplicates) == (37, 36, 1)


def test_a_request_resolves_its_base_once(request_: ExtractRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    looked_up: list[str] = []
    look_up = registry.find_architecture

    def counting(name: str, weights: str | None) -> Architecture:
        looked_up.append(name)
        return look_up(name, weights)

    monkeypatch.setattr(registry, "find_architecture", counting)
    extract_features(request_)
    assert looked_up == ["tiny"]


def test_copies_of_a_broken_image_fail_for_its_reason(request_: ExtractRequest, photos: Path) -> None:
    (photos / "red" / "05.png").write_bytes(b"no picture")
    (photos / "red" / "copy.png").write_bytes(b"no picture")
    summary = extract_features(request_)
    assert (summary.images, summary.extracted, summary.duplicates) == (37, 35, 0)
    assert [file.reason for file in summary.failed] == ["not an image, or of an unknown format"] * 2


def test_a_file_that_changed_unnoticed_is_extracted_anew(
    request_: ExtractRequest, photos: Path, caplog: pytest.LogCaptureFixture
) -> None:
    extract_features(request_)
    changed = photos / "red" / "05.png"
    picture(4711, 0).save(changed)
    summary = extract_features(replace(request_, layers=("layer2",), rehash=True))
    assert counts(summary) == (0, 36, 0)
    assert counts(extract_features(request_)) == (35, 1, 0)


def test_parts_say_where_and_by_which_engine_they_were_computed(request_: ExtractRequest) -> None:
    extract_features(replace(request_, engine="eager"))
    for part in request_.cache.rglob("part-*.h5"):
        with Part.open(part) as opened:
            provenance = opened.header.provenance
        assert {"host", "torch"} <= set(provenance)
        assert (provenance["engine"], provenance["weights"]) == ("eager", "random")


def test_shards_are_disjoint_and_together_complete(request_: ExtractRequest) -> None:
    shares = [extract_features(replace(request_, shard=(i, 3))) for i in (1, 2, 3)]
    assert sum(share.extracted for share in shares) == 36
    assert all(share.images == share.extracted < 36 for share in shares)
    assert counts(extract_features(replace(request_, shard=(1, 3)))) == (shares[0].extracted, 0, 0)
    assert counts(extract_features(request_)) == (36, 0, 0)


def test_each_shard_reads_its_own_files_only(request_: ExtractRequest) -> None:
    listing = list_images(request_.data, request_.cache)
    counted, read = count_reads(listing)
    architecture = resolve(request_.base)
    for index in (1, 2, 3, 4):
        run_here(replace(request_, shard=(index, 4)), architecture, counted)
    assert sorted(read) == sorted(listing.paths)


def test_a_picture_of_two_names_in_two_shards_is_stored_as_one(request_: ExtractRequest, photos: Path) -> None:
    listing = list_images(request_.data)
    in_first = Shard(1, 2).select(listing)
    first, second = listing.paths[int(in_first.argmax())], listing.paths[int((~in_first).argmax())]
    Path(second).write_bytes(Path(first).read_bytes())
    shares = [extract_features(replace(request_, shard=(index, 2))) for index in (1, 2)]
    assert [share.extracted + share.cached + share.duplicates for share in shares] == [share.images for share in shares]
    assert counts(extract_features(request_)) == (36, 0, 0)
    digests = digest_all(request_.cache, list_images(request_.data)).digests
    assert len(np.unique(digests, axis=0)) == 35


def test_the_images_computed_beside_it_do_not_change_a_bit_of_a_feature(
    request_: ExtractRequest, photos: Path, tmp_path: Path
) -> None:
    extract_features(request_)
    few = replace(request_, cache=tmp_path / "other")
    for name in ("green", "blue", "red"):  # in another order, with short batches in between
        shutil.copytree(photos / name, tmp_path / "some" / name)
        extract_features(replace(few, data=str(tmp_path / "some")))
    assert np.array_equal(stored(request_), stored(few))


def test_an_interrupted_run_leaves_the_parts_of_an_undisturbed_one(request_: ExtractRequest, tmp_path: Path) -> None:
    class Stop(Exception):
        pass

    def stop(done: int, total: int) -> None:
        if done == 32:
            raise Stop

    with pytest.raises(Stop):
        extract_features(request_, stop)
    resumed = extract_features(request_)
    assert 0 < resumed.cached < 36
    whole = replace(request_, cache=tmp_path / "undisturbed")
    extract_features(whole)
    assert np.array_equal(stored(request_), stored(whole))


def test_progress_reaches_its_total(request_: ExtractRequest) -> None:
    seen: list[tuple[int, int]] = []
    extract_features(request_, lambda done, total: seen.append((done, total)))
    assert seen[-1] == (36, 36)


def test_unknown_names_are_errors_before_anything_is_written(request_: ExtractRequest) -> None:
    with pytest.raises(UnknownName, match="unknown base 'tinny'. Did you mean 'tiny'"):
        extract_features(replace(request_, base=BaseChoice("tinny")))
    with pytest.raises(UnknownName, match="unknown pooling 'avgg'. Did you mean 'avg'"):
        extract_features(replace(request_, poolings=("avgg",)))
    with pytest.raises(UnknownName, match="unknown layer of tiny 'layer9'"):
        extract_features(replace(request_, layers=("layer9",)))
    with pytest.raises(UnknownName, match="unknown device 'gpu'"):
        extract_features(replace(request_, device="gpu"))
    with pytest.raises(RequestError, match="'layers' must be a list of strings"):
        extract_features(replace(request_, layers=()))
    assert not request_.cache.exists()


def test_a_crop_larger_than_the_image_is_refused(request_: ExtractRequest) -> None:
    with pytest.raises(RequestError, match="--crop 64 does not fit into --resize 32"):
        extract_features(replace(request_, base=replace(RANDOM, crop=64, resize=32)))


def test_parts_grow_with_the_data_set() -> None:
    assert [rows_per_part(n) for n in (0, 10, 398, 1360, 20_000, 10**7)] == [32, 32, 32, 64, 1024, 1024]


@pytest.mark.gpu
@pytest.mark.parametrize("engine", ["torch", "compile"])
def test_a_gpu_stores_what_the_cpu_stores_and_a_second_run_computes_nothing(
    request_: ExtractRequest, tmp_path: Path, engine: str
) -> None:
    on_cpu = replace(request_, device="cpu", cache=tmp_path / "cpu")
    on_gpu = replace(request_, device="cuda", engine=engine)
    assert counts(extract_features(on_cpu)) == (0, 36, 0)
    summary = extract_features(on_gpu)
    assert counts(summary) == (0, 36, 0)
    assert (summary.device, summary.engine) == ("cuda", engine)
    expected = stored(on_cpu)
    assert np.abs(stored(on_gpu) - expected).max() < 1e-3 * np.abs(expected).max()
    assert counts(extract_features(on_gpu)) == (36, 0, 0)
