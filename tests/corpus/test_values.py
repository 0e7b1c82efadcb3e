"""Values that people write into TOML files and flags: one set of checks, one line of error."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.corpus.making import fill
from tests.corpus.typing_in import LAYER, check_error, type_here

EXPERIMENT = 'data = "photos"\nbase = "tiny"\nlayers = ["layer4"]\nclassifiers = ["logreg"]\n'

WRONG_VALUES = {
    "seed = -1": "'seed' must be an integer of at least 0 and at most 4294967295, not -1",
    "seed = 1.5": "'seed' must be an integer",
    "seed = nan": "'seed' must be an integer",
    "seed = true": "'seed' must be an integer",
    'seed = "42"': "'seed' must be an integer",
    "seed = 4294967296": "at most 4294967295, not 4294967296",
    "batch_size = 0": "'batch_size' must be an integer of at least 1 and at most 65536, not 0",
    "batch_size = 2.0": "'batch_size' must be an integer of at least 1 and at most 65536, not 2.0",
    'workers = "two"': "'workers' must be an integer of at least 1 and at most 1024, not 'two'",
    'precision = "float16"': "unknown precision 'float16'. Did you mean 'bfloat16'?",
    'poolings = "avg"': "'poolings' must be a list of strings (at least 1), not 'avg'",
    'poolings = ["mean"]': "unknown pooling 'mean'. Did you mean 'max'?",
    "views = 0": "'views' must be an integer of at least 1, not 0",
    "test_views = 2": "'test_views' is 2, but 'views' is 1",
    'value_range = "4095"': "invalid value range '4095': write LOW:HIGH",
    "value_range = [5, 1]": "invalid value range",
    'device = "gpu"': "'device' is 'gpu': choose auto, cpu or cuda",
    'layer = ["layer4"]': "unknown key 'layer'. Did you mean 'layers'?",
    "lairs = 3": "unknown key 'lairs'. Did you mean 'layers'?",
    "path_column = 3": "'path_column' must be a string, not 3",
    'classifiers = ["x"]': "is not valid TOML: Cannot overwrite a value",
    "seed = ": "is not valid TOML: Invalid value (at line 5",
    "[finetune]": "'from' is missing",
    '[finetune]\nfrom = "layer4"\ndropout = 1.5': "'dropout' must be a number of at least 0 and below 1, not 1.5",
    '[finetune]\nfrom = "layer4"\nepochs = -1': "'epochs' must be an integer of at least 0, not -1",
}

WRONG_FILES = {
    "UTF-16": (EXPERIMENT.encode("utf-16"), "line 1: the file is UTF-16: save it as UTF-8"),
    "Latin-1": ("# caf\xe9\n".encode("latin-1") + EXPERIMENT.encode(), "line 1: byte 0xe9 is not UTF-8"),
    "nothing": (b"", "'data' is missing; 'base' is missing; 'layers' is missing"),
    "JSON": (b'{"data": "photos"}', "is not valid TOML: Invalid statement (at line 1"),
    "no such data": (EXPERIMENT.replace("photos", "nowhere").encode(), "'nowhere' does not exist"),
    "no such base": (EXPERIMENT.replace("tiny", "tinny").encode(), "unknown base 'tinny'. Did you mean 'tiny'?"),
}

SOUND_FILES = {
    "plain": EXPERIMENT.encode(),
    "a mark": b"\xef\xbb\xbf" + EXPERIMENT.encode(),
    "Windows": EXPERIMENT.replace("\n", "\r\n").encode(),
    "the home folder": EXPERIMENT.replace("photos", "~/photos").encode(),
}

BAD_USAGE = [
    *(("fit", "--clf", "logreg", "--seed", seed) for seed in ("-1", "1.5", "1e3", "x", "")),
    *(("extract", "--batch-size", size) for size in ("0", "-1", "1.5", "x")),
    *(("extract", "--value-range", text) for text in ("4095", "5:5", "9:1", "nan:1", "a:b")),
    *(("extract", flag, "0") for flag in ("--workers", "--views", "--resize", "--crop", "--shard")),
    ("extract", "--shard", "3/2"),
    ("extract", "--precision", "float16"),
    ("fit", "--clf", "logreg", "--memory", "lots"),
    ("fit", "--clf", "logreg", "--out", "photos"),
]

REFUSED_VALUES = {
    (
        "fit",
        "--clf",
        "logreg",
        "--seed",
        "4294967296",
    ): "'seed' must be an integer of at least 0 and at most 4294967295",
    ("fit", "--clf", "logreg", "--seed", "99999999999999999999"): "'seed' must be an integer",
    ("fit", "--clf", "lograg"): "unknown classifier 'lograg'. Did you mean 'logreg'?",
    ("fit", "--clf", "logreg", "--test-views", "2"): "'test_views' is 2, but 'views' is 1",
    ("extract", "--layer", "layer9"): "unknown layer of tiny 'layer9'. Did you mean 'layer4'?",
    ("extract", "--device", "gpu"): "unknown device 'gpu'. Did you mean 'cpu'?",
    ("extract", "--pooling", "mean"): "unknown pooling 'mean'",
    ("extract", "--weights", "nowhere.pth"): "weights file 'nowhere.pth' does not exist",
}


@pytest.fixture(autouse=True)
def photos(here: Path) -> None:
    """Make a sound data set, and extract it."""
    fill(here / "photos", {"ants": 8, "bees": 8})
    assert type_here("extract", "photos", *LAYER).code == 0


@pytest.mark.parametrize("line", WRONG_VALUES)
def test_a_wrong_value_in_toml_is_one_line(line: str, here: Path) -> None:
    (here / "x.toml").write_text(EXPERIMENT + line + "\n")
    check_error(type_here("run", "x.toml"), WRONG_VALUES[line])


@pytest.mark.parametrize("name", WRONG_FILES)
def test_a_wrong_file_is_one_line(name: str, here: Path) -> None:
    content, phrase = WRONG_FILES[name]
    (here / "x.toml").write_bytes(content)
    check_error(type_here("run", "x.toml"), phrase)


@pytest.mark.parametrize("name", SOUND_FILES)
def test_a_sound_file_is_carried_out(name: str, here: Path) -> None:
    (here / "x.toml").write_bytes(SOUND_FILES[name])
    outcome = type_here("run", "x.toml")
    assert outcome.code == 0, str(outcome)


@pytest.mark.parametrize("typed", BAD_USAGE, ids=" ".join)
def test_a_flag_that_cannot_be_is_bad_usage(typed: tuple[str, ...]) -> None:
    command, *flags = typed
    outcome = type_here(command, "photos", *LAYER, *flags)
    assert outcome.code == 2, str(outcome)
    assert any(line.startswith(f"Error: Invalid value for '{flags[-2]}'") for line in outcome.lines), str(outcome)


@pytest.mark.parametrize("typed", REFUSED_VALUES, ids=" ".join)
def test_a_flag_that_only_the_request_can_check_is_one_line(typed: tuple[str, ...]) -> None:
    command, *flags = typed
    check_error(type_here(command, "photos", *LAYER, *flags), REFUSED_VALUES[typed])
