"""The small inputs of ../shared/data/found, which earlier versions misread: every row of their table.

Cases made by code, of the same kinds, stand in the other files here; these are the very inputs, where they are at hand.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.corpus.making import fill
from tests.corpus.typing_in import LAYER, Outcome, check_error, check_said, type_apart, type_here

ROOT = Path(__file__).resolve().parents[2]

WEIGHTS = ROOT / "featx" / "bases" / "pretrained" / "tiny-cifar100.safetensors"

FOLDERS: dict[str, tuple[int, int, list[str], tuple[str, ...]]] = {
    "01_macosx": (16, 8, ["ants", "bees"], ("splits: train, val", "1 side folder (__MACOSX)")),
    "02_testing": (16, 8, ["ants", "bees"], ("'testing' is test",)),
    "09_mvtec": (8, 6, ["bottle", "cable"], ("splits: train, test (from folder names) inside the class folders",)),
    "10_class_named_label": (15, 5, ["label", "other", "path", "probability"], ()),
    "11_thumbs": (6, 2, ["ants", "bees"], ("2 side folders (.ipynb_checkpoints, @eaDir)",)),
    "14_case": (0, 0, ["Cats", "cats", "dogs"], ("'Cats' and 'cats'",)),
    "16_sidecars": (0, 0, ["ants", "bees"], ("25 files that are not pictures (.json 25)",)),
    "17_two_of_a_class": (0, 0, ["ants", "bees"], ()),
}
"""Images trained on and held out, classes, and what is said."""

TABLES: dict[str, tuple[str, ...]] = {
    "Split_capital.csv": ("splits are from column 'Split'",),
    "is_valid.csv": ("splits are from column 'is_valid' (true: val, false: train)",),
    "duplicate_rows.csv": (),
    "trailing_space.csv": ("blanks around labels are taken off",),
    "patient.csv": ("column 'patient' is for training and evaluation only",),
    "semicolon.csv": ("fields are separated by ';'",),
    "upper_header.csv": ("paths are from column 'Path'; labels are from column 'Label'",),
    "file_name.csv": ("paths are from column 'file_name'",),
    "windows_paths.csv": ("backslashes in paths are read as slashes",),
}

WRONG_TABLES = {
    "latin1.csv": "latin1.csv', line 2: byte 0xe9 is not UTF-8 (in Latin-1 it is 'é'): save the file as UTF-8",
    "nul.csv": "there is a NUL byte, so the file is damaged: save it anew as UTF-8",
    "unquoted_comma.csv": "line 2 has 3 fields; the header has 2: put quotes around a value that holds a comma",
}

WRONG_TOML = {
    "batch_size.toml": "'batch_size' must be an integer of at least 1 and at most 65536, not -1",
    "dropout.toml": "'dropout' must be a number of at least 0 and below 1, not 2",
    "precision.toml": "unknown precision 'fp16'",
    "seed.toml": "'seed' must be an integer of at least 0 and at most 4294967295, not -1",
    "workers.toml": "'workers' must be an integer of at least 1 and at most 1024, not -2",
}

SOUND_CHECKPOINTS = {
    **dict.fromkeys(("dp.pth", "model_best.pth.tar", "lit.ckpt", "lit.pth", "lit_ns.pth", "lit_hp.pth", "lit_net.pth")),
    **dict.fromkeys(("enc.pth", "half.pth", "weights_key.pth", "net_key.pth", "params.pth", "legacy.pth")),
    "pytorch_model.bin": None,
    "lit_loss.pth": "ignored: 1 tensor (criterion.weight)",
    "lit_metric.pth": "ignored: 1 tensor (train_acc.tp)",
    "moco.pth": "'state_dict module.encoder_q.' are taken; ignored: those of 'state_dict module.encoder_k.'",
    "ema.pth": "the tensors of 'model_ema' are taken; ignored: those of 'model'",
    "timm_ema.pth.tar": "the tensors of 'state_dict_ema' are taken; ignored: those of 'state_dict'",
}

WRONG_CHECKPOINTS = {
    "whole.pth": "is a whole pickled model (M): save its state_dict()",
    "jit.pt": "is a TorchScript program: save its state_dict()",
    "html.pth": "is a web page: the download failed",
    "lfs.pth": "is a Git LFS pointer, not the file itself: run git lfs pull",
    "empty.pth": "it is empty",
    "trunc.pth": "it is truncated or damaged",
    "trunc.safetensors": "it is truncated or damaged",
    "list.pth": "it holds no named tensors but a list",
    "tensor.pth": "it holds no named tensors but a Tensor",
}

ODD_FOLDERS: dict[str, tuple[str, ...]] = {
    "n2": (),
    "n3": (),
    os.fsdecode(b"n4\xe9"): (),
    "s2": ("1 link to a folder that is read where it lies (loop)",),
    "s3": ("1 link to a folder that is read where it lies (self)",),
    "e1": ("1 folder without pictures (wasps)",),
    "e6": (),
    "e7": (),
    "many": (),
    "deep": ("count for the class; names of folders that deep are not read",),
}

WRONG_FOLDERS = {
    "n1": "mixes splits with other folders: 'train' is the name of a split",
    "e2": "its class folders hold no images",
    "e3": "holds no class folders. Expected is e3/CLASS/photo.jpg",
}


@pytest.fixture
def own_store(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep other weights out of the store that the corpus shares, where they would leave a choice."""
    monkeypatch.setenv("FEATX_CACHE", str(here / "own"))


@pytest.fixture
def found(shared: Path) -> Path:
    folder = shared / "data" / "found"
    if not folder.is_dir():
        pytest.skip("../shared/data/found is not there")
    return folder


def make(found: Path, script: str, *args: object) -> None:
    """Let a script of those inputs make more of them in the current folder."""
    subprocess.run(
        [sys.executable, found / script, *map(str, args)],
        check=True,
        capture_output=True,
        env={**os.environ, "PYTHONPATH": str(found)},
    )


def fit(data: str, *flags: object) -> Outcome:
    return type_here("fit", data, *LAYER, *flags, "--clf", "logreg", "--json")


@pytest.mark.slow
@pytest.mark.parametrize("name", FOLDERS)
def test_folders(name: str, found: Path, here: Path) -> None:
    trained, held_out, classes, said = FOLDERS[name]
    shutil.copytree(found / name, here / name)
    extracted = type_here("extract", name, *LAYER)
    assert extracted.code == 0, str(extracted)
    check_said(extracted, extracted.remarks, said)
    fitted = fit(name)
    assert fitted.code == 0, str(fitted)
    result = json.loads(fitted.stdout)
    assert result["classes"] == classes
    if trained:
        assert (result["n_train"], result["n_test"]) == (trained, held_out)


@pytest.mark.slow
def test_columns_of_probabilities_collide_with_no_class(found: Path, here: Path) -> None:
    shutil.copytree(found / "10_class_named_label", here / "photos")
    type_here("extract", "photos", *LAYER)
    fit("photos", "--out", "m.featx")
    assert type_here("predict", "m.featx", "photos", "--csv", "labels.csv").code == 0
    header = (here / "labels.csv").read_text().splitlines()[0].split(",")
    of_classes = ["p(label)", "p(other)", "p(path)", "p(probability)"]
    assert header == ["path", "label", "probability", *of_classes, "reason", "strangeness"]


@pytest.mark.slow
def test_a_store_in_the_data_is_no_class(found: Path, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(found / "03_cd_extract_dot", here, dirs_exist_ok=True)
    monkeypatch.delenv("FEATX_CACHE")
    assert type_apart("extract", ".", *LAYER).code == 0
    fitted = type_apart("fit", ".", *LAYER, "--clf", "logreg", "--json")
    assert json.loads(fitted.stdout)["classes"] == ["ants", "bees"]
    assert any("1 feature store of featx (cache)" in line for line in fitted.remarks), str(fitted)


@pytest.mark.slow
def test_float_pictures_give_what_those_of_8_bits_give(found: Path, here: Path) -> None:
    results = {}
    for name, flags in (("06_float_tiff", ("--value-range", "0:255")), ("06_same_as_8bit", ())):
        shutil.copytree(found / name, here / name)
        extracted = type_here("extract", name, *LAYER, *flags)
        assert (extracted.code, extracted.remarks) == (0, []), str(extracted)
        results[name] = json.loads(fit(name, *flags).stdout)["test_accuracy"]
    assert results["06_float_tiff"] == results["06_same_as_8bit"] == 1.0
    unranged = type_here("extract", "06_float_tiff", *LAYER)
    check_said(unranged, unranged.remarks, ["hold 10.0043 to 229.995, beyond 0 to 1: give --value-range 0:255"])


@pytest.mark.slow
def test_ten_bits_in_sixteen_are_warned_of_unless_the_range_is_given(found: Path, here: Path) -> None:
    shutil.copytree(found / "07_10bit_in_16bit", here / "photos")
    extracted = type_here("extract", "photos", *LAYER)
    assert any("--value-range 0:1023" in line for line in extracted.remarks), str(extracted)
    ranged = type_here("extract", "photos", *LAYER, "--value-range", "0:1023")
    assert not any("--value-range" in line for line in ranged.remarks), str(ranged)


@pytest.mark.slow
def test_a_folder_called_digits_leaves_a_choice(found: Path, here: Path) -> None:
    shutil.copytree(found / "08_digits", here, dirs_exist_ok=True)
    check_error(type_here("extract", "digits", *LAYER), "write './digits' for the folder, or 'builtin:digits'")
    assert type_here("extract", "./digits", *LAYER).code == 0


@pytest.mark.slow
@pytest.mark.parametrize("name", TABLES)
def test_tables(name: str, found: Path, here: Path) -> None:
    shutil.copytree(found / "csv", here, dirs_exist_ok=True)
    extracted = type_here("extract", name, *LAYER)
    assert extracted.code == 0, str(extracted)
    check_said(extracted, extracted.remarks, TABLES[name])
    fitted = fit(name)
    assert json.loads(fitted.stdout)["classes"] == ["ants", "bees"], str(fitted)
    repeated = [line for line in fitted.remarks if "repetitions of others and count once" in line]
    assert len(repeated) == (name == "duplicate_rows.csv")


@pytest.mark.slow
@pytest.mark.parametrize("name", WRONG_TABLES)
def test_tables_that_cannot_be_read(name: str, found: Path, here: Path) -> None:
    shutil.copytree(found / "csv", here, dirs_exist_ok=True)
    check_error(type_here("extract", name, *LAYER), WRONG_TABLES[name])
    check_error(fit(name), WRONG_TABLES[name])


@pytest.mark.slow
@pytest.mark.parametrize("name", WRONG_TOML)
def test_toml_that_cannot_be_carried_out(name: str, found: Path, here: Path) -> None:
    check_error(type_here("run", shutil.copy(found / "toml" / name, here)), WRONG_TOML[name])


@pytest.mark.slow
def test_toml_with_a_mark(found: Path, here: Path) -> None:
    fill(here / "05_train_val_test", {"train/ants": 6, "train/bees": 6, "test/ants": 2, "test/bees": 2})
    (here / "toml").mkdir()
    outcome = type_here("run", shutil.copy(found / "toml" / "bom.toml", here / "toml"))
    assert outcome.code == 0, str(outcome)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform in ("win32", "darwin"), reason="names are Unicode there")
def test_odd_names_and_links(found: Path, here: Path) -> None:
    make(found, "make_odd_names.py")
    for name, said in ODD_FOLDERS.items():
        extracted = type_here("extract", name, *LAYER)
        assert extracted.code == 0, str(extracted)
        check_said(extracted, extracted.remarks, said)
        assert fit(name).code == 0, str(fit(name))
    for name, phrase in WRONG_FOLDERS.items():
        check_error(type_here("extract", name, *LAYER), phrase)
    for name, failed in (("s1", "dangling.jpg: No such file"), ("s4", "pipe.jpg: is a named pipe, not a file")):
        extracted = type_here("extract", name, *LAYER)
        assert extracted.code == 1, str(extracted)
        check_said(extracted, extracted.failed, [failed])
        assert fit(name).code == 0


@pytest.mark.slow
@pytest.mark.usefixtures("own_store")
def test_checkpoints_in_every_wrapping_are_one_base(found: Path, here: Path) -> None:
    fill(here / "photos", {"ants": 8, "bees": 8})
    type_here("extract", "photos", *LAYER)
    make(found, "make_checkpoints.py", WEIGHTS)
    for name, said in SOUND_CHECKPOINTS.items():
        extracted = type_here("extract", "photos", *LAYER, "--weights", f"wt/{name}", "--json")
        assert extracted.code == 0, str(extracted)
        assert json.loads(extracted.stdout)["cached"] == 16, str(extracted)
        check_said(extracted, extracted.remarks, [said] if said else [])
    for name, phrase in WRONG_CHECKPOINTS.items():
        check_error(type_here("extract", "photos", *LAYER, "--weights", f"wt/{name}"), phrase)
    other = type_here("extract", "photos", *LAYER, "--weights", "wt/two_class.pth", "--json")
    assert json.loads(other.stdout)["extracted"] == 16
    check_said(other, other.remarks, ["the base is loaded without its classifier"])


@pytest.mark.slow
@pytest.mark.usefixtures("own_store")
def test_weights_that_give_nothing_are_named(found: Path, here: Path) -> None:
    fill(here / "photos", {"ants": 8, "bees": 8})
    (here / "wt").mkdir()
    make(found, "make_nan_zero_weights.py", WEIGHTS)
    for name in ("nan.pth", "huge.pth"):
        check_error(type_here("extract", "photos", *LAYER, "--weights", f"wt/{name}"), "are NaN or infinite")
    zero = ("--weights", "wt/zero.pth")
    assert type_here("extract", "photos", *LAYER, *zero).code == 0
    fitted = type_here("fit", "photos", *LAYER, *zero, "--clf", "logreg")
    assert "are all zero" in fitted.stdout, str(fitted)
    assert "NaN" not in fit("photos", *zero).stdout


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux") or not shutil.which("cc"), reason="needs a C compiler")
@pytest.mark.parametrize("refused", ["NO_DIRSYNC", "NO_SYNC", "NO_LOCK"])
def test_file_systems_that_refuse_are_forgiven_once(refused: str, found: Path, here: Path) -> None:
    subprocess.run(["cc", "-shared", "-fPIC", "-o", here / "nofs.so", found / "nofs.c", "-ldl"], check=True)
    fill(here / "photos", {"ants": 8, "bees": 8})
    environment = {"LD_PRELOAD": str(here / "nofs.so"), refused: "1", "FEATX_CACHE": "own"}
    extracted = type_apart("extract", "photos", *LAYER, **environment)
    assert extracted.code == 0, str(extracted)
    check_said(extracted, extracted.remarks, ["cannot sync or lock"])
    fitted = type_apart("fit", "photos", *LAYER, "--clf", "logreg", "--out", "m.featx", **environment)
    assert fitted.code == 0, str(fitted)
    assert type_apart("predict", "m.featx", "photos", **environment).code == 0
    assert type_apart("cache", "verify", **environment).code == 0
