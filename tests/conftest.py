"""Small real data for every test: photos on disk, a cache, and ../shared where it is there."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from click.testing import CliRunner, Result
from numpy.typing import NDArray
from PIL import Image

from featx.base_choice import BaseChoice
from featx.errors import MissingFeatures

if TYPE_CHECKING:
    from featx.bases.base import Base

SHARED = Path(__file__).resolve().parents[2] / "shared"


def make_printable(text: str) -> str:
    """Write the bytes of a name that is not UTF-8 as escapes: reports of tests travel between processes as UTF-8."""
    return text.encode(errors="backslashreplace").decode()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: Any) -> Generator[None, Any, Any]:
    """Make reports of tests with any names of files."""
    report = yield
    report.sections = [(title, make_printable(text)) for title, text in report.sections]
    if report.longrepr is not None and make_printable(str(report.longrepr)) != str(report.longrepr):
        report.longrepr = make_printable(str(report.longrepr))
    return report


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip tests marked `gpu` where there is no CUDA device; torch is imported for them only."""
    if item.get_closest_marker("gpu") is None:
        return
    import torch

    if not torch.cuda.is_available():
        pytest.skip("there is no CUDA device")


def picture(seed: int, hue: int, size: tuple[int, int] = (48, 40)) -> Image.Image:
    """A noisy picture whose colour says its class."""
    noise = np.random.default_rng(seed).integers(0, 120, (size[1], size[0], 3))
    noise[:, :, hue] += 100
    return Image.fromarray(noise.astype(np.uint8))


def load_base(name: str, weights: str | None = None, **choice: Any) -> Base:
    """Open a base by name; torch is imported by the tests that need one."""
    from featx.bases.loading import open_base

    return open_base(BaseChoice(name, weights, **choice))


def make_doubtful(root: Path, each: int) -> Path:
    """Make a folder of three classes with so many pictures each, every fourth of which looks like another class."""
    for hue, name in enumerate(("red", "green", "blue")):
        (root / name).mkdir(parents=True)
        for number in range(each):
            looks = hue if number % 4 else (hue + number // 4 + 1) % 3
            picture(hue * 100 + number, looks).save(root / name / f"{number:02}.png")
    return root


@contextmanager
def raises_missing(match: str) -> Iterator[None]:
    """Expect MissingFeatures, worded as the command line words it: with the command that computes them."""
    from featx.cli.main import explain

    with pytest.raises(MissingFeatures) as caught:
        yield
    assert re.search(match, explain(caught.value)), explain(caught.value)


@pytest.fixture(autouse=True)
def fresh_log() -> Iterator[None]:
    """Undo what a command's -q or -v did to the log, which outlives the command within one process."""
    yield
    logger = logging.getLogger("featx")
    logger.handlers.clear()
    logger.setLevel(logging.NOTSET)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Three classes of twelve pictures each."""
    root = tmp_path / "photos"
    for hue, name in enumerate(("red", "green", "blue")):
        (root / name).mkdir(parents=True)
        for number in range(12):
            picture(hue * 100 + number, hue).save(root / name / f"{number:02}.png")
    return root


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


@pytest.fixture
def digests() -> Callable[[int, int], NDArray[np.uint8]]:
    """Make n digests from a seed."""

    def make(n: int, seed: int = 0) -> NDArray[np.uint8]:
        return np.random.default_rng(seed).integers(0, 256, (n, 32)).astype(np.uint8)

    return make


@pytest.fixture
def featx() -> Callable[..., Result]:
    """Run the command line in this process, errors turned into exit codes as for a user."""
    from featx.cli.main import explain, main
    from featx.errors import FeatxError

    def call(*args: Any) -> Result:
        result = CliRunner().invoke(main, [str(arg) for arg in args])
        if isinstance(result.exception, FeatxError):
            result.exit_code, result.error = 1, explain(result.exception)  # type: ignore[attr-defined]
        elif result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    return call


@pytest.fixture
def shared() -> Path:
    if not SHARED.is_dir():
        pytest.skip("../shared with photos and pretrained weights is not there")
    return SHARED
