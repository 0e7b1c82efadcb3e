"""Whether archives cost anything: one data set as folder, zip, tar shards and Parquet, and a million rows in shards.

    python benchmarks/archives.py DATA [--base B] [--weights FILE] [--images 500] [--rounds 3] [--turns-only]
    python benchmarks/archives.py DATA --bucket s3://BUCKET/FOLDER   # in a bucket as well, as folder and as shards
    python benchmarks/archives.py --made          # listing 1,000,000 rows by their remembered index

Each extraction begins on an empty cache, and the kinds take turns, so that whatever else the machine does meets all of
them. What counts is the time of processors (user and system) from the listing to the last part, since
a busy machine stretches all others; imports are not in it.
"""

from __future__ import annotations

import argparse
import io
import os
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from featx.base_choice import BaseChoice
from featx.data.digest_cache import digest_all
from featx.data.sources import list_images
from featx.data.sources.archives.members import Archive
from featx.data.sources.archives.remembered_index import save_index
from featx.data.sources.archives.samples import ShardIndex
from featx.data.sources.image_files import read_stamp
from featx.requests import ExtractRequest
from featx.storage.interface import storage_of
from featx.storage.paths import parse_cache

SHARD_ROWS = 200
MADE_ROWS = 1_000_000
MADE_SHARDS = 100


def write_kinds(data: str, count: int, folder: Path) -> dict[str, str]:
    """Write the first images of each class as every kind of DATA."""
    listing = list_images(data)
    step = max(1, len(listing) // count)
    rows = list(range(0, len(listing), step))[:count]
    images = [(listing.labels[row], Path(listing.paths[row]).name, listing.read(listing.paths[row])) for row in rows]
    for label, name, image in images:
        (folder / "folder" / label).mkdir(parents=True, exist_ok=True)
        (folder / "folder" / label / name).write_bytes(image)
    with zipfile.ZipFile(folder / "photos.zip", "w") as file:
        for label, name, image in images:
            file.writestr(f"{label}/{name}", image)
    (folder / "shards").mkdir()
    for first in range(0, len(images), SHARD_ROWS):
        with tarfile.open(folder / "shards" / f"{first // SHARD_ROWS:03}.tar", "w") as shard:
            for number, (label, _, image) in enumerate(images[first : first + SHARD_ROWS], first):
                add_member(shard, f"{number:06}.jpg", image)
                add_member(shard, f"{number:06}.cls", label.encode())
    write_parquet(folder / "photos.parquet", images)
    names = {"folder": "folder", "zip": "photos.zip", "shards": "shards", "parquet": "photos.parquet"}
    return {kind: str(folder / name) for kind, name in names.items()}


def write_bucket(kinds: dict[str, str], url: str) -> dict[str, str]:
    """Put the folder and the shards into a bucket."""
    for kind in ("folder", "shards"):
        for file in sorted(Path(kinds[kind]).rglob("*.*")):
            target = parse_cache(url) / kind
            for part in file.relative_to(kinds[kind]).parts:
                target = target / part
            storage_of(target).write_file(target, [file.read_bytes()])
    return {"bucket": f"{url}/folder", "bucket shards": f"{url}/shards"}


def add_member(shard: tarfile.TarFile, name: str, data: bytes) -> None:
    info = tarfile.TarInfo(name)
    info.size = len(data)
    shard.addfile(info, io.BytesIO(data))


def write_parquet(file: Path, images: Sequence[tuple[str, str, bytes]]) -> None:
    import pyarrow as pa
    from pyarrow import parquet

    column = [{"bytes": image, "path": name} for _, name, image in images]
    labels = [label for label, _, _ in images]
    parquet.write_table(pa.table({"image": column, "label": labels}), file, row_group_size=100)


def measure(data: str, base: BaseChoice) -> dict[str, float]:
    """Extract on an empty cache in this process: seconds of processors, and images."""
    from featx.workflows.extract import extract_features

    with tempfile.TemporaryDirectory() as cache:
        request = ExtractRequest(data, base, ["layer4"], cache=Path(cache))
        before = sum(os.times()[:2])
        started = time.perf_counter()
        summary = extract_features(request)
        return {
            "cpu": sum(os.times()[:2]) - before,
            "wall": time.perf_counter() - started,
            "images": summary.extracted,
        }


def take_turns(kinds: dict[str, str], base: BaseChoice, rounds: int) -> dict[str, list[dict[str, float]]]:
    """Measure each kind once a round, after one round that does not count."""
    figures: dict[str, list[dict[str, float]]] = {kind: [] for kind in kinds}
    names = list(kinds)
    for number in range(rounds + 1):
        # Another one begins in every round.
        for kind in names[number % len(names) :] + names[: number % len(names)]:
            figure = measure(kinds[kind], base)
            if number:
                figures[kind].append(figure)
            print(f"  {kind} {figure['cpu']:.2f} s", file=sys.stderr, flush=True)
    return figures


def check_one_row(kinds: dict[str, str], base: BaseChoice, cache: Path) -> Iterator[str]:
    """Extract every kind into one cache: the digests are the same, and only the first has anything to compute."""
    # Here, so that listing is measured without torch.
    from featx.workflows.extract import extract_features

    expected = None
    for kind, data in kinds.items():
        request = ExtractRequest(data, base, ["layer4"], cache=cache)
        summary = extract_features(request)
        digests = sorted(digest_all(cache, list_images(data, cache)).digests.tolist())
        is_same = expected is None or digests == expected
        expected = digests
        word = "the same" if is_same else "DIFFER"
        yield f"{kind:13} {len(digests)} images, digests {word}, {summary.extracted} extracted"


def list_made(folder: Path) -> str:
    """List a million rows by the index that is remembered of their shards: the tar files are holes of a stated size."""
    rows = MADE_ROWS // MADE_SHARDS
    for number in range(MADE_SHARDS):
        shard = folder / "shards" / f"{number:03}.tar"
        shard.parent.mkdir(exist_ok=True)
        with shard.open("wb") as file:
            file.truncate(rows * 100_352)
    # Stamps younger than that are not remembered.
    time.sleep(2.1)
    for number in range(MADE_SHARDS):
        path = str(folder / "shards" / f"{number:03}.tar")
        names = [f"{number * rows + row:09}.jpg" for row in range(rows)]
        places = [512 + row * 100_352 for row in range(rows)]
        labels: list[str | None] = [f"class {row % 1000}" for row in range(rows)]
        index = ShardIndex(names, places, [99_000 + row % 512 for row in range(rows)], labels)
        save_index(folder / "cache", Archive(path, read_stamp(path)), index)
    script = [sys.executable, __file__, str(folder / "shards"), "--list", str(folder / "cache")]
    return subprocess.run(script, capture_output=True, text=True, check=True).stdout.strip()


def report_listing(data: str, cache: Path) -> str:
    """List DATA, and say what it took."""
    imported = find_peak()
    started = time.perf_counter()
    before = sum(os.times()[:2])
    listing = list_images(data, cache)
    wall = time.perf_counter() - started
    cpu = sum(os.times()[:2]) - before
    stamps = listing.files.read_stamps(listing.paths)
    whole = time.perf_counter() - started
    return (
        f"{len(listing):,} rows listed in {cpu:.1f} s of a core ({wall:.1f} s by the clock; with their stamps "
        f"{whole:.1f} s); {find_peak():,} MB at most, of which {imported:,} MB for imports; {len(stamps):,} stamps"
    )


def find_peak() -> int:
    """Tell the most memory that this process has had, in MB."""
    # Not getrusage(2), which counts what the process had before it began another program.
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) // 1024 for line in lines if line.startswith("VmHWM"))


def print_turns(figures: dict[str, list[dict[str, float]]]) -> None:
    """Print the median of the rounds, and of how each kind compares with the folder in the same round."""
    print(
        f"{'kind':13} {'images':>6} {'core s':>8} {'ms/image':>9} {'of folder':>9} {'(quartiles)':>15} {'clock s':>8}"
    )
    for kind, rounds in figures.items():
        cpu = statistics.median(figure["cpu"] for figure in rounds)
        wall = statistics.median(figure["wall"] for figure in rounds)
        images = rounds[0]["images"]
        ratios = [folder["cpu"] / figure["cpu"] for folder, figure in zip(figures["folder"], rounds, strict=True)]
        low, middle, high = statistics.quantiles(ratios, n=4)
        spread = f"({low:.3f}-{high:.3f})"
        each = 1000 * cpu / images
        print(f"{kind:13} {images:6.0f} {cpu:8.2f} {each:9.2f} {middle:9.3f} {spread:>15} {wall:8.2f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", nargs="?")
    parser.add_argument("--base", default="mobilenet_v2")
    parser.add_argument("--weights")
    parser.add_argument("--images", type=int, default=500)
    parser.add_argument("--kinds", nargs="+", default=["folder", "zip", "shards", "parquet"])
    parser.add_argument("--bucket", help="a folder in an object store, to which the data set is written, too")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--turns-only", action="store_true", help="do not extract all kinds into one cache first")
    parser.add_argument("--made", action="store_true")
    parser.add_argument("--list", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    base = BaseChoice(options.base, options.weights)
    if options.list:
        print(report_listing(options.data, options.list))
    elif options.made:
        with tempfile.TemporaryDirectory() as folder:
            print(list_made(Path(folder)))
    else:
        with tempfile.TemporaryDirectory() as folder:
            kinds = write_kinds(options.data, options.images, Path(folder))
            buckets = write_bucket(kinds, options.bucket) if options.bucket else {}
            kinds = {kind: kinds[kind] for kind in options.kinds} | buckets
            if not options.turns_only:
                for line in check_one_row(kinds, base, Path(folder) / "cache"):
                    print(line)
            if options.rounds:
                print_turns(take_turns(kinds, base, options.rounds))


if __name__ == "__main__":
    main()
