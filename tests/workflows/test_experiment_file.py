from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from featx.base_choice import BaseChoice
from featx.errors import RequestError, UnknownName
from featx.requests import CompareRequest, ExtractRequest
from featx.workflows.experiment_file import load_pipeline

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


def test_files_beside_an_experiment_are_found_from_any_folder(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "experiment"
    (tmp_path / "elsewhere").mkdir()
    folder.mkdir()
    (folder / "net.py").write_text("def stages(): return []")
    # Its suffix does not tell that it is a file.
    (folder / "moco.v2").write_bytes(b"")
    experiment = write(folder, 'data = "digits"\nbase = "net.py"\nweights = "moco.v2"\nlayers = ["a"]')
    for place in (tmp_path, folder, tmp_path / "elsewhere"):
        monkeypatch.chdir(place)
        for path in (experiment, os.path.relpath(experiment)):
            base = load_pipeline(path, cache).extract.base
            assert Path(base.name).samefile(folder / "net.py")
            assert base.weights is not None
            assert Path(base.weights).samefile(folder / "moco.v2")


def test_names_of_weights_and_data_sets_stay_names(tmp_path: Path, cache: Path) -> None:
    text = 'data = "digits"\nbase = "resnet18"\nweights = "IMAGENET1K_V1"\nlayers = ["layer3"]'
    pipeline = load_pipeline(write(tmp_path, text), cache)
    assert (pipeline.extract.data, pipeline.extract.base.weights) == ("digits", "IMAGENET1K_V1")


@pytest.mark.parametrize(
    ("asked", "trains", "solves"),
    [
        ("all", "auto", "auto"),
        ("cuda:0,cuda:1", "auto", "auto"),
        ("cuda:1", "cuda:1", "cuda:1"),
        ("mps", "mps", "auto"),
        ("cpu", "cpu", "cpu"),
    ],
)
def test_several_devices_extract_and_one_trains(
    tmp_path: Path, cache: Path, asked: str, trains: str, solves: str
) -> None:
    text = f'data = "digits"\nbase = "tiny"\nlayers = ["layer3"]\ndevice = "{asked}"\n[finetune]\nfrom = "layer4"'
    pipeline = load_pipeline(write(tmp_path, text), cache)
    assert pipeline.extract.device == asked
    assert pipeline.compare.device == solves
    assert pipeline.finetune
    assert pipeline.finetune.device == trains


def test_an_unknown_key_names_the_nearest(tmp_path: Path, cache: Path) -> None:
    text = 'data = "digits"\nbase = "tiny"\nlayers = ["layer3"]\n'
    with pytest.raises(UnknownName, match="x.toml': unknown key 'pooling'. Did you mean 'poolings'"):
        load_pipeline(write(tmp_path, text + 'pooling = ["avg"]'), cache)
    with pytest.raises(UnknownName, match="unknown store dtype 'float15'. Did you mean 'float16'"):
        load_pipeline(write(tmp_path, text + 'store_dtype = "float15"'), cache)


def test_all_problems_are_named_at_once(tmp_path: Path, cache: Path) -> None:
    text = "data = 3\nlayers = []\nlayer = 1\nviews = true\n"
    with pytest.raises(RequestError) as caught:
        load_pipeline(write(tmp_path, text + "[finetune]\nlr = 0"), cache)
    path, _, problems = str(caught.value).partition("x.toml': ")
    assert path.startswith("'")
    assert [problem.partition(". There are")[0] for problem in problems.replace("? There", ". There").split("; ")] == [
        "unknown key 'layer'. Did you mean 'layers'",
        "'base' is missing",
        "'data' must be a string, not 3",
        "'layers' must be a list of strings (at least 1), not []",
        "'views' must be an integer of at least 1, not True",
        "'from' is missing",
        "'lr' must be a number above 0, not 0",
    ]


def test_requests_that_contradict_themselves_name_the_file(tmp_path: Path, cache: Path) -> None:
    text = 'data = "digits"\nbase = "tiny"\nlayers = ["layer3"]\n'
    with pytest.raises(RequestError, match="x.toml': 'test_views' is 2, but 'views' is 1"):
        load_pipeline(write(tmp_path, text + "test_views = 2"), cache)
    with pytest.raises(RequestError, match="x.toml': precision bfloat16 is for extraction only"):
        load_pipeline(write(tmp_path, text + 'precision = "bfloat16"\n[finetune]\nfrom = "layer4"'), cache)


@pytest.mark.parametrize("key", ["cache", "shard", "rehash", "refit", "beside"])
def test_what_belongs_to_one_run_is_not_part_of_an_experiment(tmp_path: Path, cache: Path, key: str) -> None:
    text = f'data = "digits"\nbase = "tiny"\nlayers = ["layer3"]\n{key} = 1'
    with pytest.raises(UnknownName, match=f"unknown key '{key}'"):
        load_pipeline(write(tmp_path, text), cache)


def test_what_is_not_toml_says_where_it_breaks(tmp_path: Path, cache: Path) -> None:
    with pytest.raises(RequestError, match="is not valid TOML: Invalid value .at line 1"):
        load_pipeline(write(tmp_path, "data = = 3"), cache)


@pytest.mark.parametrize(
    ("raw", "problem"),
    [
        (b"# caf\xe9", "x.toml', line 1: byte 0xe9 is not UTF-8"),
        ("data = 3".encode("utf-16"), "x.toml', line 1: the file is UTF-16: save it as UTF-8"),
        (b"data = 3\n\0", "x.toml', line 2: there is a NUL byte"),
        (b"a = " + b"[" * 100_000, "is not valid TOML: it is nested too deeply"),
        (b'data = ""\nbase = "tiny"\nlayers = ["layer3"]', "x.toml': 'data' is empty"),
        (b'data = "a"\nbase = "tiny"\nlayers = ["a"]\nseed = -1', "'seed' must be an integer of at least 0 .* not -1$"),
        (b'data = "a"\nbase = "tiny"\nlayers = "a"', "'layers' must be a list of strings .at least 1., not 'a'$"),
        (
            b'data = "a"\nbase = "tiny"\nlayers = ["a"]\nworkers = -2',
            "'workers' must be an integer of at least 1 and at most 1024, not -2$",
        ),
        (b'data = "a"\nbase = "tiny"\nlayers = ["a"]\nfinetune = {from = "a", lr = inf}', "a number above 0, not inf"),
        (b'data = "a"\nbase = "tiny"\nlayers = ["a"]\nfinetune = {from = "a", dropout = 2}', "below 1, not 2"),
    ],
)
def test_a_file_that_cannot_be_used_is_one_line(tmp_path: Path, cache: Path, raw: bytes, problem: str) -> None:
    (tmp_path / "x.toml").write_bytes(raw)
    with pytest.raises(RequestError, match=problem) as caught:
        load_pipeline(str(tmp_path / "x.toml"), cache)
    assert "\n" not in str(caught.value)


def test_a_byte_order_mark_is_passed_over(tmp_path: Path, cache: Path) -> None:
    text = 'data = "digits"\nbase = "tiny"\nlayers = ["layer3"]'
    (tmp_path / "x.toml").write_text(text, encoding="utf-8-sig")
    assert load_pipeline(str(tmp_path / "x.toml"), cache).extract.data == "digits"


def test_names_of_classifiers_are_checked_before_anything_is_extracted(tmp_path: Path, cache: Path) -> None:
    text = 'data = "digits"\nbase = "tiny"\nlayers = ["layer3"]\nclassifiers = '
    with pytest.raises(UnknownName, match="unknown classifier 'smv'. Did you mean 'svm'"):
        load_pipeline(write(tmp_path, text + '["smv"]'), cache)
    assert load_pipeline(write(tmp_path, text + '["all"]'), cache).compare.classifiers == ()


def test_columns_of_a_table_are_part_of_the_experiment(tmp_path: Path, cache: Path) -> None:
    text = 'data = "~/t.csv"\nbase = "tiny"\nlayers = ["layer3"]\nlabel_column = "k"\npath_column = "p"\n'
    pipeline = load_pipeline(write(tmp_path, text + '[finetune]\nfrom = "layer4"'), cache)
    assert pipeline.finetune
    for request in (pipeline.extract, pipeline.compare, pipeline.finetune):
        assert (request.path_column, request.label_column) == ("p", "k")
        assert request.data == str(Path.home() / "t.csv")


def test_what_is_no_file_is_no_experiment(tmp_path: Path, cache: Path) -> None:
    with pytest.raises(RequestError, match="is a folder: give the path of a TOML file"):
        load_pipeline(str(tmp_path), cache)
    for name in ("", "x" * 5000, "~nobody-of-this-name/x.toml"):
        with pytest.raises(RequestError, match="does not exist: give the path"):
            load_pipeline(name, cache)


def test_an_unknown_experiment_lists_the_built_in_ones(cache: Path) -> None:
    with pytest.raises(RequestError, match="'nothing' does not exist: .*digits"):
        load_pipeline("nothing", cache)


@pytest.mark.parametrize("path", sorted((ROOT / "pipelines").glob("*.toml")), ids=lambda path: path.stem)
def test_every_experiment_of_the_project_is_valid(path: Path, cache: Path) -> None:
    assert load_pipeline(str(path), cache).extract.layers


def test_the_built_in_experiment_is_found_by_name(cache: Path) -> None:
    assert load_pipeline("digits", cache).extract.data == "digits"


def as_toml(values: dict[str, Any]) -> str:
    return "".join(f"{name} = {json.dumps(value)}\n" for name, value in values.items())


def test_every_key_reaches_the_requests_it_is_for(tmp_path: Path, cache: Path) -> None:
    base = {"base": "tiny", "weights": "random", "resize": 40, "crop": 32, "precision": "bfloat16"}
    both = {"data": "digits", "layers": ["layer3"], "poolings": ["max"], "store_dtype": "float16", "views": 3}
    extraction = {"device": "cpu", "engine": "eager", "batch_size": 4, "workers": 2}
    evaluation = {"classifiers": ["svm"], "seed": 7, "test_views": 2}
    pipeline = load_pipeline(write(tmp_path, as_toml(base | both | extraction | evaluation)), cache)
    choice = BaseChoice("tiny", "random", 40, 32, "bfloat16")
    assert pipeline.extract == ExtractRequest(base=choice, cache=cache, **both, **extraction)
    assert pipeline.compare == CompareRequest(base=choice, cache=cache, **both, **evaluation, device="cpu")


def test_without_poolings_only_avg_is_compared_whatever_is_cached(tmp_path: Path, cache: Path) -> None:
    pipeline = load_pipeline(write(tmp_path, 'data = "digits"\nbase = "tiny"\nlayers = ["layer3"]'), cache)
    assert pipeline.compare.poolings == ("avg",)


def test_a_layer_set_is_extracted_layer_by_layer_and_compared_as_a_whole(tmp_path: Path, cache: Path) -> None:
    text = 'data = "digits"\nbase = "tiny"\nlayers = ["layer4", "layer3+layer4"]'
    pipeline = load_pipeline(write(tmp_path, text), cache)
    assert pipeline.extract.layers == ("layer4", "layer3")
    assert pipeline.compare.layers == ("layer4", "layer3+layer4")


def test_the_table_finetune_is_a_request_of_its_own_and_its_rows_are_in_the_table(tmp_path: Path, cache: Path) -> None:
    text = 'data = "photos"\nbase = "tiny"\nlayers = ["layer3"]\nclassifiers = ["svm"]\nseed = 3\n[finetune]\n'
    pipeline = load_pipeline(write(tmp_path, text + 'from = "layer4"\nepochs = 2\nfrom_cache = true'), cache)
    tuning = pipeline.finetune
    assert tuning is not None
    assert (tuning.data, tuning.start, tuning.epochs, tuning.seed) == (str(tmp_path / "photos"), "layer4", 2, 3)
    assert tuning.from_cache
    assert tuning.out == cache / "models" / "x.featx"
    assert pipeline.compare.classifiers == ("svm", "head", "finetuned")
    with pytest.raises(UnknownName, match=r"x.toml': unknown key of \[finetune\] 'epoch'. Did you mean 'epochs'"):
        load_pipeline(write(tmp_path, text + 'from = "layer4"\nepoch = 2'), cache)
    with pytest.raises(RequestError, match="'from' is missing; 'epochs' must be an integer of at least 0, not '2'"):
        load_pipeline(write(tmp_path, text + 'epochs = "2"'), cache)
    with pytest.raises(RequestError, match="'from' is missing"):
        load_pipeline(write(tmp_path, text), cache)
    with pytest.raises(RequestError, match="'finetune' must be a table, not 'layer4'"):
        load_pipeline(write(tmp_path, text.removesuffix("[finetune]\n") + 'finetune = "layer4"'), cache)
    assert load_pipeline(write(tmp_path, text.removesuffix("[finetune]\n")), cache).finetune is None


@pytest.mark.slow
def test_run_fine_tunes_and_shows_everything_in_one_table(
    featx: Callable[..., Any], photos: Path, cache: Path, tmp_path: Path
) -> None:
    text = f'data = "{photos.name}"\nbase = "tiny"\nweights = "random"\nlayers = ["layer1"]\nclassifiers = ["svm"]\n'
    write(tmp_path, text + '[finetune]\nfrom = "layer4"\nepochs = 1\nepochs_head = 1\nviews = 1')
    result = featx("run", tmp_path / "x.toml", "--cache", cache)
    assert result.exit_code == 0
    assert [line.split()[2:3] for line in result.stdout.splitlines() if " finetuned " in line]
    assert "cv acc is the accuracy on the part of the training images that chose the epoch" in result.stdout
    assert (cache / "models" / "x.featx").is_file()
    assert featx("cache", "verify", "--cache", cache).exit_code == 0


def test_a_list_of_what_is_left_out_counts_from_the_folder_of_the_experiment(tmp_path: Path) -> None:
    (tmp_path / "own").mkdir()
    text = 'data = "digits"\nbase = "tiny"\nlayers = ["layer3"]\nexclude = "drop.txt"\n'
    (tmp_path / "own" / "e.toml").write_text(text)
    pipeline = load_pipeline(str(tmp_path / "own" / "e.toml"), tmp_path)
    assert pipeline.extract.exclude == pipeline.compare.exclude == tmp_path / "own" / "drop.txt"
    (tmp_path / "own" / "e.toml").write_text(text + '[finetune]\nfrom = "layer4"\n')
    with pytest.raises(RequestError, match="'exclude' and .finetune. do not go together"):
        load_pipeline(str(tmp_path / "own" / "e.toml"), tmp_path)
