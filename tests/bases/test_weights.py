from __future__ import annotations

import pickle
import re
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from featx.bases.architectures.tiny import tiny
from featx.bases.registry import BASES
from featx.bases.weights import digest_file, digest_tensors
from featx.errors import UnknownName, WeightsError
from tests.conftest import load_base

StateDict = dict[str, torch.Tensor]


@pytest.fixture
def state() -> StateDict:
    torch.manual_seed(3)
    return {name: tensor.clone() for name, tensor in tiny().state_dict().items()}


def write(state: StateDict, path: Path) -> Path:
    if path.suffix == ".safetensors":
        save_file(state, path)
    else:
        torch.save(state, path)
    return path


def test_one_network_is_one_base_in_every_file_format(state: StateDict, tmp_path: Path) -> None:
    halves = {k: v.half() if v.is_floating_point() else v for k, v in state.items()}
    singles = {k: v.float() if v.is_floating_point() else v for k, v in halves.items()}
    files = [
        write(halves, tmp_path / "half.safetensors"),
        write(singles, tmp_path / "single.safetensors"),
        write(halves, tmp_path / "half.pth"),
        write(singles, tmp_path / "single.pt"),
    ]
    assert len({load_base("tiny", str(file)).id for file in files}) == 1


def test_the_digest_of_a_file_is_the_digest_of_the_loaded_base(state: StateDict, tmp_path: Path) -> None:
    for name in ("w.safetensors", "w.pth"):
        file = write(state, tmp_path / name)
        assert digest_file(file) == load_base("tiny", str(file)).id.weights


def test_a_safetensors_file_is_digested_without_torch(state: StateDict, tmp_path: Path) -> None:
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
def test_a_checkpoint_that_wraps_its_tensors_loads(state: StateDict, tmp_path: Path, wrapped: str) -> None:
    plain = load_base("tiny", str(write(state, tmp_path / "plain.pth")))
    torch.save({wrapped: {f"module.{k}": v for k, v in state.items()}, "epoch": 3}, tmp_path / "wrapped.pth")
    assert load_base("tiny", str(tmp_path / "wrapped.pth")).id == plain.id


def test_a_missing_file_says_which_files_are_there(tmp_path: Path) -> None:
    (tmp_path / "other.pth").write_bytes(b"")
    with pytest.raises(WeightsError, match=r"none.pth' does not exist\. .* holds: other.pth"):
        load_base("tiny", str(tmp_path / "none.pth"))


def test_a_folder_is_not_a_weights_file(tmp_path: Path) -> None:
    (tmp_path / "w.pth").mkdir()
    with pytest.raises(WeightsError, match=r"weights file '.*w.pth' is not a file\. "):
        load_base("tiny", str(tmp_path / "w.pth"))


def test_weights_of_another_architecture_are_counted_and_shown(state: StateDict, tmp_path: Path) -> None:
    file = write(state, tmp_path / "tiny.safetensors")
    with pytest.raises(WeightsError, match=r"'tiny.safetensors' holds no weights of resnet18: \d+ tensors are missing"):
        load_base("resnet18", str(file))


@pytest.mark.parametrize("prefix", ["module.", "_orig_mod.", "module._orig_mod.", "model.", "backbone."])
def test_prefixes_of_training_tools_are_taken_off(state: StateDict, tmp_path: Path, prefix: str) -> None:
    plain = load_base("tiny", str(write(state, tmp_path / "plain.safetensors")))
    file = write({prefix + name: tensor for name, tensor in state.items()}, tmp_path / "prefixed.safetensors")
    assert load_base("tiny", str(file)).id == plain.id
    assert digest_file(file) == plain.id.weights


def test_another_number_of_classes_leaves_the_base_without_classifier(
    state: StateDict, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    plain = load_base("tiny", str(write(state, tmp_path / "plain.pth")))
    seven = {**state, "fc.weight": torch.zeros(7, 256), "fc.bias": torch.zeros(7)}
    base = load_base("tiny", str(write(seven, tmp_path / "seven.pth")))
    assert "'seven.pth' does not hold the classifier of tiny (fc.bias, fc.weight): the base is" in caplog.text
    assert [layer.name for layer in base.layers] == [layer.name for layer in plain.layers][:-1]
    assert digest_file(tmp_path / "seven.pth") == base.id.weights != plain.id.weights
    x = torch.randn(2, 3, 32, 32)
    with torch.inference_mode():
        without_classifier = base.forward(x, {"layer4": ["flat"]})
        with_classifier = plain.forward(x, {"layer4": ["flat"]})
        assert torch.equal(without_classifier["layer4", "flat"], with_classifier["layer4", "flat"])
    with pytest.raises(UnknownName, match="unknown layer of tiny 'fc'"):
        base.layer("fc")


@pytest.mark.parametrize(
    ("name", "last", "head"),
    [("shufflenet_v2_x0_5", "avgpool", "fc.0.weight"), ("mobilenet_v2", "classifier.0", "classifier.7.weight")],
)
def test_a_trunk_alone_or_under_a_head_of_its_own_loads(tmp_path: Path, name: str, last: str, head: str) -> None:
    state = BASES[name].build().state_dict()
    trunk = {k: v for k, v in state.items() if k.split(".")[0] not in ("classifier", "fc")}
    for tensors in (trunk, {**trunk, head: torch.zeros(7, 3)}):
        base = load_base(name, str(write(tensors, tmp_path / "trunk.safetensors")))
        assert base.layers[-1].name == base.stages[-1].name == last


def test_a_trunk_of_other_shape_is_shown_as_shapes(state: StateDict, tmp_path: Path) -> None:
    file = write({**state, "layer4.bn2.weight": torch.zeros(7)}, tmp_path / "w.safetensors")
    with pytest.raises(WeightsError, match=r"1 has another shape \(layer4.bn2.weight: \(7,\), expected \(256,\)\)"):
        load_base("tiny", str(file))


@pytest.mark.slow
@pytest.mark.parametrize(("name", "branch"), [("googlenet", "aux1.fc1.bias"), ("inception_v3", "AuxLogits.fc.bias")])
def test_branches_of_training_are_passed_over(tmp_path: Path, name: str, branch: str) -> None:
    state = {k: v.contiguous() for k, v in BASES[name].build().state_dict().items()}
    plain = load_base(name, str(write(state, tmp_path / "plain.safetensors")))
    published = load_base(name, str(write({**state, branch: torch.zeros(3, 3)}, tmp_path / "published.safetensors")))
    assert published.id == plain.id
    assert len(published.stages) == len(plain.stages)


def test_the_published_names_of_densenet_are_understood(tmp_path: Path) -> None:
    state = {k: v.contiguous() for k, v in BASES["densenet121"].build().state_dict().items()}
    old = {re.sub(r"(denselayer\d+\.(?:norm|conv))([12]\.)", r"\1.\2", name): tensor for name, tensor in state.items()}
    assert set(old) != set(state)
    files = [write(state, tmp_path / "new.safetensors"), write(old, tmp_path / "old.safetensors")]
    assert len({load_base("densenet121", str(file)).id for file in files}) == 1


def test_mnasnet_loads_from_a_plain_file_of_tensors(tmp_path: Path) -> None:
    file = write(BASES["mnasnet0_5"].build().state_dict(), tmp_path / "w.safetensors")
    assert load_base("mnasnet0_5", str(file)).id.weights == digest_file(file)


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
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")  # nothing listens on port 9
    with pytest.raises(WeightsError, match=r"Bring the file squeezenet1_1-\w+\.pth from https.*--weights PATH"):
        load_base("squeezenet1_1")
