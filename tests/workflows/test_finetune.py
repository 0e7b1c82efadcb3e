"""Fine-tuning from end to end, on the bundled base and small pictures."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from featx.api.features import load_features
from featx.base_choice import BaseChoice
from featx.bases.loading import open_base
from featx.bases.weights import digest_file, read_weights
from featx.errors import DataError, FeatxError, MissingFeatures, RequestError, UnknownName, WeightsError
from featx.evaluation.result import TUNED, best
from featx.finetuning.checkpoint import Checkpoint
from featx.finetuning.plan import plan
from featx.finetuning.schedule import TrainingState
from featx.models.model import load_model
from featx.requests import CompareRequest, ExtractRequest, FinetuneRequest, PredictRequest
from featx.workflows.compare import compare_layer_sets
from featx.workflows.extract import extract_features
from featx.workflows.finetune import FinetuneReport, extractions, finetune_base
from featx.workflows.fit import fit_classifier
from featx.workflows.predict import label_images
from tests.conftest import picture, raises_missing

pytestmark = pytest.mark.slow

RANDOM = BaseChoice("tiny", "random")


@pytest.fixture
def request_(photos: Path, cache: Path, tmp_path: Path) -> FinetuneRequest:
    request = FinetuneRequest(str(photos), RANDOM, "layer4", tmp_path / "m.featx", cache=cache, views=2, hidden=16)
    return replace(
        request, head="mlp", epochs=3, epochs_head=3, batch_size=8, workers=1, lr=1e-3, patience=9, keep="best"
    )


def run(request: FinetuneRequest, report: Any = None) -> FinetuneReport:
    """Extract what is missing and fine-tune, as the command does."""
    for extraction in extractions(request, plan(request)):
        extract_features(extraction)
    return finetune_base(request, report)


def tensors(weights: str | Path) -> dict[str, Tensor]:
    if str(weights) == "random":
        network = open_base(RANDOM).network
        assert network is not None
        return dict(network.state_dict())
    return read_weights(Path(weights))


def changed(request: FinetuneRequest) -> set[str]:
    """Names of the tensors that fine-tuning changed."""
    before, after = tensors("random"), tensors(request.out)
    assert {name for name in before if not name.endswith("num_batches_tracked")} == set(after)
    return {name for name in after if not torch.equal(before[name], after[name])}


@pytest.mark.parametrize("from_cache", [False, True])
def test_only_the_stages_from_the_cut_on_change_and_no_statistics(request_: FinetuneRequest, from_cache: bool) -> None:
    run(replace(request_, start="layer3", from_cache=from_cache))
    names = changed(request_)
    assert {name.split(".")[0] for name in names} == {"layer3", "layer4"}
    assert not [name for name in names if "running" in name]
    network = open_base(RANDOM).network
    assert network is not None
    assert names == {name for name, _ in network.named_parameters() if name.startswith(("layer3", "layer4"))}


def test_statistics_change_when_asked_in_the_unfrozen_stages_only(request_: FinetuneRequest) -> None:
    run(replace(request_, thaw_batchnorm=True))
    statistics = {name for name in changed(request_) if "running" in name}
    assert statistics
    assert {name.split(".")[0] for name in statistics} == {"layer4"}


def test_both_phases_are_evaluated_on_the_same_test_images_and_stand_beside_compares_rows(
    request_: FinetuneRequest,
) -> None:
    tuned = run(request_)
    asked = CompareRequest(request_.data, RANDOM, cache=request_.cache)
    rows = {row.clf: row for row in compare_layer_sets(asked)}
    assert set(rows) == {"logreg", "svm", "mlp", "head", "finetuned"}
    assert rows["head"].test_accuracy == tuned.to_dict()["head_accuracy"]
    assert rows["finetuned"].test_accuracy == tuned.finetuned.result.test_accuracy
    assert {row.n_test for row in rows.values()} == {9}
    assert (rows["head"].layer, rows["finetuned"].layer) == ("layer4", "layer4")
    assert all(row.p_value is not None for row in rows.values())
    assert {row.clf for row in compare_layer_sets(replace(asked, classifiers=("svm", "finetuned")))} == {
        "svm",
        "finetuned",
    }
    assert [row.clf for row in compare_layer_sets(replace(asked, classifiers=("svm",)))] == ["svm"]


def test_the_latest_of_several_runs_is_shown_and_cross_validated_rows_keep_the_star(request_: FinetuneRequest) -> None:
    for rate in (1e-3, 2e-3, 1e-3):
        run(replace(request_, lr=rate, epochs=1))
        rows = compare_layer_sets(CompareRequest(request_.data, RANDOM, cache=request_.cache))
        assert [row.params["lr"] for row in rows if row.clf == "finetuned"] == [rate]
        flattered = [replace(row, cv_accuracy=1.0) if row.clf == "finetuned" else row for row in rows]
        assert best([replace(row, cv_accuracy=0.5) if row.clf == "svm" else row for row in flattered]).clf in (
            "logreg",
            "mlp",
        )
        assert best([row for row in flattered if row.clf in TUNED]).clf == "finetuned"


def test_classes_of_three_images_train_validate_and_are_held_out(request_: FinetuneRequest, photos: Path) -> None:
    for folder in photos.iterdir():
        for path in sorted(folder.iterdir())[3:]:
            path.unlink()
    result = run(replace(request_, epochs=1)).head.result
    assert (result.n_train, result.n_test) == (6, 3)


def test_rows_of_other_images_are_not_shown(request_: FinetuneRequest, photos: Path) -> None:
    run(request_)
    picture(77, 0).save(photos / "red" / "new.png")
    extract_features(ExtractRequest(request_.data, RANDOM, ("layer4",), cache=request_.cache))
    asked = CompareRequest(request_.data, RANDOM, classifiers=("finetuned",), cache=request_.cache)
    with pytest.raises(MissingFeatures, match="there is no fine-tuned result for this base"):
        compare_layer_sets(asked)


@pytest.mark.parametrize("head", ["mlp", "linear"])
@pytest.mark.parametrize("classes", [2, 3])
def test_the_model_predicts_what_was_evaluated(
    request_: FinetuneRequest, photos: Path, head: str, classes: int
) -> None:
    for name in ("red", "green", "blue")[classes:]:
        for path in (photos / name).iterdir():
            path.unlink()
        (photos / name).rmdir()
    tuned = run(replace(request_, head=head, test_views=2))
    labelled = label_images(PredictRequest(request_.out, [request_.data])).labelled
    predicted = {image.path: image for image in labelled}
    assert len(predicted) == 12 * classes
    for mistake in tuned.finetuned.mistakes:
        assert predicted[mistake.path].label == mistake.predicted
        assert predicted[mistake.path].probability == pytest.approx(mistake.probability, abs=1e-3)
    loaded = load_model(request_.out)
    assert (loaded.views, loaded.weights, len(loaded.classes_)) == (2, "m.featx", classes)


def test_a_model_that_moved_is_a_base_of_its_own_key(request_: FinetuneRequest, tmp_path: Path) -> None:
    run(request_)
    (tmp_path / "elsewhere").mkdir()
    moved = request_.out.rename(tmp_path / "elsewhere" / "moved.featx")
    choice = BaseChoice("tiny", str(moved))
    assert digest_file(moved) == open_base(choice).id.weights == load_model(moved).keys[0].base.weights
    assert extract_features(ExtractRequest(request_.data, choice, ("layer4",), cache=request_.cache)).extracted == 36
    asked = CompareRequest(request_.data, choice, ("layer4",), ("logreg",), cache=request_.cache)
    outcome = fit_classifier(asked)
    outcome.model.save(tmp_path / "second.featx")
    second = PredictRequest(tmp_path / "second.featx", [request_.data], weights=str(moved))
    assert len(label_images(second).labelled) == 36
    assert len(label_images(PredictRequest(moved, [request_.data])).labelled) == 36
    with pytest.raises(WeightsError, match="a model without the tensors of its base"):
        open_base(BaseChoice("tiny", str(tmp_path / "second.featx")))


def test_a_model_holds_no_pickle_and_the_same_request_writes_the_same_file(request_: FinetuneRequest) -> None:
    run(request_)
    first = request_.out.read_bytes()
    assert b"pickle" not in first
    run(request_)
    assert request_.out.read_bytes() == first
    assert not list(request_.out.parent.glob("*.checkpoint"))


class Stop(Exception):
    pass


@pytest.mark.parametrize(
    ("from_cache", "whole", "batch"),
    [(False, False, 5), (True, False, 5), (True, True, 5), (True, True, 15)],  # 15: the second epoch on all rows
)
def test_an_interrupted_run_ends_with_the_same_model(
    request_: FinetuneRequest, from_cache: bool, whole: bool, batch: int
) -> None:
    request = replace(request_, from_cache=from_cache, start="layer3", whole=whole, lr=1e-4)
    assert run(request).progress.best_epoch >= 2
    expected = request.out.read_bytes()
    request.out.unlink()
    batches: list[tuple[int, int]] = []

    def stop(epoch: int, number: int) -> None:
        batches.append((epoch, number))
        if len(batches) == batch:  # 23 images in batches of 8: in the middle of an epoch
            raise Stop

    with pytest.raises(Stop):
        finetune_base(request, after_batch=stop)
    assert request.out.with_name("m.featx.checkpoint").is_file()
    seen: list[int] = []
    run(request, lambda phase, progress, loss, accuracy: phase == "head" or seen.append(progress.epoch))
    assert seen == ([2, 3] if batch == 5 else [])
    assert request.out.read_bytes() == expected


def test_training_again_on_all_rows_keeps_what_was_validated_and_changes_the_weights(request_: FinetuneRequest) -> None:
    cut = run(request_)
    first = tensors(request_.out)
    whole = run(replace(request_, whole=True))
    assert whole.progress.best_epoch == cut.progress.best_epoch > 0
    assert whole.finetuned.result.cv_accuracy == cut.finetuned.result.cv_accuracy
    second = tensors(request_.out)
    assert {name.split(".")[0] for name in first if not torch.equal(first[name], second[name])} == {"layer4"}
    assert len(label_images(PredictRequest(request_.out, [request_.data])).labelled) == 36


def test_the_head_alone_is_a_model_of_the_frozen_base(request_: FinetuneRequest, tmp_path: Path) -> None:
    tuned = run(request_)
    tuned.head.model.save(tmp_path / "head.featx")
    labelled = label_images(PredictRequest(tmp_path / "head.featx", [request_.data])).labelled
    predicted = {image.path: image.label for image in labelled}
    assert all(predicted[mistake.path] == mistake.predicted for mistake in tuned.head.mistakes)
    assert (tmp_path / "head.featx").stat().st_size < request_.out.stat().st_size / 10


@pytest.mark.slow
def test_a_killed_process_resumes_to_the_same_model(request_: FinetuneRequest, tmp_path: Path) -> None:
    words = [request_.data, "--base", "tiny", "--weights", "random", "--from", "layer3", "--cache", request_.cache]
    words += ["--views", 2, "--epochs", 6, "--head", "mlp", "--keep", "best", "--epochs-head", 3, "--batch-size", 4]
    words += ["--device", "cpu", "--patience", 9]
    command = [sys.executable, "-c", "from featx.cli.main import run; run()", "finetune", *map(str, words)]
    subprocess.run([*command, "--out", tmp_path / "whole.featx", "-q"], check=True)
    out = tmp_path / "killed.featx"
    killed = subprocess.Popen([*command, "--out", out, "-q"])
    while not out.with_name("killed.featx.checkpoint").exists():
        assert killed.poll() is None
        time.sleep(0.02)
    os.kill(killed.pid, signal.SIGKILL)
    killed.wait()
    assert not out.exists()
    subprocess.run([*command, "--out", out, "-q"], check=True)
    first, second = tensors(tmp_path / "whole.featx"), tensors(out)
    assert all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize("damage", [b"", b"PK", b"other"])
def test_a_checkpoint_that_is_damaged_or_of_another_request_is_not_used(
    request_: FinetuneRequest, damage: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    checkpoint = request_.out.with_name("m.featx.checkpoint")
    if damage == b"other":
        Checkpoint(checkpoint, "other").write({})
    else:
        checkpoint.write_bytes(damage)
    assert run(request_).progress.epoch == 3
    assert "training starts anew" in caplog.text


def test_a_rate_that_is_far_too_high_exits_with_1_and_a_model(
    request_: FinetuneRequest, featx: Callable[..., Any], cache: Path
) -> None:
    words = (request_.data, "--base", "tiny", "--weights", "random", "--from", "layer4", "--cache", cache, "--views", 1)
    result = featx("finetune", *words, "--out", request_.out, "--lr", 1e30, "--epochs", 3, "--epochs-head", 1, "--json")
    assert result.exit_code == 1
    printed = json.loads(result.stdout)
    where = r"the loss became (NaN|infinite) in epoch 1, (batch \d|on the validation part)"
    message = where + ": the weights of epoch 0 are kept; try a lower --lr"
    assert re.fullmatch(message, printed["stopped"])
    assert f"error: {printed['stopped']}" in result.stderr
    assert printed["best_epoch"] == printed["epochs"] == 0
    before, after = tensors("random"), tensors(request_.out)
    assert all(torch.equal(before[name], after[name]) for name in after)


def test_images_that_break_on_the_way_are_skipped_and_counted(request_: FinetuneRequest, photos: Path) -> None:
    whole = run(replace(request_, out=request_.out.with_name("whole.featx")))
    table = compare_layer_sets(CompareRequest(request_.data, RANDOM, classifiers=("finetuned",), cache=request_.cache))
    assert table[0].n_test == 9
    broken: list[Path] = []

    def spoil(phase: str, progress: TrainingState, loss: float, accuracy: float) -> None:
        if phase == "finetuned" and progress.epoch == 2:
            for path in sorted(photos.rglob("*.png"))[::5]:
                path.write_bytes(b"broken")
                broken.append(path)

    tuned = finetune_base(request_, spoil)
    assert 0 < len(tuned.skipped) <= len(broken)
    assert set(tuned.skipped) <= set(map(str, broken))
    assert set(tuned.skipped.values()) == {"not an image, or of an unknown format"}
    assert tuned.progress.epoch == 3
    held = tuned.finetuned.result.n_test
    assert held < whole.finetuned.result.n_test == 9
    assert tuned.head.result.n_test == 9
    assert request_.out.is_file()


def test_the_command_prints_both_reports_and_gives_the_fields_that_scripts_rely_on(
    request_: FinetuneRequest, featx: Callable[..., Any], cache: Path
) -> None:
    words = (request_.data, "--base", "tiny", "--weights", "random", "--from", "1", "--cache", cache, "--views", 1)
    words += ("--out", request_.out, "--epochs", 1, "--epochs-head", 1)  # type: ignore[assignment]
    text = featx("finetune", *words).stdout
    assert text.index("Frozen base: head on tiny layer4") < text.index("Fine-tuned: finetuned on tiny layer4")
    assert text.count("precision") == 2
    printed = json.loads(featx("finetune", *words, "--json").stdout)
    fields = {"base", "layer", "pooling", "clf", "dim", "n_train", "n_test", "cv_accuracy", "test_accuracy"}
    fields |= {"ci_low", "ci_high", "macro_f1", "fit_seconds", "head_accuracy", "epochs"}
    fields |= {"head", "epochs_head", "best_epoch", "doubted_epoch", "epoch_seconds", "skipped", "stopped", "model"}
    assert fields <= set(printed)
    assert (printed["clf"], printed["epochs"], printed["head"]["clf"]) == ("finetuned", 1, "head")


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"start": "9"}, RequestError, "asks for 9 stages, but tiny has 5 below its head: give a number from 1 to 5"),
        ({"start": "0"}, RequestError, "asks for 0 stages"),
        ({"start": "layr4"}, UnknownName, "unknown layer of tiny 'layr4'. Did you mean 'layer4'"),
        ({"start": "fc"}, RequestError, "part of the head of tiny, which is replaced: 'layer4' is the last"),
        ({"start": "stem", "from_cache": True}, RequestError, "nothing before it could be cached"),
        ({"head": "mpl"}, UnknownName, "unknown head 'mpl'. Did you mean 'mlp'"),
        ({"augment": "lite"}, UnknownName, "Did you mean 'light'"),
        ({"out": Path("m.pt")}, RequestError, "must end in .featx"),
        ({"out": Path("m.pt"), "base": replace(RANDOM, precision="bfloat16")}, RequestError, ".featx.*; .*in float32"),
        ({"views": 0, "hidden": 0}, RequestError, "'hidden' must be an integer of at least 1, not 0; 'views' must be"),
    ],
)
def test_bad_requests_are_one_clear_error(
    request_: FinetuneRequest, change: dict[str, Any], error: type[FeatxError], message: str
) -> None:
    with pytest.raises(error, match=message):
        finetune_base(replace(request_, **change))


def test_a_class_missing_from_the_training_part_is_an_error(
    request_: FinetuneRequest, photos: Path, tmp_path: Path
) -> None:
    paths = sorted(photos.rglob("*.png"))
    parts = ["test" if path.parent.name == "blue" or "0" in path.stem else "train" for path in paths]
    lines = [f"{path},{path.parent.name},{part}" for path, part in zip(paths, parts, strict=True)]
    (tmp_path / "rows.csv").write_text("\n".join(["path,label,split", *lines]))
    with pytest.raises(DataError, match="at least one image of every class: 'blue' has 12 images, all of them"):
        run(replace(request_, data=str(tmp_path / "rows.csv")))


def test_features_that_are_not_cached_come_with_the_command_to_run(request_: FinetuneRequest) -> None:
    with raises_missing(r"Run: featx extract .* --layer layer4 --views 2 "):
        finetune_base(request_)
    with raises_missing(r"--layer layer4 --layer layer2 --pooling avg --pooling flat --views 2 "):
        finetune_base(replace(request_, start="layer3", from_cache=True))


def test_cached_activations_give_what_the_images_give(request_: FinetuneRequest) -> None:
    plain = replace(request_, views=1, augment="none", start="layer3", epochs=2)
    first = run(plain)
    second = run(replace(plain, from_cache=True, out=request_.out.with_name("cached.featx")))
    assert first.progress.best_loss == pytest.approx(second.progress.best_loss, rel=1e-3)
    on_images = tensors(plain.out)
    on_activations = tensors(request_.out.with_name("cached.featx"))
    for name, tensor in on_images.items():
        assert np.allclose(tensor, on_activations[name], atol=2e-3)


@pytest.mark.gpu
def test_what_a_gpu_fine_tuned_computes_and_predicts_the_same_on_the_cpu(
    request_: FinetuneRequest, photos: Path, tmp_path: Path
) -> None:
    request = replace(request_, device="cuda", start="layer3", epochs=2)
    assert run(request).progress.epoch == 2
    assert {name.split(".")[0] for name in changed(request)} == {"layer3", "layer4"}
    tuned = BaseChoice("tiny", str(request.out))
    features = {}
    for device in ("cpu", "cuda"):
        extraction = ExtractRequest(str(photos), tuned, ("layer4",), device=device, cache=tmp_path / device)
        assert extract_features(extraction).extracted == 36
        features[device] = load_features(photos, base=tuned, layer="layer4", cache=tmp_path / device, scaled=False).X
    assert np.abs(features["cuda"] - features["cpu"]).max() < 1e-3 * np.abs(features["cpu"]).max()
