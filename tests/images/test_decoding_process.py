"""What is decoded in another process is what would be decoded here, within its memory and its time."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from featx.images.decode import BrokenImage, decode, decode_within, decoding, decoding_apart
from featx.images.decoding_process import (
    DecodingProcess,
    DecodingProcesses,
    NeedsMemory,
    NotDecoded,
    ProcessEnded,
    TookTooLong,
)
from tests.hostile.pictures import PICTURES
from tests.images.files import encoded, png_of_16_bits
from tests.images.fuzzing import KINDS, sample

MEGABYTE = 2**20
PLENTY = 800 * MEGABYTE


@pytest.fixture(scope="module")
def process() -> Iterator[DecodingProcess]:
    started = DecodingProcess()
    yield started
    started.close()


@pytest.mark.parametrize("kind", KINDS)
def test_a_picture_is_the_same_here_and_there(kind: str) -> None:
    data = sample(kind, 1)
    here = decode_within(data, None, PLENTY)
    with decoding_apart(data, None) as there:
        assert there.picture.mode == "RGB"
        assert np.array_equal(np.asarray(there.picture), np.asarray(here.picture))
        assert there.has_more_pages == here.has_more_pages


def test_a_picture_of_many_bands_comes_whole() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (1500, 2100, 3), dtype=np.uint8)
    with decoding_apart(encoded(Image.fromarray(noise), compress_level=1), None) as there:
        assert np.array_equal(np.asarray(there.picture), noise)


def test_the_use_of_the_range_comes_with_it() -> None:
    deep = png_of_16_bits(np.arange(256, dtype=np.uint16).reshape(16, 16) * 10)
    here = decode_within(deep, (0.0, 3000.0), PLENTY)
    with decoding_apart(deep, (0.0, 3000.0)) as there:
        assert there.range_use == here.range_use
        assert there.range_use is not None
        assert np.array_equal(np.asarray(there.picture), np.asarray(here.picture))
    floats = np.array([[np.nan, 0.5, -1e30]], np.float32)
    with decoding_apart(encoded(Image.fromarray(floats), "TIFF"), None) as there:
        assert there.range_use is not None
        assert there.range_use.has_nan


def test_what_is_broken_has_the_same_reason_there() -> None:
    data = sample("AVIF", 0)[:-200]
    with pytest.raises(BrokenImage, match=r"\w") as there:
        decode(data)
    with pytest.raises(BrokenImage, match=r"\w") as here:
        decode_within(data, None, PLENTY)
    assert str(there.value) == str(here.value)


def test_a_picture_that_needs_more_memory_says_how_much(process: DecodingProcess) -> None:
    data = encoded(Image.new("RGB", (3000, 3000)), compress_level=1)
    with pytest.raises(NeedsMemory) as error:
        process.decode(data, None, 10 * MEGABYTE)
    assert error.value.needed > 3000 * 3000 * 8
    assert process.decode(data, None, error.value.needed + 64 * MEGABYTE).picture.size == (3000, 3000)


@pytest.mark.skipif(sys.platform != "linux", reason="limits of memory are those of Linux")
def test_a_decoder_gets_no_more_memory_than_it_may(process: DecodingProcess) -> None:
    # An icon is decoded while it is opened, before its size can be asked for.
    icon = PICTURES["ico: PNG of 10000 x 10000"][1]()
    with pytest.raises(NotDecoded, match="not enough memory"):
        process.decode(icon, None, 100 * MEGABYTE)
    peak = Path(f"/proc/{process.process.pid}/status").read_text().split("VmHWM:")[1].split()[0]
    assert int(peak) < 300 * 1024
    assert process.decode(sample("PNG", 0), None, 100 * MEGABYTE).picture.mode == "RGB"


def test_a_picture_that_takes_too_long_is_given_up_and_the_next_one_decoded() -> None:
    processes = DecodingProcesses()
    slow = b"P3 3000 3000 255\n" + b"7 " * 27_000_000
    hurried = DecodingProcess()
    processes.idle.append(hurried)
    started = time.monotonic()
    with pytest.raises(TookTooLong, match="takes longer than 20 s to decode"), processes.take() as process:
        process.decode(slow, None, PLENTY, seconds=1.0)
    assert time.monotonic() - started < 10
    assert hurried.process.poll() is not None
    with processes.take() as process:
        assert process is not hurried
        assert process.decode(sample("GIF", 0), None, PLENTY).picture.mode == "RGB"
    processes.close()
    assert process.process.poll() is not None


def test_a_decoder_that_crashes_takes_nothing_with_it() -> None:
    processes = DecodingProcesses()

    def kill_soon(pid: int) -> None:
        time.sleep(0.5)
        os.kill(pid, signal.SIGKILL)

    with pytest.raises(ProcessEnded, match="its decoder crashed"), processes.take() as process:
        threading.Thread(target=kill_soon, args=(process.process.pid,)).start()
        process.decode(b"P3 3000 3000 255\n" + b"7 " * 27_000_000, None, PLENTY)
    assert not processes.idle


def test_a_process_that_died_while_it_waited_is_replaced() -> None:
    processes = DecodingProcesses()
    with processes.take() as first:
        pass
    first.process.kill()
    first.process.wait()
    with processes.take() as second:
        assert second.decode(sample("PNG", 0), None, PLENTY).picture.mode == "RGB"
    first.close()
    processes.close()


def test_what_is_plain_starts_no_process() -> None:
    program = """
        import io
        from PIL import Image
        from featx.images.decode import decode
        from featx.images.decoding_process import PROCESSES
        for kind in ("JPEG", "PNG", "GIF", "BMP", "TIFF", "WEBP", "PPM", "TGA"):
            file = io.BytesIO()
            Image.new("RGB", (40, 30)).save(file, kind)
            decode(file.getvalue())
        assert not PROCESSES.idle
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(program)], check=True, timeout=60)


def test_the_current_folder_holds_no_modules_of_the_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("json", "PIL", "numpy", "featx", "io"):
        (tmp_path / f"{name}.py").write_text("import pathlib\npathlib.Path('ran').touch()\n")
    monkeypatch.chdir(tmp_path)
    processes = DecodingProcesses()
    with processes.take() as process:
        assert process.decode(sample("PNG", 0), None, PLENTY).picture.mode == "RGB"
    processes.close()
    assert not (tmp_path / "ran").exists()


@pytest.mark.skipif(sys.platform != "linux", reason="looks for the process in /proc")
@pytest.mark.parametrize("is_busy", [False, True])
def test_a_process_ends_with_its_parent_whatever_ends_that(is_busy: bool, tmp_path: Path) -> None:
    program = f"""
        import threading
        from featx.images.decoding_process import DecodingProcess
        process = DecodingProcess()
        data = b"P3 3000 3000 255\\n" + b"7 " * 27_000_000
        process.decode(b"P6 1 1 255 abc", None, 10**9)
        if {is_busy}:
            threading.Thread(target=process.decode, args=(data, None, 10**9)).start()
        print(process.process.pid, flush=True)
        threading.Event().wait()
    """
    parent = subprocess.Popen([sys.executable, "-c", textwrap.dedent(program)], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    child = Path("/proc") / parent.stdout.readline().strip()
    assert child.is_dir()
    parent.kill()
    parent.wait()
    parent.stdout.close()
    deadline = time.monotonic() + 15
    while child.is_dir() and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not child.is_dir()


def test_a_lying_container_costs_no_more_than_it_may() -> None:
    data = PICTURES["avif: 16 x 16 by its container"][1]()
    try:
        with decoding(data) as decoded:
            assert decoded.picture.mode == "RGB"
    except BrokenImage as error:
        assert str(error)  # noqa: PT017
