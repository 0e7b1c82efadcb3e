"""Networks of timm: their stages are the network, their images are timm's, and all others are refused."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from featx.base_choice import BaseChoice
from featx.bases.architectures.timm_models import read_config
from featx.bases.architectures.timm_stages import compare_stages, in_order, scatter, tell_layout
from featx.bases.base import ALIASES, find_layer
from featx.bases.registry import resolve
from featx.engines.torch_engine import fuse_batchnorm
from featx.errors import RequestError, UnknownName, WeightsError
from featx.images.normalise import to_input
from featx.images.transform import to_pixels
from tests.conftest import load_base, picture

Featx = Callable[..., Any]
LAYERED = ["resnet18", "mobilenetv2_100", "mobilenetv3_small_050", "convnext_atto", "efficientnet_lite0", "regnetx_002"]
SIZED = ["vit_tiny_patch16_224", "swin_tiny_patch4_window7_224"]


@pytest.fixture
def timm() -> Any:
    return pytest.importorskip("timm")


@pytest.mark.parametrize("name", [*LAYERED, *SIZED])
def test_running_the_stages_is_timms_network_bit_for_bit(timm: Any, name: str) -> None:
    base = load_base(f"timm:{name}", "random")
    network = timm.create_model(name).eval()
    scatter(network)
    base.network.load_state_dict(network.state_dict())  # type: ignore[union-attr]
    side = 224 if name in SIZED else 96
    x = torch.randn(2, 3, side, side, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        whole = network(x.clone())
        for stage, layer in zip(base.stages, base.layers, strict=True):
            x = stage.module(x)
            assert side != 224 or tuple(x.shape[1:]) == layer.shape
    assert whole.std() > 0
    assert torch.equal(x, whole)
    owned = [id(p) for stage in resolve(BaseChoice(f"timm:{name}")).meta_stages() for p in stage.module.parameters()]
    assert len(owned) == len(set(owned)) == len(list(network.parameters()))


@pytest.mark.parametrize("name", LAYERED)
def test_aliases_lie_at_their_strides(timm: Any, name: str) -> None:
    layers = resolve(BaseChoice(f"timm:{name}")).layers()
    strides = {alias: find_layer(f"timm:{name}", layers, alias).stride for alias in ALIASES}
    assert strides == ALIASES
    assert resolve(BaseChoice(f"timm:{name}")).default_layer() == "layer4"


def test_a_vision_transformer_has_tokens_and_a_swin_its_channels_last(timm: Any) -> None:
    layouts = [layer.layout for layer in resolve(BaseChoice("timm:vit_tiny_patch16_224")).layers()]
    assert layouts == ["patches", *["tokens"] * 14, "vector", "vector"]
    assert resolve(BaseChoice("timm:swin_tiny_patch4_window7_224")).layers()[1].layout == "map_last"


@pytest.mark.parametrize(
    ("shape", "layout"),
    [
        *(((8, 7, 7), "map"), ((7, 7, 8), "map_last"), ((49, 8), "patches"), ((50, 8), "tokens"), ((8,), "vector")),
        *(((7, 8, 9), None), ((51, 8), None), ((1, 7, 7, 8), None)),
    ],
)
def test_a_layout_is_told_by_the_shape_or_not_at_all(shape: tuple[int, ...], layout: str | None) -> None:
    assert tell_layout(shape) == layout


class Shortcut(nn.Sequential):
    """A network that is not its parts in order."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self[1](self[0](x)) + self[0](x)


def test_stages_that_are_not_the_network_are_found_out() -> None:
    parts = nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(4, 4, 3, padding=1)
    assert compare_stages(nn.Sequential(*parts), in_order, 8) == ["map", "map"]
    assert compare_stages(Shortcut(*parts), in_order, 8) is None
    assert compare_stages(nn.Sequential(*parts[::-1]), in_order, 8) is None


@pytest.mark.parametrize("name", ["vit_relpos_small_patch16_224", "deit_tiny_distilled_patch16_224"])
def test_an_architecture_that_is_not_its_parts_in_order_is_refused(timm: Any, name: str) -> None:
    with pytest.raises(RequestError, match=r"cannot be divided into stages: .*\(patch_embed, .*--base my_net.py"):
        resolve(BaseChoice(f"timm:{name}")).layers()


@pytest.mark.parametrize("name", ["resnet18", "efficientnet_lite0", "convnext_atto", "vit_tiny_patch16_224"])
def test_images_are_seen_as_timm_states(timm: Any, name: str) -> None:
    image = picture(3, 1, (400, 300))
    config = timm.data.resolve_model_data_config(timm.create_model(name))
    transform = resolve(BaseChoice(f"timm:{name}")).input
    ours = to_input(torch.from_numpy(np.array(to_pixels(image, transform)))[None], transform)[0]
    assert torch.equal(ours, timm.data.create_transform(**config)(image))


def test_other_weights_bring_their_own_size_of_image(timm: Any) -> None:
    default, other = (resolve(BaseChoice("timm:resnet50", tag)).input for tag in (None, "fb_ssl_yfcc100m_ft_in1k"))
    assert (default.crop, default.resize, default.interpolation) == (224, 235, "bicubic")
    assert (other.crop, other.resize, other.interpolation) == (224, 256, "bilinear")


def test_images_that_we_cannot_make_are_refused() -> None:
    config = {"input_size": (3, 256, 128), "interpolation": "bicubic"}
    with pytest.raises(RequestError, match="takes images of 3 x 256 x 128.*only square ones"):
        read_config("timm:some", config)


def test_images_that_timm_would_squash_are_cropped_with_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    config = {"input_size": (3, 64, 64), "interpolation": "bicubic", "crop_mode": "squash", "crop_pct": 0.9}
    transform = read_config("timm:some", {**config, "mean": (0.5,) * 3, "std": (0.5,) * 3})
    assert (transform.resize, transform.crop) == (71, 64)
    assert "timm resizes images for timm:some by 'squash'" in caplog.text


def test_weights_come_from_a_file_also_without_their_classifier(timm: Any, tmp_path: Path) -> None:
    from safetensors.torch import save_file

    save_file(timm.create_model("resnet18", num_classes=5).state_dict(), tmp_path / "w.safetensors")
    base = load_base("timm:resnet18", str(tmp_path / "w.safetensors"))
    assert (base.source, base.layers[-1].name) == ("w.safetensors", "global_pool")
    with pytest.raises(WeightsError, match="holds no weights of timm:mobilenetv2_100"):
        load_base("timm:mobilenetv2_100", str(tmp_path / "w.safetensors"))


def test_weights_that_cannot_be_downloaded_are_one_clear_line(timm: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    build = timm.create_model

    def without_network(name: str, pretrained: bool = False, **options: Any) -> Any:
        if pretrained:
            raise OSError("no network\nand a page of advice")
        return build(name, **options)

    monkeypatch.setattr(timm, "create_model", without_network)
    message = (
        r"^weights 'a1_in1k' of timm:resnet18 .*\(no network\).*huggingface.co/timm/resnet18.a1_in1k .*--weights PATH$"
    )
    with pytest.raises(WeightsError, match=message):
        load_base("timm:resnet18")


def test_names_that_do_not_exist_are_answered_with_those_that_do(timm: Any) -> None:
    with pytest.raises(UnknownName, match="timm has no architecture 'resnet81'. Did you mean 'resnet18'"):
        resolve(BaseChoice("timm:resnet81")).layers()
    with pytest.raises(UnknownName, match="write --base timm:resnet18 --weights a1_in1k"):
        resolve(BaseChoice("timm:resnet18.a1_in1k")).layers()
    with pytest.raises(UnknownName, match="unknown weights of timm:resnet18 'a1_in'. Did you mean 'a1_in1k'"):
        load_base("timm:resnet18", "a1_in")


def test_without_timm_there_is_one_line_that_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(RequestError, match=r"^base 'timm:resnet18' needs timm.*pip install 'featx\[timm\]'$"):
        resolve(BaseChoice("timm:resnet18")).layers()


@pytest.mark.parametrize("name", ["resnet18", "mobilenetv2_100"])
def test_folding_batch_norm_keeps_the_features(timm: Any, name: str) -> None:
    base = load_base(f"timm:{name}", "random")
    scatter(base.network)  # type: ignore[arg-type]
    wanted, x = {layer.name: ["avg"] for layer in base.layers}, torch.randn(2, 3, 96, 96)
    with torch.inference_mode():
        expected = base.forward(x.clone(), wanted)
        folded = fuse_batchnorm(base).forward(x.clone(), wanted)
    for key, features in expected.items():
        assert torch.allclose(folded[key], features, rtol=0, atol=1e-4 * float(features.abs().max()))


def test_it_goes_from_images_to_labels_and_evaluation_imports_neither_torch_nor_timm(
    timm: Any, featx: Featx, photos: Path, cache: Path, tmp_path: Path
) -> None:
    words = [photos, "--base", "timm:resnet18", "--weights", "random", "--crop", "64", "--resize", "64"]
    words += ["--cache", cache, "-q"]
    assert featx("extract", *words, "-l", "layer2").exit_code == 0
    assert [folder.name[:14] for folder in cache.glob("timm*")] == ["timm-resnet18-"]
    command = ["compare", *map(str, words), "--clf", "logreg", "--json"]
    script = (
        f"import sys; from featx.cli.main import run\ntry: run({command!r})\n"
        "except SystemExit as end: sys.exit(end.code or bool({'torch', 'timm'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)[0]["dim"] == 128
    fit = ("fit", *words, "-l", "layer2", "--clf", "logreg", "--out", tmp_path / "m.featx")
    assert featx(*fit).exit_code == 0
    predicted = featx("predict", tmp_path / "m.featx", photos, "--json", "-q")
    assert predicted.exit_code == 0, predicted.error
    assert len(json.loads(predicted.stdout)) == 36
