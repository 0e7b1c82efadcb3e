"""A network is found in whatever a training tool wrapped around it."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from featx.base_choice import BaseChoice
from featx.bases.architectures.tiny import tiny
from featx.bases.loading import digest_choice
from featx.bases.registry import BASES
from featx.bases.weights import digest_file, is_file_name
from featx.errors import WeightsError
from tests.conftest import load_base

StateDict = dict[str, torch.Tensor]


@pytest.fixture
def state() -> StateDict:
    torch.manual_seed(3)
    return {name: tensor.clone() for name, tensor in tiny().state_dict().items()}


def prefixed(prefix: str, state: StateDict) -> StateDict:
    return {prefix + name: tensor for name, tensor in state.items()}


def changed(state: StateDict) -> StateDict:
    return {name: tensor * 0 for name, tensor in state.items()}


def digest_of(content: Any, path: Path) -> str:
    """Digest of the base that a file with this content gives; evaluation must find the same."""
    torch.save(content, path)
    digest = load_base("tiny", str(path)).id.weights
    assert digest_choice(BaseChoice("tiny", str(path))) == digest
    return digest


@pytest.fixture
def plain(state: StateDict, tmp_path: Path) -> str:
    return digest_of(state, tmp_path / "plain.pth")


LIGHTNING = {"epoch": 3, "pytorch-lightning_version": "2.0", "optimizer_states": [], "lr_schedulers": []}


@pytest.mark.parametrize("name", ["best.ckpt", "pytorch_model.bin", "model_best.pth.tar", "weights", "final.v2"])
def test_any_file_that_is_there_is_a_file(
    state: StateDict, plain: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    torch.save(state, tmp_path / name)
    monkeypatch.chdir(tmp_path)
    assert is_file_name(name)
    assert load_base("tiny", name).id.weights == plain == digest_file(Path(name))


def test_names_of_weights_stay_names_whatever_lies_beside(
    state: StateDict, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("random", "CIFAR100", "IMAGENET1K_V1"):
        torch.save(state, tmp_path / name)
        assert not is_file_name(name)
        assert is_file_name(f"./{name}")


@pytest.mark.parametrize(
    "prefix",
    ["module.", "model.", "net.", "encoder.", "backbone.", "_orig_mod.", "model.model.", "module.encoder_q.", "a.b.c."],
)
@pytest.mark.parametrize("entry", [None, "state_dict", "model", "net", "params", "whatever"])
def test_the_prefix_that_completes_the_network_is_taken(
    state: StateDict, plain: str, tmp_path: Path, prefix: str, entry: str | None
) -> None:
    content: Any = prefixed(prefix, state)
    if entry:
        content = {entry: content, "epoch": 3, "best_acc1": torch.tensor(50.0), "optimizer": {"state": {}}}
    assert digest_of(content, tmp_path / "w.pth") == plain


def test_surplus_tensors_are_named_in_one_line(
    state: StateDict, plain: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    extra = {"criterion.weight": torch.ones(100), "train_acc.tp": torch.zeros(1)}
    content = {**LIGHTNING, "state_dict": {**prefixed("model.", state), **extra}}
    assert digest_of(content, tmp_path / "lit.ckpt") == plain
    assert caplog.messages[-1] == (
        "'lit.ckpt': the tensors of 'state_dict model.' are taken; ignored: 2 tensors (criterion.weight, train_acc.tp)"
    )


def test_a_safetensors_file_may_hold_more_than_the_network(state: StateDict, plain: str, tmp_path: Path) -> None:
    save_file({**prefixed("encoder.", state), "decoder.weight": torch.ones(3)}, tmp_path / "mae.safetensors")
    assert load_base("tiny", str(tmp_path / "mae.safetensors")).id.weights == plain


def test_the_query_of_a_pair_of_encoders_is_taken_and_the_other_named(
    state: StateDict, plain: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    pair = {**prefixed("module.encoder_k.", changed(state)), **prefixed("module.encoder_q.", state)}
    assert digest_of({"state_dict": {**pair, "module.queue": torch.zeros(4, 4)}}, tmp_path / "moco.pth") == plain
    assert "'state_dict module.encoder_q.' are taken; ignored: those of" in caplog.text
    assert "and 1 tensor (module.queue)" in caplog.text


@pytest.mark.parametrize("names", [("state_dict", "state_dict_ema"), ("model", "model_ema"), ("student", "teacher")])
def test_the_average_that_a_tool_evaluates_is_taken_and_said(
    state: StateDict, plain: str, tmp_path: Path, caplog: pytest.LogCaptureFixture, names: tuple[str, str]
) -> None:
    last, average = names
    assert digest_of({last: changed(state), average: state}, tmp_path / "timm.pth") == plain
    assert f"the tensors of '{average}' are taken; ignored: those of '{last}'" in caplog.text


def test_two_networks_of_equal_rank_are_an_error_unless_they_are_equal(
    state: StateDict, plain: str, tmp_path: Path
) -> None:
    assert digest_of({"generator": state, "critic": state}, tmp_path / "same.pth") == plain
    torch.save({"generator": state, "critic": changed(state)}, tmp_path / "two.pth")
    with pytest.raises(WeightsError, match=r"several networks that fit \('generator', 'critic'\): save the one"):
        load_base("tiny", str(tmp_path / "two.pth"))


def test_a_deeper_network_of_the_same_family_is_refused(tmp_path: Path) -> None:
    torch.save({"state_dict": prefixed("module.", BASES["resnet34"].build().state_dict())}, tmp_path / "r34.pth")
    with pytest.raises(WeightsError, match=r"holds no weights of resnet18: .* unknown to it \(layer"):
        load_base("resnet18", str(tmp_path / "r34.pth"))


@pytest.mark.parametrize("hyper_parameters", [{"lr": 0.1}, Namespace(lr=0.1), Path("x")])
def test_objects_beside_the_tensors_are_passed_over_and_never_made(
    state: StateDict, plain: str, tmp_path: Path, hyper_parameters: Any
) -> None:
    content = {**LIGHTNING, "state_dict": prefixed("model.", state), "hyper_parameters": hyper_parameters}
    assert digest_of(content, tmp_path / "lit.ckpt") == plain


def test_parameters_sparse_and_half_tensors_are_read(state: StateDict, plain: str, tmp_path: Path) -> None:
    parameters = {k: nn.Parameter(v) if v.is_floating_point() else v for k, v in state.items()}
    assert digest_of(parameters, tmp_path / "parameters.pth") == plain
    sparse = {**state, "fc.weight": state["fc.weight"].to_sparse()}
    assert digest_of(sparse, tmp_path / "sparse.pth") == plain
    assert digest_of({k: v.double() for k, v in state.items()}, tmp_path / "double.pth") == plain


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda tensor: torch.quantize_per_tensor(tensor, 0.1, 0, torch.qint8), "is quantised: save the network"),
        (lambda tensor: tensor.to("meta"), "has a shape but no numbers"),
        (lambda tensor: tensor.to(torch.complex64), "holds complex numbers"),
        (lambda tensor: tensor.to(torch.int8), "torch.int8, expected numbers with a fraction"),
    ],
)
def test_tensors_that_no_network_computes_with_are_refused_in_our_words(
    state: StateDict, tmp_path: Path, change: Any, message: str
) -> None:
    torch.save({**state, "fc.weight": change(state["fc.weight"])}, tmp_path / "w.pth")
    with pytest.raises(WeightsError, match=message):
        load_base("tiny", str(tmp_path / "w.pth"))
