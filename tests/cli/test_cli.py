"""The command line as a user meets it."""

from __future__ import annotations

import csv
import importlib
import json
import logging
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import pytest

from featx.base_choice import BaseChoice
from featx.cli.main import COMMANDS, set_up_logging
from featx.cli.options import parse_memory, several_bases
from featx.cli.progress import BAR_SECONDS, progress_bar
from featx.types import NotedProgress
from tests.conftest import picture

pytestmark = pytest.mark.slow

Featx = Callable[..., Any]


def process(*args: object) -> subprocess.CompletedProcess[str]:
    """Run featx in a process of its own."""
    script = "from featx.cli.main import run; run()"
    words = [sys.executable, "-c", script, *map(str, args)]
    return subprocess.run(words, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_with_an_example(featx: Featx, command: str) -> None:
    result = featx(command, "--help")
    assert result.exit_code == 0
    assert "Example:" in result.output
    assert f"featx {command}" in result.output


TELEGRAM = re.compile(r"^(Of|With|A|The) ")
"""How a help text begins that is a fragment: "Of split, folds and classifiers."."""

OWN_COMMANDS = ("layers", "run", "cache ls", "cache rm", "cache verify", "cache clean")


def options_of(command: click.Command) -> list[click.Option]:
    return [parameter for parameter in command.params if isinstance(parameter, click.Option)]


def find_command(path: str) -> click.Command:
    """Import a command, or one of a group such as `cache ls`."""
    name, _, inner = path.partition(" ")
    command: click.Command = importlib.import_module(f"featx.cli.{name}").command
    return command.commands[inner] if isinstance(command, click.Group) else command


@pytest.mark.parametrize("name", OWN_COMMANDS)
def test_every_option_is_explained_by_a_whole_phrase(name: str) -> None:
    for option in options_of(find_command(name)):
        assert option.help, option.name
        assert not TELEGRAM.match(option.help), option.help
        assert option.help.partition("  [")[0].endswith("."), option.help


def test_shared_options_say_what_they_are_for(featx: Featx) -> None:
    def help_of(command: str) -> str:
        return " ".join(featx(command, "--help").output.split())

    text = help_of("advise")
    assert "Random seed for split, folds and classifiers. [default: 42; x>=0]" in text
    assert "Weights of the base: a published name, a file (.safetensors, .pth) or 'random'." in text
    assert "Named weights whose input size to assume (nothing is loaded)." in help_of("layers")


def test_a_seed_that_no_generator_takes_is_an_error(featx: Featx) -> None:
    words = ("advise", "photos", "--base", "tiny", "--seed")
    negative = featx(*words, "-1")
    assert negative.exit_code == 2
    assert "-1 is not in the range x>=0" in negative.output
    large = featx(*words, 2**32)
    assert large.exit_code == 1
    assert "'seed' must be an integer of at least 0 and at most 4294967295" in large.error


@pytest.mark.parametrize(
    ("text", "size"),
    [("8GB", 8 * 10**9), ("500 MB", 5 * 10**8), ("1.5k", 1500), ("123", 123), ("2 TB", 2 * 10**12)],
)
def test_amounts_of_memory_are_read_with_their_unit(text: str, size: int) -> None:
    assert parse_memory(None, None, text) == size  # type: ignore[arg-type]


@pytest.mark.parametrize("text", ["much", "8 gigs", "-1GB", "0", "0.1"])
def test_what_is_not_an_amount_of_memory_is_bad_usage(featx: Featx, text: str) -> None:
    result = featx("fit", "photos", "--base", "tiny", "--layer", "layer1", "--clf", "svm", "--memory", text)
    assert result.exit_code == 2
    assert "like 8GB or 500MB" in result.output


def test_of_several_bases_the_first_has_weights_and_size_and_all_have_the_rest() -> None:
    received: dict[str, Any] = {}

    @click.command()
    @several_bases
    def command(**options: Any) -> None:
        received.update(options)

    words = "--base tiny --weights random --resize 32 --crop 24 --base hog --base lbp"
    of_all = {"precision": "bfloat16", "value_range": "0:4095", "decode": "scaled"}
    words += " --precision bfloat16 --value-range 0:4095 --decode scaled"
    command.main(words.split(), standalone_mode=False)
    assert received["base"] == BaseChoice("tiny", "random", 32, 24, **of_all)
    assert received["beside"] == (BaseChoice("hog", **of_all), BaseChoice("lbp", **of_all))


def test_what_only_the_request_can_check_is_one_line_and_exits_with_1(photos: Path, cache: Path) -> None:
    done = process("extract", photos, "--base", "tiny", "-l", "layer1", "--engine", "torhc", "--cache", cache)
    assert done.returncode == 1
    assert done.stderr.startswith("error: unknown engine 'torhc'. Did you mean 'torch'?")
    assert len(done.stderr.strip().splitlines()) == 1


def test_a_table_is_read_with_its_columns_and_every_note_is_one_line(photos: Path, cache: Path, tmp_path: Path) -> None:
    rows = [f"{path.relative_to(tmp_path)};{path.parent.name};7" for path in sorted(photos.rglob("*.png"))]
    (tmp_path / "t.csv").write_text("\n".join(["where;kind;age", *rows]))
    words = [tmp_path / "t.csv", "--path-column", "where", "--label-column", "kind"]
    base = ["--base", "tiny", "--weights", "random", "--cache", cache]
    done = process("extract", *words, *base, "--layer", "layer1")
    assert (done.returncode, done.stdout[:30]) == (0, "36 images: 0 cached, 36 extrac")
    notes = [line for line in done.stderr.splitlines() if line.startswith("note: ")]
    assert notes == [f"note: '{tmp_path}/t.csv': fields are separated by ';'; ignored column: age"]
    done = process("fit", *words, *base, "--layer", "layer1", "--clf", "logreg", "-q")
    assert (done.returncode, done.stderr) == (0, "")
    assert "green" in done.stdout
    done = process("fit", photos, *words[1:], *base, "--layer", "layer1", "--clf", "logreg")
    assert done.returncode == 1
    assert "is not a table: --path-column and --label-column are for CSV" in done.stderr


def test_an_unknown_command_names_the_nearest_and_exits_with_2(featx: Featx) -> None:
    result = featx("extrct")
    assert result.exit_code == 2
    assert "Did you mean 'extract'" in result.output


def test_extract_closes_with_one_line_of_figures(featx: Featx, photos: Path, cache: Path) -> None:
    result = featx("extract", photos, "--base", "tiny", "--weights", "random", "--layer", "layer2", "--cache", cache)
    assert result.exit_code == 0
    assert result.stdout.startswith("36 images: 0 cached, 36 extracted, 0 failed, ")
    assert result.stdout.rstrip().endswith("images/s")
    again = featx("extract", photos, "--base", "tiny", "--weights", "random", "--layer", "layer2", "--cache", cache)
    assert again.stdout.startswith("36 images: 36 cached, 0 extracted, 0 failed, ")
    assert again.stdout.rstrip().endswith(" s"), "nothing was computed, so there is no rate"


def test_json_is_all_there_is_on_stdout_also_when_rows_failed(featx: Featx, photos: Path, cache: Path) -> None:
    (photos / "red" / "bad.png").write_bytes(b"bad")
    result = featx(
        *("extract", photos, "--base", "tiny", "--weights", "random", "-l", "layer2", "--cache", cache, "--json")
    )
    summary = json.loads(result.stdout)
    assert result.exit_code == 1
    assert {"images", "extracted", "cached", "failed", "seconds", "images_per_second"} <= set(summary)
    assert [Path(file["path"]).name for file in summary["failed"]] == ["bad.png"]


def test_fit_and_compare_give_the_fields_that_scripts_rely_on(
    featx: Featx, photos: Path, cache: Path, tmp_path: Path
) -> None:
    base = ("--base", "tiny", "--weights", "random", "--cache", cache)
    featx("extract", photos, *base, "-l", "layer1", "-l", "layer2")
    fields = {"base", "layer", "pooling", "clf", "dim", "n_train", "n_test", "cv_accuracy", "test_accuracy"}
    fields |= {"ci_low", "ci_high", "macro_f1", "fit_seconds"}
    fit = json.loads(featx("fit", photos, *base, "--layer", "layer1", "--clf", "svm", "--json").stdout)
    assert fields <= set(fit)
    table = tmp_path / "table.csv"
    result = featx("compare", photos, *base, "--clf", "logreg", "--clf", "svm", "--json", "--csv", table)
    rows = json.loads(result.stdout)
    assert len(rows) == 4
    assert all(fields <= set(row) for row in rows)
    with table.open() as lines:
        assert [row["layer"] for row in csv.DictReader(lines)] == ["layer1", "layer1", "layer2", "layer2"]


def test_the_table_marks_one_row_as_the_best(featx: Featx, photos: Path, cache: Path) -> None:
    base = ("--base", "tiny", "--weights", "random", "--cache", cache)
    featx("extract", photos, *base, "-l", "layer1", "-l", "layer2")
    lines = featx("compare", photos, *base, "--clf", "svm").stdout.splitlines()
    assert lines[0].split()[:3] == ["layer", "pooling", "clf"]
    assert sum(line.startswith("*") for line in lines) == 1


def test_run_carries_out_an_experiment_and_says_what_a_second_run_costs(
    featx: Featx, photos: Path, cache: Path, tmp_path: Path
) -> None:
    experiment = tmp_path / "colours.toml"
    experiment.write_text(
        f'data = "{photos.name}"\nbase = "tiny"\nweights = "random"\nlayers = ["layer1"]\nclassifiers = ["svm"]'
    )
    first = featx("run", experiment, "--cache", cache)
    assert first.exit_code == 0
    assert "36 extracted" in first.stdout
    second = featx("run", experiment, "--cache", cache)
    assert "36 cached, 0 extracted" in second.stdout
    assert "Nothing was extracted" in second.stdout


def test_cache_ls_shows_what_is_there(featx: Featx, photos: Path, cache: Path) -> None:
    assert "holds no features yet" in featx("cache", "ls", "--cache", cache).stdout
    featx("extract", photos, "--base", "tiny", "--weights", "random", "-l", "layer1", "--cache", cache)
    (row,) = json.loads(featx("cache", "ls", "--cache", cache, "--json").stdout)
    assert (row["images"], row["shape"], row["source"]) == (36, [32], "random")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--base", "resnet", "-l", "layer1"), "unknown base 'resnet'. Did you mean 'resnet"),
        (("--base", "tiny", "-l", "layer11"), "unknown layer of tiny 'layer11'. Did you mean 'layer1'"),
        (("--base", "tiny", "--weights", "no.pth", "-l", "layer1"), "weights file 'no.pth' does not exist"),
    ],
)
def test_bad_input_is_one_clear_line_and_nothing_is_written(
    photos: Path, cache: Path, words: tuple[str, ...], message: str
) -> None:
    done = process("extract", photos, *words, "--cache", cache)
    assert done.returncode == 1
    assert done.stderr.startswith("error: ")
    assert message in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert not cache.exists()


def test_an_unwritable_cache_is_known_before_anything_is_computed(photos: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    base = ("--base", "tiny", "--weights", "random", "-l", "layer1")
    done = process("extract", photos, *base, "--cache", tmp_path / "file" / "cache")
    assert done.returncode == 1
    assert "cannot be written" in done.stderr
    assert "Traceback" not in done.stderr


def test_no_layer_is_bad_usage(featx: Featx, photos: Path) -> None:
    result = featx("extract", photos, "--base", "tiny")
    assert result.exit_code == 2
    assert "give --layer once or more" in result.output


@pytest.mark.parametrize("shard", ["0/3", "4/3", "x", "1/"])
def test_an_impossible_share_is_bad_usage(featx: Featx, photos: Path, shard: str) -> None:
    result = featx("extract", photos, "--base", "tiny", "-l", "layer1", "--shard", shard)
    assert result.exit_code == 2
    assert "such as 2/8" in result.output


def test_comparing_without_the_mlp_does_not_import_torch(featx: Featx, photos: Path, cache: Path) -> None:
    base = ["--base", "tiny", "--weights", "random", "--cache", str(cache)]
    featx("extract", photos, *base, "-l", "layer1")
    script = (
        "import sys; from featx.cli.main import run\n"
        f"try: run({['compare', str(photos), *base, '--clf', 'logreg', '--clf', 'svm']!r})\n"
        "except SystemExit as end: sys.exit(end.code or ('torch' in sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_new_image_of_one_class_does_not_stop_extraction(featx: Featx, tmp_path: Path, cache: Path) -> None:
    (tmp_path / "one" / "red").mkdir(parents=True)
    picture(1, 0).save(tmp_path / "one" / "red" / "1.png")
    base = ("--base", "tiny", "--weights", "random", "--cache", cache)
    assert featx("extract", tmp_path / "one", *base, "-l", "layer1").exit_code == 0
    result = featx("compare", tmp_path / "one", *base)
    assert result.exit_code == 1
    assert "one class only" in result.error


def test_a_cache_that_was_extracted_and_compared_has_no_problems(featx: Featx, photos: Path, cache: Path) -> None:
    base = ("--base", "tiny", "--weights", "random", "--cache", cache)
    featx("extract", photos, *base, "-l", "layer1")
    featx("compare", photos, *base, "--clf", "svm")
    result = featx("cache", "verify", "--cache", cache, "--json")
    assert result.exit_code == 0
    assert json.loads(result.stdout)["problems"] == []


def test_layers_shows_the_table_and_as_json_one_object_a_stage(featx: Featx) -> None:
    text = featx("layers", "tiny").stdout
    assert "layer3" in text
    assert "1,252,100 parameters" in text
    rows = json.loads(featx("layers", "tiny", "--json").stdout)
    assert [row["name"] for row in rows][:3] == ["stem", "layer1", "layer2"]
    assert rows[1]["bytes"]["flat"] == 4 * 32 * 32 * 32
    assert rows[-1]["total_multiply_adds"] > 6e7


def test_warnings_stand_on_lines_of_their_own_above_a_progress_bar(capsys: pytest.CaptureFixture[str]) -> None:
    set_up_logging(0)
    with progress_bar("image", quiet=False) as show:
        assert show is not None
        show(1, 3)
        logging.getLogger("featx").warning("odd")
    before, warning, _ = capsys.readouterr().err.partition("\rwarning: odd\n")
    assert "/3 [" in before
    assert warning


def test_a_progress_bar_says_what_the_work_is_waiting_for(capsys: pytest.CaptureFixture[str]) -> None:
    with progress_bar("image", quiet=False) as show:
        assert isinstance(show, NotedProgress)
        show.note("decoding is the bottleneck: 75%")
        show(1, 3)
        assert "decoding is the bottleneck: 75%" in capsys.readouterr().err
        show.note("")
        time.sleep(2 * BAR_SECONDS)
        show(2, 3)
        shown = capsys.readouterr().err
    assert "2/3" in shown
    assert "bottleneck" not in shown


def test_line_breaks_in_names_break_no_line(featx: Featx, photos: Path, cache: Path, tmp_path: Path) -> None:
    (photos / "red").rename(photos / "r\ned")
    (photos / "blue" / "a\nb.png").write_bytes(b"")
    base = ("--base", "tiny", "--layer", "layer4", "--cache", cache)
    extracted = featx("extract", photos, *base)
    assert f"failed: {photos}/blue/a\\nb.png: empty file" in extracted.stderr.splitlines()
    fitted = featx("fit", photos, *base, "--clf", "logreg", "--out", tmp_path / "m.featx")
    assert any(line.startswith("r\\ned ") for line in fitted.stdout.splitlines())
    predicted = featx("predict", tmp_path / "m.featx", photos / "r\ned", "-q")
    assert len(predicted.stdout.splitlines()) == 2 + 12


def test_score_and_predict_take_the_columns_of_tables(featx: Featx, photos: Path, cache: Path, tmp_path: Path) -> None:
    base = ("--base", "tiny", "--layer", "layer4", "--cache", cache)
    featx("extract", photos, *base)
    featx("fit", photos, *base, "--clf", "logreg", "--out", tmp_path / "m.featx")
    (photos / "t.csv").write_text("where,what,path,label\nred/00.png,red,x,y\nblue/00.png,blue,x,y\n")
    columns = ("--path-column", "where", "--label-column", "what")
    scored = featx("score", tmp_path / "m.featx", photos / "t.csv", *columns, "--json")
    assert json.loads(scored.stdout)["n_test"] == 2
    predicted = featx("predict", tmp_path / "m.featx", photos / "t.csv", "--path-column", "where", "--json")
    assert [entry["label"] for entry in json.loads(predicted.stdout)] == ["red", "blue"]
