from __future__ import annotations

import subprocess
import sys

import pytest

from featx.bases.names import check_base_name, check_pooling_names, is_python_file, suggested_layer
from featx.errors import UnknownName


def test_names_are_checked_without_torch() -> None:
    script = (
        "import sys\nfrom featx.bases.names import check_base_name, suggested_layer\n"
        "check_base_name('resnet50'), suggested_layer('resnet50')\nsys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


def test_an_unknown_base_names_the_nearest_and_what_else_is_possible() -> None:
    with pytest.raises(
        UnknownName, match=r"unknown base 'resnet5'\. Did you mean 'resnet50'\?.*Python file.*timm:NAME"
    ):
        check_base_name("resnet5")


@pytest.mark.parametrize("name", ["resnet50", "hog", "tiny", "my_net.py", "~/nets/my_net.py", "timm:whatever"])
def test_bases_files_and_networks_of_timm_pass_the_check(name: str) -> None:
    check_base_name(name)


def test_an_unknown_pooling_lists_the_poolings() -> None:
    check_pooling_names(["avg", "pyramid"])
    with pytest.raises(UnknownName, match=r"unknown pooling 'average'.*avg, max, avg\+max, pyramid, cls, flat"):
        check_pooling_names(["avg", "average"])


def test_a_python_file_is_told_by_its_suffix() -> None:
    assert is_python_file("folder/my_net.py")
    assert not is_python_file("my_net")


@pytest.mark.parametrize("name", ["timm:resnet18", "my_net.py", "vit_b_16", "no_such_base"])
def test_no_layer_is_suggested_where_the_name_alone_does_not_tell(name: str) -> None:
    assert suggested_layer(name) is None
