from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from featx.errors import RequestError, UnknownName
from featx.workflows.experiment_file import FIELDS, load_pipeline

ROOT = Path(__file__).resolve().parents[2]


def write(folder: Path, text: str) -> str:
    (folder / "x.toml").write_text(text)
    return str(folder / "x.toml")


def test_paths_count_from_the_experiments_own_folder(tmp_path: Path, cache: Path) -> None:
    text = 'data = "photos"\nbase = "resnet18"\nweights = "w/r.pth"\nlayers = ["layer3"]\nseed = 7'
    pipeline = load_pipeline(write(tmp_path, text), cache)
    assert pipeline.extract.data == str(tmp_path / "photos")
    assert pipeline.extract.base.weights == str(tmp_path / "w/r.pth")
    assert (pipeline.compare.seed, pipeline.compare.layers, pipeline.compare.cache) == (7, ("layer3",), cache)


def test_names_of_weights_and_data_sets_stay_names(tmp_path: Path, cache: Path) -> None:
    text = 'data = "digits"\nbase = "resnet18"\nweights = "IMAGENET1K_V1"\nlayers = ["layer3"]'
    pipeline = load_pipeline(write(tmp_path, text), cache)
    assert (pipeline.extract.data, pipeline.extract.base.weights) == ("digits", "IMAGENET1K_V1")


@pytest.mark.parametrize(("asked", "trains"), [("all", "auto"), ("cuda:0,cuda:1", "auto"), ("cuda:1", "cuda:1")])
def test_several_devices_extract_and_one_trains(tmp_path: Path, cache: Path, asked: str, trains: str) -> None:
    text = f'data = "digits"\nbase = "tiny"\nlayers = ["layer3"]\ndevice = "{asked}"\n[finetune]\nfrom = "layer4"'
    pipeline = load_pipeline(write(tmp_path, text), cache)
    assert pipeline.extract.device == asked
    assert pipeline.finetune
    assert pipeline.finetune.device == trains


def test_an_unknown_key_names_the_nearest(tmp_path: Path, cache: Path) -> None:
    with pytest.raises(UnknownName, match="unknown key of .*x.toml' 'layer'. Did you mean 'layers'"):
        load_pipeline(write(tmp_path, 'data = "digits"\nbase = "tiny"\nlayer = ["layer3"]'), cache)


def test_all_problems_are_named_at_once(tmp_path: Path, cache: Path) -> None:
    with pytest.raises(RequestError, match="'base' is missing; 'data' must be a str, not 3; 'layers' must be a list"):
        load_pipeline(write(tmp_path, "data = 3\nlayers = []"), cache)


def test_what_is_no_toml_says_where_it_breaks(tmp_path: Path, cache: Path) -> None:
    with pytest.raises(RequestError, match="is no valid TOML: Invalid value .at line 1"):
        load_pipeline(write(tmp_path, "data = = 3"), cache)


def test_an_unknown_experiment_lists_the_built_in_ones(cache: Path) -> None:
    with pytest.raises(RequestError, match="'nothing' does not exist: .*digits"):
        load_pipeline("nothing", cache)


@pytest.mark.parametrize("path", sorted((ROOT / "pipelines").glob("*.toml")), ids=lambda path: path.stem)
def test_every_experiment_of_the_project_is_valid(path: Path, cache: Path) -> None:
    assert load_pipeline(str(path), cache).extract.layers


def test_the_built_in_experiment_is_found_by_name(cache: Path) -> None:
    assert load_pipeline("digits", cache).extract.data == "digits"


def test_every_field_is_used() -> None:
    source = (ROOT / "featx" / "pipeline.py").read_text()
    assert all(source.count(f'"{name}"') >= 2 for name in FIELDS)


def test_a_mix_is_extracted_layer_by_layer_and_compared_as_a_mix(tmp_path: Path, cache: Path) -> None:
    text = 'data = "digits"\nbase = "tiny"\nlayers = ["layer4", "layer3+layer4"]'
    pipeline = load_pipeline(write(tmp_path, text), cache)
    assert pipeline.extract.layers == ("layer4", "layer3")
    assert pipeline.compare.layers == ("layer4", "layer3+layer4")


def test_a_table_finetune_is_a_request_of_its_own_and_its_rows_are_in_the_table(tmp_path: Path, cache: Path) -> None:
    text = 'data = "photos"\nbase = "tiny"\nlayers = ["layer3"]\nclassifiers = ["svm"]\nseed = 3\n[finetune]\n'
    pipeline = load_pipeline(write(tmp_path, text + 'from = "layer4"\nepochs = 2\nfrom_cache = true'), cache)
    tuning = pipeline.finetune
    assert tuning is not None
    assert (tuning.data, tuning.start, tuning.epochs, tuning.seed) == (str(tmp_path / "photos"), "layer4", 2, 3)
    assert tuning.from_cache
    assert tuning.out == cache / "models" / "x.featx"
    assert pipeline.compare.classifiers == ("svm", "head", "finetuned")
    with pytest.raises(UnknownName, match="unknown key of .*x.toml' 'epoch'. Did you mean 'epochs'"):
        load_pipeline(write(tmp_path, text + "epoch = 2"), cache)
    with pytest.raises(RequestError, match="'from' is missing; 'epochs' must be a int"):
        load_pipeline(write(tmp_path, text + 'epochs = "2"'), cache)
    assert load_pipeline(write(tmp_path, text.removesuffix("[finetune]\n")), cache).finetune is None


def test_run_fine_tunes_and_shows_everything_in_one_table(
    featx: Callable[..., Any], photos: Path, cache: Path, tmp_path: Path
) -> None:
    text = f'data = "{photos.name}"\nbase = "tiny"\nweights = "random"\nlayers = ["layer1"]\nclassifiers = ["svm"]\n'
    write(tmp_path, text + '[finetune]\nfrom = "layer4"\nepochs = 1\nepochs_head = 1\nviews = 1')
    found = featx("run", tmp_path / "x.toml", "--cache", cache)
    assert found.exit_code == 0
    assert [line.split()[2:3] for line in found.stdout.splitlines() if " finetuned " in line]
    assert "cv acc is the accuracy on the part of the training images that chose the epoch" in found.stdout
    assert (cache / "models" / "x.featx").is_file()
    assert featx("cache", "verify", "--cache", cache).exit_code == 0
