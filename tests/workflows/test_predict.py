"""New images labelled by a model file."""

from __future__ import annotations

import csv
import json
import re
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
from click.testing import CliRunner
from PIL import Image

from featx.base_choice import BaseChoice
from featx.bases import registry
from featx.bases.architecture import Architecture
from featx.bases.loading import open_base
from featx.bases.weights import as_arrays
from featx.cli.main import main
from featx.errors import DataError, FeatxError, ModelError, UnknownName, WeightsError
from featx.evaluation.fit_report import FitReport
from featx.features.dataset import load_dataset
from featx.models.model import load_model
from featx.requests import CompareRequest, ExtractRequest, PredictRequest
from featx.workflows.extract import extract_features
from featx.workflows.fit import fit_classifier
from featx.workflows.predict import label_images
from tests.conftest import picture
from tests.data.sources.archives.making import write_tar, write_zip
from tests.hostile.model_files import put_together, take_apart

pytestmark = pytest.mark.slow

RANDOM = BaseChoice("tiny", "random")
Featx = Callable[..., Any]


def make(photos: Path, cache: Path, layer: str, clf: str, dtype: str = "float32") -> tuple[CompareRequest, FitReport]:
    extract_features(ExtractRequest(str(photos), RANDOM, layer.split("+"), cache=cache, store_dtype=dtype))
    request = CompareRequest(str(photos), RANDOM, (layer,), (clf,), cache=cache)
    return request, fit_classifier(request)


@pytest.fixture
def model(photos: Path, cache: Path, tmp_path: Path) -> Path:
    make(photos, cache, "layer3", "svm")[1].model.save(tmp_path / "m.featx")
    return tmp_path / "m.featx"


@pytest.mark.parametrize("clf", ["logreg", "svm", "mlp"])
@pytest.mark.parametrize(("layer", "dtype"), [("layer3", "float32"), ("layer1+layer3", "float16")])
def test_the_held_out_images_get_the_accuracy_of_the_table(
    photos: Path, cache: Path, tmp_path: Path, clf: str, layer: str, dtype: str
) -> None:
    for number in range(9):  # pictures of no class, so that there are mistakes
        picture(500 + number, 0).convert("L").save(photos / ("red", "green", "blue")[number % 3] / f"grey{number}.png")
    request, outcome = make(photos, cache, layer, clf, dtype)
    outcome.model.save(tmp_path / "m.featx")
    from featx.store.store import FeatureStore

    rows = load_dataset(request, FeatureStore(cache), outcome.model.keys)
    listing = rows.manifest.listing
    held = [(path, label) for path, label, test in zip(listing.paths, listing.labels, rows.test, strict=True) if test]
    predictions = label_images(PredictRequest(tmp_path / "m.featx", [path for path, _ in held]))
    right = [image.label == label for image, (_, label) in zip(predictions.labelled, held, strict=True)]
    assert sum(right) / len(right) == pytest.approx(outcome.result.test_accuracy, abs=1e-6)
    wrong = {image.path: (image.label, pytest.approx(image.probability, abs=1e-5)) for image in predictions.labelled}
    assert {image.path: (image.predicted, image.probability) for image in outcome.mistakes} == {
        image.path: wrong[image.path] for image in outcome.mistakes
    }


def test_a_fresh_process_in_another_folder_predicts_the_same(model: Path, photos: Path, tmp_path: Path) -> None:
    here = [image.to_dict() for image in label_images(PredictRequest(model, [str(photos)])).labelled]
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    shutil.move(model, elsewhere / "moved.featx")
    words = ["-c", "from featx.cli.main import run; run()", "predict", "moved.featx", str(photos), "--json", "-q"]
    done = subprocess.run([sys.executable, *words], cwd=elsewhere, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == here
    assert [path.name for path in elsewhere.iterdir()] == ["moved.featx"]


def test_a_prediction_needs_no_scikit_learn_which_would_take_as_long_as_the_rest(model: Path, photos: Path) -> None:
    words = ["predict", str(model), str(photos), "-q"]
    script = (
        "import sys\nfrom featx.cli.main import run\n"
        f"try:\n    run({words!r})\nexcept SystemExit as end:\n    assert not end.code\n"
        "assert not {'sklearn', 'scipy', 'torch._dynamo', 'pandas'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "probability" in done.stdout


def test_probabilities_sum_to_one_and_the_label_is_the_greatest(model: Path, photos: Path) -> None:
    for image in label_images(PredictRequest(model, [str(photos)])).labelled:
        assert sum(image.probabilities.values()) == pytest.approx(1, abs=1e-5)
        assert image.probability == image.probabilities[image.label] == max(image.probabilities.values())


def test_weights_of_any_suffix_and_wrapping_are_found_again_by_fit_and_predict(
    photos: Path, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    from featx.bases.architectures.tiny import tiny

    torch.manual_seed(5)
    state = tiny().state_dict()
    pair = {f"module.encoder_{side}.{name}": tensor for side in "qk" for name, tensor in state.items()}
    torch.save({"state_dict": {**pair, "module.queue": torch.zeros(3)}}, tmp_path / "moco.v2")
    torch.save(state, tmp_path / "plain.bin")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    extract_features(ExtractRequest(str(photos), BaseChoice("tiny", "moco.v2"), ("layer3",), cache=cache))
    for weights in ("moco.v2", "~/moco.v2", "plain.bin"):
        choice = BaseChoice("tiny", weights)
        fitted = fit_classifier(CompareRequest(str(photos), choice, ("layer3",), ("logreg",), cache=cache))
        assert fitted.model.weights == str(tmp_path / Path(weights).name)
        fitted.model.save(tmp_path / "m.featx")
        monkeypatch.chdir(photos)
        request = PredictRequest(tmp_path / "m.featx", [str(photos / "red")], weights=fitted.model.weights_file)
        assert len(label_images(request).labelled) == 12
        in_hand = PredictRequest(fitted.model, [str(photos / "red")])
        assert label_images(in_hand).labelled == label_images(request).labelled
        monkeypatch.chdir(tmp_path)
    with_base = fit_classifier(
        CompareRequest(str(photos), BaseChoice("tiny", "moco.v2"), ("layer3",), ("logreg",), cache=cache),
        with_base=True,
    )
    assert with_base.model.base_tensors.keys() <= state.keys()


def test_other_weights_are_refused_in_one_line(model: Path, photos: Path) -> None:
    with pytest.raises(WeightsError, match=r"weights 'CIFAR100' \(digest .* are not those .* 'random' \(digest"):
        label_images(PredictRequest(model, [str(photos)], weights="CIFAR100"))


def test_a_file_of_weights_is_opened_only_where_the_user_names_it(photos: Path, cache: Path, tmp_path: Path) -> None:
    import torch
    from safetensors.torch import save_file

    from featx.bases.architectures.tiny import tiny

    torch.manual_seed(5)
    save_file(tiny().state_dict(), tmp_path / "w.safetensors")
    choice = BaseChoice("tiny", str(tmp_path / "w.safetensors"))
    extract_features(ExtractRequest(str(photos), choice, ("layer3",), cache=cache))
    (tmp_path / "models").mkdir()
    model = tmp_path / "models" / "m.featx"
    fit_classifier(CompareRequest(str(photos), choice, ("layer3",), ("logreg",), cache=cache)).model.save(model)
    image = str(photos / "red" / "00.png")
    advice = re.escape(f"opened only where you name it: add --weights {tmp_path / 'w.safetensors'}")
    for given in (model, load_model(model)):
        with pytest.raises(ModelError, match=advice):
            label_images(PredictRequest(given, [image]))
    named = PredictRequest(model, [image], weights=str(tmp_path / "w.safetensors"))
    first = label_images(named).labelled
    shutil.move(tmp_path / "w.safetensors", tmp_path / "elsewhere.safetensors")
    with pytest.raises(WeightsError, match=r"does not exist.*tiny with weights 'w.safetensors'.*--weights"):
        label_images(named)
    elsewhere = PredictRequest(model, [image], weights=str(tmp_path / "elsewhere.safetensors"))
    assert label_images(elsewhere).labelled == first


def test_the_command_that_fit_prints_names_the_file_of_weights(
    featx: Featx, photos: Path, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from safetensors.torch import save_file

    from featx.bases.architectures.tiny import tiny

    (tmp_path / "some dir").mkdir()
    save_file(tiny().state_dict(), tmp_path / "some dir" / "w.safetensors")
    monkeypatch.chdir(tmp_path)
    words = (photos, "--base", "tiny", "--cache", cache, "-l", "layer3", "-q")
    assert featx("extract", *words, "--weights", "some dir/w.safetensors").exit_code == 0
    printed = featx("fit", *words, "--clf", "logreg", "--out", "m.featx").stdout.rpartition("images with: featx ")[2]
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    command = shlex.split(printed.replace("IMAGES", shlex.quote(str(photos))))
    assert featx(*command, "-q").exit_code == 0


def test_weights_are_downloaded_for_a_model_only_where_the_user_agrees(
    model: Path, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    (key,) = load_model(model).keys
    base = replace(key.base, architecture="resnet18")
    for weights in ("IMAGENET1K_V1", "DEFAULT", ""):
        replace(load_model(model), keys=(replace(key, base=base),), weights=weights).save(tmp_path / "named.featx")
        with pytest.raises(ModelError, match=r"not on this machine: add --yes to download 45 MB from https://\S+\.pth"):
            label_images(PredictRequest(tmp_path / "named.featx", [str(photos / "red" / "00.png")]))
    # Once they lie where torch keeps them, they are read; these are not weights.
    (tmp_path / "torch" / "hub" / "checkpoints").mkdir(parents=True)
    (tmp_path / "torch" / "hub" / "checkpoints" / "resnet18-f37072fd.pth").write_bytes(b"nothing")
    with pytest.raises(WeightsError, match=r"of resnet18 cannot be read from '.*-f37072fd.pth'.*Remove that file"):
        label_images(PredictRequest(tmp_path / "named.featx", [str(photos)]))


def test_large_networks_of_random_numbers_are_built_only_where_they_are_named(model: Path, photos: Path) -> None:
    (key,) = load_model(model).keys
    base = replace(key.base, architecture="regnet_y_128gf")
    replace(load_model(model), keys=(replace(key, base=base),)).save(model)
    with pytest.raises(ModelError, match="random weights of regnet_y_128gf, 2.6 GB of them: add --base regnet_y_128gf"):
        label_images(PredictRequest(model, [str(photos)]))


def test_broken_and_missing_images_are_named_and_the_rest_labelled(
    featx: Featx, model: Path, photos: Path, tmp_path: Path
) -> None:
    (photos / "red" / "bad.png").write_bytes(b"bad")
    (photos / "red" / "Thumbs.db").write_bytes(b"system")
    result = featx("predict", model, photos / "red", tmp_path / "none.png", "--json", "-q")
    assert result.exit_code == 1
    said = json.loads(result.stdout)
    assert len([image for image in said if image["label"]]) == 12
    assert [Path(image["path"]).name for image in said if image["label"] is None] == ["bad.png", "none.png"]
    assert said[-1]["reason"] == "No such file or directory"
    assert "bad.png: not an image" in result.stderr
    assert "none.png: is neither a file nor a folder" in result.stderr
    assert "Thumbs" not in result.output


def test_the_table_and_the_csv_name_every_image_once(featx: Featx, model: Path, photos: Path, tmp_path: Path) -> None:
    shutil.copy(photos / "red" / "00.png", photos / "red" / "no_suffix")
    result = featx("predict", model, photos, photos / "red", "--csv", tmp_path / "labels.csv")
    assert result.exit_code == 0
    with (tmp_path / "labels.csv").open() as lines:
        rows = list(csv.DictReader(lines))
    assert len(rows) == 37
    assert list(rows[0]) == ["path", "label", "probability", "p(blue)", "p(green)", "p(red)", "reason", "strangeness"]
    assert result.stdout.splitlines()[0].split() == ["path", "label", "probability", "strangeness"]
    assert len(result.stdout.splitlines()) == 2 + 37


def test_archives_and_tables_of_pictures_are_labelled_as_their_folder_is(
    featx: Featx, model: Path, photos: Path, tmp_path: Path
) -> None:
    pa = pytest.importorskip("pyarrow", reason="pyarrow is not installed")
    files = sorted(photos.rglob("*.png"))
    data = {str(file.relative_to(photos)): file.read_bytes() for file in files}
    table = pa.table({"image": pa.array([*data.values(), None], pa.binary())})
    pytest.importorskip("pyarrow.parquet").write_table(table, tmp_path / "photos.parquet", row_group_size=10)
    write_zip(tmp_path / "photos.zip", data)
    write_tar(tmp_path / "photos.tar", data)

    def predict(images: Path) -> list[tuple[Any, ...]]:
        result = featx("predict", model, images, "--json", "-q")
        rows = [row for row in json.loads(result.stdout) if row["label"] is not None]
        assert result.exit_code == (1 if images.suffix == ".parquet" else 0)
        return [(row["label"], row["probabilities"], row["strangeness"]) for row in rows]

    expected = predict(photos)
    assert len(expected) == 36
    for name in ("photos.zip", "photos.tar", "photos.parquet"):
        assert predict(tmp_path / name) == expected
    result = featx("predict", model, tmp_path / "photos.parquet", "-q")
    assert "failed: " in result.stderr
    assert f"{tmp_path}/photos.parquet/000036: its row holds no image" in result.stderr


def test_failures_stand_in_the_csv_with_their_reason(featx: Featx, model: Path, photos: Path, tmp_path: Path) -> None:
    (photos / "red" / "00.png").write_bytes(b"bad")
    assert featx("predict", model, photos / "red", "--csv", tmp_path / "labels.csv", "-q").exit_code == 1
    with (tmp_path / "labels.csv").open() as lines:
        rows = list(csv.DictReader(lines))
    assert len(rows) == 12
    assert rows[0]["label"] == rows[0]["p(red)"] == ""
    assert "not an image" in rows[0]["reason"]
    assert rows[1]["reason"] == ""


def test_classes_named_like_columns_do_not_collide(featx: Featx, photos: Path, cache: Path, tmp_path: Path) -> None:
    for old, new in (("red", "label"), ("green", "path"), ("blue", "reason")):
        shutil.move(photos / old, photos / new)
    make(photos, cache, "layer3", "logreg")[1].model.save(tmp_path / "m.featx")
    assert featx("predict", tmp_path / "m.featx", photos, "--csv", tmp_path / "labels.csv").exit_code == 0
    header = (tmp_path / "labels.csv").read_text().splitlines()[0]
    assert header == "path,label,probability,p(label),p(path),p(reason),reason,strangeness"


def test_a_table_and_a_list_on_stdin_give_what_the_files_give(model: Path, photos: Path) -> None:
    files = [str(photos / "red" / "00.png"), str(photos / "blue" / "01.png")]
    expected = [image.to_dict() for image in label_images(PredictRequest(model, files)).labelled]
    (photos / "new.csv").write_text("path,label\nred/00.png,?\nblue/01.png,\n")
    of_table = label_images(PredictRequest(model, [str(photos / "new.csv")])).labelled
    assert [image.to_dict() for image in of_table] == expected
    listed = "\n".join(files).encode()
    words = ["predict", str(model), "-", "--json", "-q"]
    result = CliRunner().invoke(main, words, input=listed)
    assert json.loads(result.stdout) == expected
    empty = CliRunner().invoke(main, words, input=b"")
    assert empty.exit_code == 2
    assert "stdin lists no images: write one path a line" in empty.output


def test_a_model_in_hand_predicts_what_its_file_does(model: Path, photos: Path) -> None:
    images = [str(photos)]
    in_hand = PredictRequest(load_model(model), images)
    assert label_images(in_hand).labelled == label_images(PredictRequest(model, images)).labelled


def test_a_fine_tuned_model_in_hand_brings_its_own_base(model: Path, photos: Path) -> None:
    network = open_base(RANDOM).network
    assert network is not None
    tuned = replace(load_model(model), base_tensors=as_arrays(network.state_dict()), weights="gone.featx")
    images = [str(photos / "red")]
    assert label_images(PredictRequest(tuned, images)).labelled == label_images(PredictRequest(model, images)).labelled


def test_a_model_in_hand_is_named_so_in_errors(model: Path, photos: Path) -> None:
    request = PredictRequest(load_model(model), [str(photos)], weights="CIFAR100")
    with pytest.raises(WeightsError, match="are not those that the model was trained on"):
        label_images(request)


def test_a_request_resolves_its_base_once(model: Path, photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    looked_up: list[str] = []
    look_up = registry.find_architecture

    def counting(name: str, weights: str | None) -> Architecture:
        looked_up.append(name)
        return look_up(name, weights)

    monkeypatch.setattr(registry, "find_architecture", counting)
    label_images(PredictRequest(model, [str(photos / "red" / "00.png")]))
    assert looked_up == ["tiny"]


def test_images_in_memory_are_labelled_like_their_files(model: Path, photos: Path) -> None:
    paths = [photos / "red" / "00.png", photos / "green" / "01.png", photos / "blue" / "02.png"]
    expected = label_images(PredictRequest(model, paths)).labelled
    with Image.open(paths[0]) as first, Image.open(paths[2]) as third:
        second = np.asarray(Image.open(paths[1]).convert("RGB"))
        labelled = label_images(PredictRequest(model, [first, second, third])).labelled
    assert [image.path for image in labelled] == ["image 0", "image 1", "image 2"]
    assert [image.probabilities for image in labelled] == [image.probabilities for image in expected]


def test_images_in_memory_and_files_keep_their_order(model: Path, photos: Path) -> None:
    path = str(photos / "red" / "00.png")
    array = np.zeros((20, 30, 3), np.uint8)
    labelled = label_images(PredictRequest(model, [array, path, array])).labelled
    assert [image.path for image in labelled] == ["image 0", path, "image 2"]
    assert labelled[0].probabilities == labelled[2].probabilities


def test_no_images_at_all_is_an_error(model: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="there are no images in '.*empty'"):
        label_images(PredictRequest(model, [str(tmp_path / "empty")]))


def test_a_model_that_does_not_fit_this_featx_says_so(model: Path, photos: Path) -> None:
    sound = load_model(model)
    (key,) = sound.keys
    image = [str(photos / "red" / "00.png")]
    for change, error, message in (
        ({"base": replace(key.base, recipe=0)}, ModelError, "features of recipe 0"),
        ({"base": replace(key.base, architecture="tyni")}, UnknownName, "unknown base 'tyni'. Did you mean 'tiny'"),
        ({"layer": "layer9"}, UnknownName, "unknown layer of tiny 'layer9'"),
        ({"pooling": "mean"}, UnknownName, "unknown pooling 'mean'"),
        ({"pooling": "pyramid"}, ModelError, "its classifier takes 128 numbers, and its layers give 640. Fit it anew"),
    ):
        replace(sound, keys=(replace(key, **change),)).save(model)  # type: ignore[arg-type]
        with pytest.raises(error, match=message):
            label_images(PredictRequest(model, image))


def test_a_model_cannot_make_featx_read_any_file_it_likes(model: Path, photos: Path) -> None:
    replace(load_model(model), weights="/etc/passwd").save(model)
    with pytest.raises(ModelError, match="opened only where you name it: add --weights /etc/passwd"):
        label_images(PredictRequest(model, [str(photos)]))


@pytest.mark.parametrize("name", ["evil.py", "./evil.py", "timm:evil.py", "evil.py@0123456789ab"])
def test_no_python_file_runs_because_a_model_names_it(
    model: Path, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("evil.py").write_text("from pathlib import Path\nPath('ran').touch()\ndef stages(): return []")
    (key,) = load_model(model).keys
    evil = replace(load_model(model), keys=(replace(key, base=replace(key.base, architecture=name)),))
    evil.save(model)
    with pytest.raises(ModelError, match="not a name of an architecture|a Python file runs only where it is named"):
        label_images(PredictRequest(model, [str(photos)]))
    with pytest.raises(FeatxError):
        label_images(PredictRequest(evil, [str(photos)]))
    assert not Path("ran").exists()


def test_a_prediction_that_is_not_finite_is_an_error(model: Path, photos: Path) -> None:
    (key,) = load_model(model).keys
    transform = replace(key.base.transform, mean=(3e38, 3e38, 3e38), std=(2e-38, 2e-38, 2e-38))
    replace(load_model(model), keys=(replace(key, base=replace(key.base, transform=transform)),)).save(model)
    with pytest.raises(ModelError, match="probabilities that are not finite numbers"):
        label_images(PredictRequest(model, [str(photos)]))


@pytest.mark.gpu
def test_a_gpu_predicts_what_the_cpu_predicts(model: Path, photos: Path) -> None:
    on_cpu, on_gpu = (
        label_images(PredictRequest(model, [str(photos)], device=device)).labelled for device in ("cpu", "cuda")
    )
    assert [image.label for image in on_gpu] == [image.label for image in on_cpu]
    for image, expected in zip(on_gpu, on_cpu, strict=True):
        assert image.probabilities == pytest.approx(expected.probabilities, abs=1e-3)


def test_every_picture_has_its_strangeness_and_the_strangest_can_be_turned_away(
    featx: Featx, photos: Path, cache: Path, tmp_path: Path
) -> None:
    fitted = make(photos, cache, "layer3", "svm")[1].model
    model = tmp_path / "m.featx"
    fitted.save(model)
    noise = np.random.default_rng(0).integers(0, 2, (40, 48, 3)) * 255
    Image.fromarray(noise.astype(np.uint8)).save(tmp_path / "strange.png")
    known = label_images(PredictRequest(model, [str(photos)])).labelled
    assert known == label_images(PredictRequest(fitted, [str(photos)], weights="random")).labelled
    (strange,) = label_images(PredictRequest(model, [str(tmp_path / "strange.png")])).labelled
    assert strange.strangeness is not None
    assert strange.strangeness > max(image.strangeness or 0 for image in known)
    words = ("predict", model, tmp_path / "strange.png", photos / "red" / "00.png", "-q")
    table = tmp_path / "labels.csv"
    rejected = featx(*words, "--reject", "0.02", "--set", "0.9", "--csv", table).stdout
    assert rejected.splitlines()[2].split()[1] == "unknown"
    assert "set" in rejected.splitlines()[0]
    first, second = csv.DictReader(table.read_text().splitlines())
    assert first["label"] == "unknown"
    assert float(first["strangeness"]) == pytest.approx(strange.strangeness)
    assert second["in(red)"] == "1"
    entries = json.loads(featx(*words, "--json").stdout)
    assert entries[0]["label"] in ("red", "green", "blue")
    assert entries[0]["strangeness"] == pytest.approx(strange.strangeness)
    assert "classes" not in entries[0]


def test_a_model_without_what_tells_strangers_still_predicts_and_says_so_once(
    featx: Featx, model: Path, photos: Path, tmp_path: Path
) -> None:
    whole = load_model(model)
    older = tmp_path / "older.featx"
    replace(whole, known=None, sets=None).save(older)
    assert older.stat().st_size < model.stat().st_size
    result = featx("predict", older, photos / "red", "--json")
    entries = json.loads(result.stdout)
    assert {entry["strangeness"] for entry in entries} == {None}
    assert result.stderr.count("does not tell strangers") == 1
    now = label_images(PredictRequest(model, [str(photos / "red")])).to_dicts()
    assert [entry["probabilities"] for entry in entries] == [entry["probabilities"] for entry in now]
    assert "nothing can be rejected" in featx("predict", older, photos, "--reject", "0.1").error
    assert "gives no sets of classes" in featx("predict", older, photos, "--set", "0.9").error


def test_arrays_that_tell_strangers_are_checked_like_all_others(model: Path, tmp_path: Path) -> None:
    facts, arrays = take_apart(model.read_bytes())
    hostile = {
        "nan": {"known.weights": arrays["known.weights"] * np.float32("nan")},
        "falling": {"known.quantiles": arrays["known.quantiles"][::-1].copy()},
        "long": {"known.landmarks": arrays["known.landmarks"] * np.float32(1e6)},
        "other components": {"known.offset": arrays["known.offset"][:-1].copy()},
        "too few quantiles": {"known.quantiles": arrays["known.quantiles"][:5].copy()},
        "other type": {"sets.errors": arrays["sets.errors"].astype(np.float32)},
        "no share": {"sets.errors": arrays["sets.errors"] + 2},
    }
    for name, changes in hostile.items():
        (tmp_path / "hostile.featx").write_bytes(put_together(facts, {**arrays, **changes}))
        with pytest.raises(ModelError, match="cannot be read"):
            load_model(tmp_path / "hostile.featx")
        assert name
    del arrays["known.weights"]
    (tmp_path / "hostile.featx").write_bytes(put_together(facts, arrays))
    with pytest.raises(ModelError, match="its arrays are"):
        load_model(tmp_path / "hostile.featx")
