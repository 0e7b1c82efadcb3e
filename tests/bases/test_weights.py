from __future__ import annotations

import pickle
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from featx.bases.tiny import tiny
from featx.bases.weights import digest_file, digest_tensors
from featx.bases.zoo import load_base
from featx.errors import UnknownName, WeightsError

State = dict[str, torch.Tensor]


@pytest.fixture
def state() -> State:
    torch.manual_seed(3)
    return {name: tensor.clone() for name, tensor in tiny().state_dict().items()}


def write(state: State, path: Path) -> Path:
    if path.suffix == ".safetensors":
        save_file(state, path)
    else:
        torch.save(state, path)
    return path


def test_one_network_is_one_base_in_every_file_format(state: State, tmp_path: Path) -> None:
    halves = {k: v.half() if v.is_floating_point() else v for k, v in state.items()}
    singles = {k: v.float() if v.is_floating_point() else v for k, v in halves.items()}
    files = [
        write(halves, tmp_path / "half.safetensors"),
        write(singles, tmp_path / "single.safetensors"),
        write(halves, tmp_path / "half.pth"),
        write(singles, tmp_path / "single.pt"),
    ]
    assert len({load_base("tiny", str(file)).id for file in files}) == 1


def test_the_digest_of_a_file_is_the_digest_of_the_loaded_base(state: State, tmp_path: Path) -> None:
    for name in ("w.safetensors", "w.pth"):
        file = write(state, tmp_path / name)
        assert digest_file(file) == load_base("tiny", str(file)).id.weights


def test_a_safetensors_file_is_digested_without_torch(state: State, tmp_path: Path) -> None:
    import subprocess

    file = write(state, tmp_path / "w.safetensors")
    script = (
        "import sys; from pathlib import Path; from featx.bases.weights import digest_file; "
        f"digest_file(Path({str(file)!r})); sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


@pytest.mark.parametrize("change", ["value", "name", "shape"])
def test_other_tensors_have_another_digest(change: str) -> None:
    tensors = {"a": np.arange(6, dtype=np.float32), "b": np.ones(2, np.float32)}
    before = digest_tensors(tensors)
    if change == "value":
        tensors["a"][3] += 1e-6
    elif change == "name":
        tensors["c"] = tensors.pop("a")
    else:
        tensors["a"] = tensors["a"].reshape(2, 3)
    assert digest_tensors(tensors) != before


@pytest.mark.parametrize("wrapped", ["state_dict", "model"])
def test_a_checkpoint_that_wraps_its_tensors_loads(state: State, tmp_path: Path, wrapped: str) -> None:
    plain = load_base("tiny", str(write(state, tmp_path / "plain.pth")))
    torch.save({wrapped: {f"module.{k}": v for k, v in state.items()}, "epoch": 3}, tmp_path / "wrapped.pth")
    assert load_base("tiny", str(tmp_path / "wrapped.pth")).id == plain.id


def test_a_missing_file_says_which_files_are_there(tmp_path: Path) -> None:
    (tmp_path / "other.pth").write_bytes(b"")
    with pytest.raises(WeightsError, match=r"none.pth' does not exist\. .* holds: other.pth"):
        load_base("tiny", str(tmp_path / "none.pth"))


def test_weights_of_another_architecture_are_counted_and_shown(state: State, tmp_path: Path) -> None:
    file = write(state, tmp_path / "tiny.safetensors")
    with pytest.raises(WeightsError, match=r"'tiny.safetensors' holds no weights of resnet18: \d+ tensors are missing"):
        load_base("resnet18", str(file))


def test_another_number_of_classes_is_shown_as_shapes(tmp_path: Path) -> None:
    file = write(tiny(num_classes=7).state_dict(), tmp_path / "w.safetensors")
    with pytest.raises(WeightsError, match=r"2 have another shape \(fc.weight: \(7, 256\), wanted \(100, 256\)\)"):
        load_base("tiny", str(file))


class Bomb:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (Path.touch, (Path("exploded"),))


def test_a_pickle_is_refused_and_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bomb.pth").write_bytes(pickle.dumps({"stem": Bomb()}))
    torch.save({"stem": Bomb()}, tmp_path / "zipped.pth")
    for name in ("bomb.pth", "zipped.pth"):
        with pytest.raises(WeightsError, match="cannot be read"):
            load_base("tiny", name)
    assert not (tmp_path / "exploded").exists()


@pytest.mark.parametrize("name", ["w.safetensors", "w.pth"])
@pytest.mark.parametrize("content", [b"", b"garbage", b"\xff" * 4096])
def test_a_damaged_file_is_one_clear_error(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(WeightsError, match=f"{name}' cannot be read"):
        load_base("tiny", str(tmp_path / name))


def test_an_unknown_weights_name_lists_the_names() -> None:
    with pytest.raises(UnknownName, match="unknown weights of resnet18 'IMAGENET'.*IMAGENET1K_V1.*random"):
        load_base("resnet18", "IMAGENET")


def test_without_network_the_message_says_which_file_to_bring(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")  # nobody listens there
    with pytest.raises(WeightsError, match=r"Bring the file squeezenet1_1-\w+\.pth from https.*--weights PATH"):
        load_base("squeezenet1_1")
