from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from featx.evaluation.records import load_record, record_file, save_record
from featx.evaluation.result_cache import checksum_record
from featx.ladder.kept import KeptTrial, keep_trial
from featx.selection.trials import Trial

STATED = {"rows": "a", "views": (1, 2)}


def make_trial(figures: list[float] | None = None) -> Trial:
    accuracies = np.array([0.5, 0.75])
    return Trial("svm", {"C": 0.1}, accuracies, None if figures is None else np.array(figures), 2, 1.25)


@pytest.mark.parametrize("figures", [None, [0.25, np.nan]])
def test_a_trial_comes_back_as_it_was(cache: Path, figures: list[float] | None) -> None:
    trial = make_trial(figures)
    save_record(cache, "trial", STATED, keep_trial(trial))
    kept = load_record(cache, "trial", STATED, KeptTrial)
    assert kept is not None
    again = kept.to_trial("svm")
    assert again.accuracies.tolist() == trial.accuracies.tolist()
    assert (again.clf, again.params, again.folds, again.seconds) == ("svm", {"C": 0.1}, 2, 1.25)
    np.testing.assert_array_equal(again.rates, trial.rates)


def test_nothing_is_found_for_another_request(cache: Path) -> None:
    save_record(cache, "trial", STATED, keep_trial(make_trial()))
    assert load_record(cache, "trial", {**STATED, "rows": "b"}, KeptTrial) is None
    assert load_record(cache, "shortlist", STATED, KeptTrial) is None


def test_a_record_in_the_place_of_another_is_passed_over(cache: Path) -> None:
    save_record(cache, "trial", STATED, keep_trial(make_trial()))
    other = {"rows": "b"}
    record_file(cache, "trial", STATED).rename(record_file(cache, "trial", other))
    assert load_record(cache, "trial", other, KeptTrial) is None


def test_a_flipped_digit_is_noticed(cache: Path) -> None:
    save_record(cache, "trial", STATED, keep_trial(make_trial()))
    file = record_file(cache, "trial", STATED)
    file.write_text(file.read_text().replace("0.75", "0.76"))
    assert load_record(cache, "trial", STATED, KeptTrial) is None


@pytest.mark.parametrize(
    "values",
    [
        {"params": {}, "accuracies": [], "figures": None, "folds": 2, "seconds": 1},
        {"params": {}, "accuracies": [2.0], "figures": None, "folds": 2, "seconds": 1},
        {"params": {}, "accuracies": [0.5], "figures": [0.5, 0.5], "folds": 2, "seconds": 1},
        {"params": {}, "accuracies": [0.5], "figures": None, "folds": 2, "seconds": 1, "more": 1},
        [],
    ],
)
def test_values_that_no_trial_has_are_passed_over_whatever_their_checksum_says(cache: Path, values: object) -> None:
    save_record(cache, "trial", STATED, keep_trial(make_trial()))
    file = record_file(cache, "trial", STATED)
    record = {**json.loads(file.read_text()), "values": values}
    file.write_text(json.dumps({**record, "checksum": checksum_record(record)}))
    assert load_record(cache, "trial", STATED, KeptTrial) is None


@pytest.mark.parametrize("text", ["", "[]", "null", "{", "[" * 100_000])
def test_what_is_no_record_is_passed_over(cache: Path, text: str) -> None:
    file = record_file(cache, "trial", STATED)
    file.parent.mkdir(parents=True)
    file.write_text(text)
    assert load_record(cache, "trial", STATED, KeptTrial) is None


def test_a_cache_that_cannot_be_written_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    save_record(tmp_path / "file", "trial", STATED, keep_trial(make_trial()))
    assert load_record(tmp_path / "file", "trial", STATED, KeptTrial) is None
