"""What processes load is what threads load, in every field and bit, whatever the files are and whatever ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from featx.data.listing import Listing
from featx.data.loader import Loader
from featx.data.loading_process import LoadingProcess, LoadingProcesses, can_load_in_processes
from featx.data.loading_worker import HANDED_OVER_BYTES
from featx.data.reading import READING_BUDGET
from featx.data.remote_loading import RemoteLoading, RemotePreparation
from featx.data.rows import Loaded
from featx.data.sources import MAX_IMAGE_BYTES, list_images
from featx.data.sources.image_files import ON_DISK
from featx.images.augment import make_views
from featx.images.decode import DECODING_BUDGET
from featx.images.views import keep_raw
from featx.keys import InputTransform
from featx.paths import is_file
from featx.timing import Clock
from featx.types import LayerFeatures, Pixels
from tests.images.files import encoded, png_of_16_bits
from tests.images.fuzzing import KINDS, sample
from tests.processes.test_workers import wait_until_dead

pytestmark = pytest.mark.skipif(not can_load_in_processes(), reason="this system has no files in memory")

TRANSFORM = InputTransform(40, 32)


def noise(width: int, height: int, seed: int = 0) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8))


@pytest.fixture
def odd_files(tmp_path: Path) -> list[str]:
    """Sound and broken files of many kinds, and what is no file at all."""
    files = {f"{kind}.bin": sample(kind, 1) for kind in KINDS}
    files |= {f"{kind}-cut.bin": sample(kind, 0)[:-150] for kind in KINDS}
    files |= {f"{seed}.jpg": encoded(noise(60 + seed, 50, seed), "JPEG") for seed in range(9)}
    files["deep.png"] = png_of_16_bits(np.arange(256, dtype=np.uint16).reshape(16, 16) * 10)
    files["copy.jpg"] = files["3.jpg"]
    files["tall.png"] = encoded(noise(2, 900))
    files["exact.png"] = encoded(noise(32, 32))
    files["empty.jpg"] = b""
    files["text.jpg"] = b"not a picture"
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    os.mkfifo(tmp_path / "pipe.jpg")
    with (tmp_path / "huge.jpg").open("wb") as file:
        file.truncate(MAX_IMAGE_BYTES + 1)
    names = [*files, "pipe.jpg", "huge.jpg", "gone.jpg", "a\0b", "."]
    return [str(tmp_path / name) for name in names]


def list_files(paths: Sequence[str]) -> Listing:
    return Listing("made", paths, [""] * len(paths), [""] * len(paths), ON_DISK)


def make_loader(
    listing: Listing,
    views: Sequence[int] = (0,),
    is_raw: bool = False,
    select: Callable[[bytes, int], bool] = lambda digest, row: True,
) -> Loader:
    def prepare(picture: Image.Image, digest: bytes) -> dict[int, Pixels]:
        kept, left = keep_raw(picture, TRANSFORM, views) if is_raw else ({}, views)
        return {**kept, **make_views(picture, TRANSFORM, digest, left)}

    return Loader(listing, select, prepare, 2, Clock(), device_batch=8)


def make_remote(
    listing: Listing,
    processes: LoadingProcesses,
    views: Sequence[int] = (0,),
    is_raw: bool = False,
    select: Callable[[bytes, int], bool] = lambda digest, row: True,
) -> RemoteLoading:
    """Both ways to load: `load_all` of what is returned, and of its `local`."""
    loader = make_loader(listing, views, is_raw, select)
    return RemoteLoading(loader, RemotePreparation(TRANSFORM, lambda digest: views, lambda: is_raw), processes)


@pytest.fixture
def processes() -> Iterator[LoadingProcesses]:
    with LoadingProcesses(1) as started:
        yield started
    assert not READING_BUDGET.held
    assert not DECODING_BUDGET.held


def assert_same(found: Sequence[Loaded], expected: Sequence[Loaded]) -> None:
    for one, other in zip(found, expected, strict=True):
        # All fields but pixels, which the text leaves out; NaN is not equal to itself.
        assert repr(one) == repr(other)
        assert list(one.pixels) == list(other.pixels)
        for view, pixels in one.pixels.items():
            assert pixels.dtype == np.uint8
            assert np.array_equal(pixels, other.pixels[view])


@pytest.mark.parametrize(("views", "is_raw"), [((0,), False), ((0,), True), ((3, 0, 1), True), ((0, 2, 7), False)])
def test_processes_load_what_threads_load(
    odd_files: list[str], processes: LoadingProcesses, views: tuple[int, ...], is_raw: bool
) -> None:
    remote = make_remote(list_files(odd_files), processes, views, is_raw)
    rows = range(len(odd_files))
    found = remote.load_all(rows)
    assert_same(found, remote.local.load_all(rows))
    assert len(processes.idle) == 1, "the process was given up"
    assert sum(bool(loaded.reason) for loaded in found) > 10
    assert remote.local.clock.seconds["decode"] > 0


@pytest.mark.parametrize("is_raw", [False, True])
def test_processes_scale_large_photos_as_threads_do(tmp_path: Path, processes: LoadingProcesses, is_raw: bool) -> None:
    for seed, size in enumerate([(400, 330), (50, 60), (161, 800)]):
        noise(*size, seed).save(tmp_path / f"{seed}.jpg")
    noise(400, 330).save(tmp_path / "3.png")
    listing = list_files(sorted(map(str, tmp_path.iterdir())))
    scaled = replace(TRANSFORM, decode="scaled")
    remote = make_remote(listing, processes, (0, 2), is_raw)
    exact = remote.load_all(range(4))
    local = replace(make_loader(listing, (0, 2), is_raw), least_side=scaled.least_side)
    preparation = replace(remote.preparation, transform=scaled)
    found = RemoteLoading(local, preparation, processes).load_all(range(4))
    assert_same(found, local.load_all(range(4)))
    assert [loaded.jpeg_side for loaded in found] == [330, 50, 161, 0]
    for one, other, is_scaled in zip(found, exact, [True, False, True, False], strict=True):
        assert np.array_equal(one.pixels[2], other.pixels[2]) != is_scaled


@pytest.mark.parametrize("folder", ["odd-images", "found"])
def test_processes_load_what_threads_load_of_files_as_people_have_them(
    shared: Path, folder: str, processes: LoadingProcesses
) -> None:
    paths = sorted(str(path) for path in (shared / "data" / folder).rglob("*") if path.is_file())[:150]
    remote = make_remote(list_files(paths), processes, (0, 1))
    assert_same(remote.load_all(range(len(paths))), remote.local.load_all(range(len(paths))))


def test_ordinary_files_are_decoded_there_and_not_here(tmp_path: Path, processes: LoadingProcesses) -> None:
    for seed in range(9):
        noise(60, 50 + seed, seed).save(tmp_path / f"{seed}.jpg")
    remote = make_remote(list_files(sorted(map(str, tmp_path.iterdir()))), processes, range(6))

    def prepare(picture: Image.Image, digest: bytes) -> dict[int, Pixels]:
        raise AssertionError("decoded in a thread")

    elsewhere = replace(remote, local=replace(make_loader(remote.local.listing), prepare=prepare))
    assert_same(elsewhere.load_all(range(9)), remote.local.load_all(range(9)))


@pytest.mark.parametrize(("file_share", "decoding_share"), [(3000, 10**9), (10**9, 30_000), (10, 10)])
def test_what_a_share_of_memory_does_not_hold_is_loaded_in_the_thread(
    odd_files: list[str], processes: LoadingProcesses, file_share: int, decoding_share: int
) -> None:
    processes.file_share = file_share
    processes.decoding_share = decoding_share
    remote = make_remote(list_files(odd_files), processes)
    rows = range(len(odd_files))
    assert_same(remote.load_all(rows), remote.local.load_all(rows))
    assert len(processes.idle) == 1


def write_table(folder: Path, files: Sequence[str]) -> Path:
    """A Parquet file with the bytes of some files, and a row without any."""
    pa = pytest.importorskip("pyarrow", reason="pyarrow is not installed")
    images = [Path(file).read_bytes() for file in files if is_file(file) and not file.endswith("huge.jpg")]
    table = pa.table({"image": pa.array([*images, None], pa.binary()), "label": ["a"] * (len(images) + 1)})
    pytest.importorskip("pyarrow.parquet").write_table(table, folder / "a.parquet", row_group_size=16)
    return folder / "a.parquet"


@pytest.mark.parametrize("share", [None, 2000])
def test_rows_of_a_parquet_file_are_read_here_and_decoded_there(
    tmp_path: Path, odd_files: list[str], processes: LoadingProcesses, share: int | None
) -> None:
    listing = list_images(str(write_table(tmp_path, odd_files)))
    remote = make_remote(listing, processes)
    if share is not None:
        processes.file_share = share
    rows = range(len(listing))
    assert_same(remote.load_all(rows), remote.local.load_all(rows))
    assert remote.load_all(rows)[-1].reason == "its row holds no image"
    assert len(processes.idle) == 1, "no process was given up"


def test_ordinary_rows_of_a_parquet_file_are_not_decoded_here(tmp_path: Path, processes: LoadingProcesses) -> None:
    files = []
    for seed in range(5):
        (tmp_path / f"{seed}.jpg").write_bytes(encoded(noise(60, 50, seed), "JPEG"))
        files.append(str(tmp_path / f"{seed}.jpg"))
    remote = make_remote(list_images(str(write_table(tmp_path, files))), processes)

    def refuse(*_: object) -> Loaded:
        raise AssertionError("it was to be decoded in the process")

    lacking = replace(remote, local=replace(remote.local, prepare=refuse))
    assert [len(row.pixels) for row in lacking.load_all(range(6))] == [1] * 5 + [0]


def test_memory_that_is_shared_stays_small(tmp_path: Path, processes: LoadingProcesses) -> None:
    noise(1000, 1000).save(tmp_path / "large.jpg")
    remote = make_remote(list_files([str(tmp_path / "large.jpg")] * 20), processes, is_raw=True)
    assert_same(remote.load_all(range(20)), remote.local.load_all(range(20)))
    size = os.fstat(processes.all[0].descriptor).st_size
    assert 0 < size <= HANDED_OVER_BYTES + 3 * 1000 * 1000


def test_only_what_is_claimed_is_decoded_and_each_row_is_asked_for_once(
    odd_files: list[str], processes: LoadingProcesses
) -> None:
    asked: list[tuple[bytes, int]] = []
    claims: dict[bytes, int] = {}

    def claim(digest: bytes, row: int) -> bool:
        asked.append((digest, row))
        return claims.setdefault(digest, row) == row

    remote = make_remote(list_files(odd_files), processes, select=claim)
    loaded = remote.load_all(range(len(odd_files)))
    by_name = {Path(path).name: image for path, image in zip(odd_files, loaded, strict=True)}
    assert asked == [(image.digest, image.row) for image in loaded if image.digest]
    assert by_name["copy.jpg"].digest == by_name["3.jpg"].digest
    assert by_name["3.jpg"].views == (0,)
    assert by_name["copy.jpg"].views == ()
    assert by_name["copy.jpg"].reason is None


@pytest.mark.parametrize("moment", ["before", "while it decodes"])
def test_a_process_that_is_killed_costs_no_image(
    odd_files: list[str], processes: LoadingProcesses, moment: str, caplog: pytest.LogCaptureFixture
) -> None:
    process = processes.all[0]

    def select(digest: bytes, row: int) -> bool:
        if moment != "before":
            process.worker.kill()
        return True

    remote = make_remote(list_files(odd_files), processes, select=select)
    if moment == "before":
        process.worker.kill()
    rows = range(len(odd_files))
    expected = remote.local.load_all(rows)
    with caplog.at_level("WARNING", "featx"):
        assert_same(remote.load_all(rows), expected)
        assert_same(remote.load_all(rows), expected)
    assert processes.take() is None
    (record,) = caplog.records
    assert "was given up (the system ended a process" in record.getMessage()


def test_fewer_processes_than_threads_are_enough(odd_files: list[str], processes: LoadingProcesses) -> None:
    taken = processes.take()
    assert isinstance(taken, LoadingProcess)
    remote = make_remote(list_files(odd_files), processes)
    rows = range(len(odd_files))
    assert_same(remote.load_all(rows), remote.local.load_all(rows))


def brightness(pixels: list[Pixels]) -> Callable[[], LayerFeatures]:
    means = np.array([[image.mean(dtype=np.float32)] for image in pixels], np.float32)
    return lambda: {("layer", "avg"): means}


def find_children(parent: int) -> list[int]:
    """Workers that a process has started and that live."""
    children = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, father = stat.read_text().rpartition(")")[2].split()[:2]
            is_worker = b"featx.processes.worker" in (stat.parent / "cmdline").read_bytes()
        except OSError:
            continue
        if int(father) == parent and state != "Z" and is_worker:
            children.append(int(stat.parent.name))
    return children


@pytest.fixture
def many(tmp_path: Path) -> Loader:
    """Loads 600 rows for a device, in two processes."""
    for seed in range(20):
        noise(60 + seed, 50, seed).save(tmp_path / f"{seed:02}.jpg")
    listing = list_files(sorted(map(str, tmp_path.iterdir())) * 30)
    preparation = RemotePreparation(TRANSFORM, lambda digest: [0], lambda: False)
    return replace(make_loader(listing), processes=preparation)


def test_batches_come_in_order_and_processes_end_with_them(many: Loader) -> None:
    rows = list(range(5, 600))
    in_threads = replace(many, processes=None)
    expected = [batch.features for batch in in_threads(rows, brightness, lambda: None)]
    given: list[int] = []
    features: list[np.ndarray] = []
    most_children = 0
    for batch in many(rows, brightness, lambda: None):
        given += [image.row for image in batch.loaded]
        features += list(batch.features.values())
        most_children = max(most_children, len(find_children(os.getpid())))
    assert given == rows
    assert np.array_equal(np.concatenate(features), np.concatenate([each["layer", "avg"] for each in expected if each]))
    assert most_children == 2
    assert find_children(os.getpid()) == []


@pytest.mark.parametrize("way", ["closed", "an error here", "an error there", "an error in a thread"])
def test_whatever_ends_the_loading_ends_the_processes(many: Loader, way: str) -> None:
    def fail(*_: object) -> bool:
        raise RuntimeError("no memory")

    start = brightness
    if way == "an error there":
        start = fail  # type: ignore[assignment]
    if way == "an error in a thread":
        many = replace(many, select=fail)
    batches = many(range(600), start, lambda: None)
    if way == "closed":
        next(batches)
        assert len(find_children(os.getpid())) == 2
        batches.close()  # type: ignore[attr-defined]
    elif way == "an error here":
        with pytest.raises(KeyboardInterrupt):
            for _ in batches:
                batches.throw(KeyboardInterrupt)  # type: ignore[attr-defined]
    else:
        with pytest.raises(RuntimeError, match="no memory"):
            list(batches)
    assert find_children(os.getpid()) == []


PROGRAM = """
    import signal, sys
    sys.path.insert(0, {root!r})
    from dataclasses import replace
    from featx.data.remote_loading import RemotePreparation
    from tests.data.test_remote_loading import TRANSFORM, brightness, list_files, make_loader

    def stop(*_):
        raise SystemExit(3)

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    preparation = RemotePreparation(TRANSFORM, lambda digest: [0], lambda: False)
    loader = make_loader(list_files([{path!r}] * 10**6))
    for number, batch in enumerate(replace(loader, processes=preparation)(range(10**6), brightness, lambda: None)):
        if number == 2:
            print("runs", flush=True)
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_no_process_outlives_a_parent_that_is_stopped(tmp_path: Path, number: signal.Signals) -> None:
    noise(300, 200).save(tmp_path / "photo.jpg")
    root = str(Path(__file__).resolve().parents[2])
    program = textwrap.dedent(PROGRAM).format(root=root, path=str(tmp_path / "photo.jpg"))
    parent = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    assert parent.stdout is not None
    assert parent.stdout.readline() == b"runs\n"
    children = find_children(parent.pid)
    assert len(children) == 2
    parent.send_signal(number)
    parent.wait(30)
    # The end of the pipe: no child holds it.
    assert parent.stdout.read() == b""
    parent.stdout.close()
    assert wait_until_dead(children) == []


def test_a_process_imports_neither_torch_nor_scikit_learn() -> None:
    program = (
        "import sys, featx.data.loading_worker; print({'torch', 'torchvision', 'sklearn', 'h5py'} & {*sys.modules})"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


def test_what_is_decoded_is_what_was_hashed_though_the_file_changes(
    tmp_path: Path, processes: LoadingProcesses
) -> None:
    path = tmp_path / "photo.png"
    path.write_bytes(encoded(noise(60, 50, 1)))

    def select(digest: bytes, row: int) -> bool:
        path.write_bytes(encoded(noise(60, 50, 2)))
        return True

    remote = make_remote(list_files([str(path)]), processes, select=select)
    expected = remote.local.load(0)
    path.write_bytes(encoded(noise(60, 50, 1)))
    assert_same(remote.load_all([0]), [expected])
    processes.decoding_share = 10
    path.write_bytes(encoded(noise(60, 50, 1)))
    assert_same(remote.load_all([0]), [expected])
