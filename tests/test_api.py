"""The Python API: the commands as keyword functions."""

from __future__ import annotations

import csv
import html.parser
import inspect
import io
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import featx
from featx.api.keywords import as_images
from featx.base_choice import BaseChoice
from featx.errors import FeatxError, MissingFeatures, RequestError, UnknownName
from featx.evaluation.result import Result
from featx.reports.comparison import Table

pytestmark = pytest.mark.slow

FUNCTIONS = [name for name in featx.__all__ if inspect.isfunction(getattr(featx, name))]
CHOICE = {"base": "tiny", "weights": "random"}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to work in, without any setting of the machine's."""
    monkeypatch.delenv("FEATX_CACHE", raising=False)
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    return tmp_path / "work"


def test_every_name_is_there_and_documented() -> None:
    for name in featx.__all__:
        assert (getattr(featx, name).__doc__ or "").strip()
    assert set(featx.__all__) <= set(dir(featx))


@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_function_documents_its_parameters_its_errors_and_an_example(name: str) -> None:
    function = getattr(featx, name)
    text = inspect.getdoc(function) or ""
    for heading in ("Parameters\n---", "Returns\n---", "Raises\n---", "Examples\n---"):
        assert heading in text
    for parameter in inspect.signature(function).parameters.values():
        assert parameter.name in text


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'extrct'"):
        featx.extrct  # noqa: B018


@pytest.mark.parametrize(
    ("module", "heavy"),
    [
        ("featx, featx.cli.main", {"torch", "sklearn", "scipy", "numpy", "h5py", "msgspec"}),
        ("featx.api, featx.requests", {"torch", "sklearn", "scipy", "numpy", "h5py", "click"}),
    ],
)
def test_importing_the_package_imports_nothing_heavy(module: str, heavy: set[str]) -> None:
    script = (
        f"import sys, {module}\nimported = {heavy!r} & set(sys.modules)\nsys.exit(str(imported) if imported else 0)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.stderr.strip() == ""


def test_comparing_and_loading_import_no_torch(photos: Path, folder: Path) -> None:
    featx.extract(photos, **CHOICE, layers="layer1")
    script = (
        f"import sys, featx\ndata, choice = {str(photos)!r}, {CHOICE!r}\n"
        "featx.load_features(data, **choice, layer='layer1')\n"
        "featx.compare(data, **choice, clf='svm')\n"
        "sys.exit('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""


@pytest.mark.slow
def test_the_whole_api_from_an_empty_folder(folder: Path) -> None:
    summary = featx.extract("digits", base="tiny", layers=["layer3", "layer4"])
    assert (summary.images, summary.extracted) == (1797, 1797)
    assert (folder / "cache").is_dir()

    data = featx.load_features("digits", base="tiny", layer="layer3+layer4")
    assert (data.X.shape, data.X.dtype, len(data)) == ((1797, 384), np.float32, 1797)
    assert data.classes.tolist() == [str(digit) for digit in range(10)]
    assert set(data.y.tolist()) == set(range(10))
    assert sorted([*data.train, *data.test]) == list(range(1797))

    table = featx.compare("digits", base="tiny", layers=["layer3", "layer3+layer4"], clf=["logreg", "svm"])
    assert [(row.layer, row.clf) for row in table] == [
        ("layer3", "logreg"),
        ("layer3", "svm"),
        ("layer3+layer4", "logreg"),
        ("layer3+layer4", "svm"),
    ]
    assert table.best.cv_accuracy == max(row.cv_accuracy for row in table)
    assert "cv acc" in repr(table)

    fitted = featx.fit("digits", base="tiny", layer="layer3", clf="svm")
    assert fitted.result.test_accuracy == table[1].test_accuracy
    fitted.model.save("digits.featx")
    assert featx.load_model("digits.featx").scores["test_accuracy"] == table[1].test_accuracy
    advised = featx.advise("digits", base="tiny").layer.split("+")
    assert set(advised) <= {"stem", "layer1", "layer2", "layer3", "layer4"}


def test_features_give_what_fit_gives_to_any_other_library(photos: Path, folder: Path) -> None:
    featx.extract(photos, **CHOICE, layers=["layer1", "layer3"])
    data = featx.load_features(photos, **CHOICE, layer="layer1+layer3")
    fitted = featx.fit(photos, **CHOICE, layer="layer1+layer3", clf="svm")
    assert data.classes.tolist() == fitted.classes == ["blue", "green", "red"]
    assert [Path(path).parent.name for path in data.paths] == data.classes[data.y].tolist()
    assert (len(data.train), len(data.test)) == (fitted.result.n_train, fitted.result.n_test)
    labels = fitted.model.predict(data.X[data.test])
    accuracy = np.mean(np.asarray(labels) == data.classes[data.y[data.test]])
    assert accuracy == pytest.approx(fitted.result.test_accuracy, abs=1e-6)
    lengths = np.linalg.norm(data.X, axis=1)
    assert np.allclose(lengths, np.sqrt(2), atol=1e-5)
    stored = featx.load_features(photos, **CHOICE, layer="layer1+layer3", scaled=False)
    assert not np.allclose(np.linalg.norm(stored.X, axis=1), lengths)
    assert np.array_equal(stored.digests, data.digests)
    assert stored.digests.shape == (36, 32)


def test_a_fit_may_be_answered_without_its_model_and_a_model_may_hold_its_base(photos: Path, folder: Path) -> None:
    featx.extract(photos, **CHOICE, layers="layer1")
    words = {"data": photos, **CHOICE, "layer": "layer1", "clf": "svm"}
    assert featx.fit(**words, with_base=True).model.base_tensors
    recalled = featx.fit(**words, keep_model=False)
    assert recalled.model is None
    assert recalled.result.test_accuracy == featx.fit(**words).result.test_accuracy


def test_an_image_that_is_there_twice_is_loaded_once(photos: Path, folder: Path) -> None:
    (photos / "red" / "again.png").write_bytes((photos / "red" / "00.png").read_bytes())
    featx.extract(photos, **CHOICE, layers="layer1")
    data = featx.load_features(photos, **CHOICE, layer="layer1")
    names = [Path(path).name for path in data.paths if "red" in path]
    assert "00.png" in names
    assert "again.png" not in names
    assert len(data) == len(set(data.groups.tolist())) == 36


def test_a_base_may_be_a_choice_and_keywords_go_before_it(photos: Path, folder: Path) -> None:
    choice = BaseChoice("tiny", "random", crop=24)
    assert featx.extract(photos, base=choice, layers="layer1").extracted == 36
    assert featx.extract(photos, base="tiny", weights="random", crop=24, layers="layer1").cached == 36
    assert featx.extract(photos, base=choice, crop=32, layers="layer1").extracted == 36


def test_a_cache_may_be_named_and_none_is_the_default(photos: Path, folder: Path) -> None:
    assert featx.extract(photos, **CHOICE, layers="layer1", cache="elsewhere").extracted == 36
    assert (folder / "elsewhere").is_dir()
    assert featx.extract(photos, **CHOICE, layers="layer1", cache=None).extracted == 36
    assert (folder / "cache").is_dir()


def test_progress_is_reported_and_the_default_is_silent(
    photos: Path, folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    seen: list[tuple[int, int]] = []
    featx.extract(photos, **CHOICE, layers="layer1", progress=lambda done, total: seen.append((done, total)))
    assert seen[-1] == (36, 36)
    featx.compare(photos, **CHOICE, clf="svm", progress=lambda done, total: seen.append((done, total)))
    assert seen[-1] == (1, 1)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"pooling": ["max"]}, UnknownName, r"featx.extract\(\): unknown option 'pooling'. Did you mean 'poolings'"),
        ({"views": 0}, RequestError, r"featx.extract\(\): 'views' must be an integer of at least 1, not 0"),
        ({"engine": "torhc"}, UnknownName, "unknown engine 'torhc'. Did you mean 'torch'"),
        ({"precision": "float61"}, UnknownName, "unknown precision 'float61'"),
        ({"layers": []}, RequestError, "'layers' must be a list of strings"),
        ({"base": "tinny"}, UnknownName, "unknown base 'tinny'. Did you mean 'tiny'"),
        ({"data": 3}, RequestError, "'data' must be a string, not 3"),
    ],
)
def test_what_is_wrong_is_said_as_on_the_command_line(
    folder: Path, options: dict[str, Any], error: type[FeatxError], message: str
) -> None:
    arguments = {"data": "digits", "base": "tiny", "layers": "layer1"} | options
    with pytest.raises(error, match=message):
        featx.extract(**arguments)


def test_features_that_are_missing_carry_the_request_that_computes_them(photos: Path, folder: Path) -> None:
    with pytest.raises(MissingFeatures) as caught:
        featx.load_features(photos, **CHOICE, layer="layer3")
    assert caught.value.request is not None
    assert "--layer layer3" in caught.value.request.command()


class Texts(html.parser.HTMLParser):
    """Collects tags and text of HTML."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)

    def handle_data(self, data: str) -> None:
        self.text += data


def test_a_table_is_a_list_that_shows_itself(photos: Path, folder: Path) -> None:
    featx.extract(photos, **CHOICE, layers=["layer1", "layer2"])
    table = featx.compare(photos, **CHOICE, clf="svm")
    assert len(table) == 2
    assert isinstance(table[0], Result)
    assert [row.layer for row in table] == ["layer1", "layer2"]
    assert isinstance(table[:1], Table)
    assert repr(table[:1]) != repr(table)
    assert [row["layer"] for row in table.to_dicts()] == ["layer1", "layer2"]
    shown = Texts(table._repr_html_())
    assert {"table", "tr", "td"} <= shown.tags
    assert "exact McNemar test" in shown.text
    text = table.to_csv("table.csv")
    assert (folder / "table.csv").read_text() == text
    assert [row["layer"] for row in csv.DictReader(io.StringIO(text))] == ["layer1", "layer2"]
    assert repr(table[:0]) == "(no rows)"
    assert table[:0]._repr_html_() == "<p>(no rows)</p>"


def test_no_text_of_a_table_is_taken_for_html(photos: Path, folder: Path) -> None:
    featx.extract(photos, **CHOICE, layers="layer1")
    (row,) = featx.compare(photos, **CHOICE, clf="svm")
    shown = Texts(Table([replace(row, layer="<script>alert(1)</script>"), row])._repr_html_())
    assert "script" not in shown.tags
    assert "<script>alert(1)</script>" in shown.text


def test_layers_show_themselves_as_the_command_does(folder: Path) -> None:
    layers = featx.layers("tiny")
    assert [layer.name for layer in layers][:3] == ["stem", "layer1", "layer2"]
    assert "1,252,100 parameters" in repr(layers)
    assert {"table", "td"} <= Texts(layers._repr_html_()).tags
    assert layers.to_dicts()[1]["bytes"]["flat"] == 4 * 32 * 32 * 32
    assert featx.layers("tiny", crop=64)[1].shape[-1] == 64
    with pytest.raises(UnknownName, match=r"featx.layers\(\): unknown option 'corp'. Did you mean 'crop'"):
        featx.layers("tiny", corp=64)


def test_finetune_extracts_what_it_needs_and_writes_a_model(photos: Path, folder: Path) -> None:
    epochs: list[str] = []
    tuned = featx.finetune(
        photos,
        **CHOICE,
        start="layer4",
        out="tuned.featx",
        epochs=1,
        views=1,
        report=lambda phase, *_: epochs.append(phase),
    )
    assert tuned.finetuned.result.clf == "finetuned"
    assert "finetuned" in epochs
    assert len(featx.predict("tuned.featx", photos / "red").labelled) == 12
    with pytest.raises(UnknownName, match=r"featx.finetune\(\): unknown option 'epoch'. Did you mean 'epochs'"):
        featx.finetune(photos, **CHOICE, start="layer4", out="tuned.featx", epoch=1)


def test_run_gives_what_each_step_of_an_experiment_gave(photos: Path, folder: Path) -> None:
    text = f'data = "{photos}"\nbase = "tiny"\nweights = "random"\nlayers = ["layer1"]\nclassifiers = ["svm"]\n'
    (folder / "x.toml").write_text(text)
    report = featx.run("x.toml")
    assert report.extract.extracted == 36
    assert [row.clf for row in report.compare] == ["svm"]
    assert report.finetune is None
    assert featx.run(folder / "x.toml", cache="cache").extract.cached == 36
    (folder / "x.toml").write_text(text + '[finetune]\nfrom = "layer4"\nepochs = 1\nviews = 1')
    report = featx.run("x.toml")
    assert report.finetune is not None
    assert [row.clf for row in report.compare] == ["svm", "head", "finetuned"]


def test_predict_takes_files_and_folders(photos: Path, folder: Path) -> None:
    featx.extract(photos, **CHOICE, layers="layer1")
    featx.fit(photos, **CHOICE, layer="layer1", clf="logreg").model.save("m.featx")
    (image,) = featx.predict("m.featx", photos / "red" / "03.png").labelled
    assert image.label == "red"
    assert len(featx.predict(Path("m.featx"), [photos / "red", str(photos / "blue")]).labelled) == 24


def test_predict_takes_the_model_and_pictures_in_hand(photos: Path, folder: Path) -> None:
    featx.extract(photos, **CHOICE, layers="layer1")
    model = featx.fit(photos, **CHOICE, layer="layer1", clf="logreg").model
    model.save("m.featx")
    in_hand = featx.predict(model, [photos / "red"]).labelled
    assert in_hand == featx.predict("m.featx", [photos / "red"]).labelled
    with Image.open(photos / "red" / "00.png") as picture:
        pixels = np.array(picture)
        (of_picture,) = featx.predict(model, picture).labelled
    (of_pixels,) = featx.predict(model, pixels).labelled
    assert of_picture.probabilities == of_pixels.probabilities == in_hand[0].probabilities


def test_one_image_stands_for_a_list_of_one() -> None:
    picture = Image.new("RGB", (4, 4))
    pixels = np.zeros((4, 4, 3), np.uint8)
    assert as_images("a") == as_images(Path("a")) == as_images(["a"]) == ["a"]
    assert as_images(picture) == [picture]
    assert as_images(pixels)[0] is pixels
    assert len(as_images(np.stack([pixels, pixels]))) == 2
    assert as_images(path for path in [Path("a"), "b"]) == ["a", "b"]


def test_the_modules_for_errors_and_solvers_are_at_hand() -> None:
    assert issubclass(featx.errors.UnknownName, featx.errors.FeatxError)
    assert featx.linear.LogisticRegression(C=1).get_params()["C"] == 1
