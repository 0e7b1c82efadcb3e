"""Feeds mutated images to the decoder and prints one line of JSON; runs in a process of its own, to be measured.

python -m tests.images.fuzzing COUNT SEED [FOLDER OF FURTHER IMAGES]
"""

import io
import json
import random
import struct
import sys
import time
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from featx.images.decode import BrokenImage, decode

KINDS: dict[str, dict[str, object]] = {
    "JPEG": {},
    "PNG": {},
    "GIF": {},
    "BMP": {},
    "WEBP": {},
    "AVIF": {"speed": 10},
    "JPEG2000": {},
    "TIFF": {"compression": "tiff_lzw"},
    "PPM": {},
    "TGA": {"compression": "tga_rle"},
    "ICO": {},
    "QOI": {},
    "PCX": {},
    "SGI": {},
}


EXTREMES = (b"\0", b"\xff", b"\xff\xff", b"\x7f\xff", b"\0\0\0\0", b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff")


def peak_megabytes() -> int:
    """Largest memory that this process has had (`ru_maxrss` would also count the parent's)."""
    return int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]) // 1024


def sample(kind: str, number: int) -> bytes:
    noise = np.random.default_rng(number).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    picture = Image.fromarray(noise).resize((64 + 8 * number, 48), Image.Resampling.BICUBIC)
    file = io.BytesIO()
    picture.convert("P" if kind == "GIF" else "RGB").save(file, kind, **KINDS[kind])
    return file.getvalue()


def variants() -> list[bytes]:
    """More of the formats' own ways: progressive, interlaced, tiled, palettes, deep grey, EXIF."""
    picture = Image.open(io.BytesIO(sample("PNG", 3)))
    exif = Image.Exif()
    exif[0x0112] = 6
    wanted: list[tuple[Image.Image, str, dict[str, object]]] = [
        (picture, "JPEG", {"progressive": True, "exif": exif}),
        (picture.convert("CMYK"), "JPEG", {}),
        (picture.convert("P"), "PNG", {"transparency": 3}),
        (Image.fromarray(np.arange(4096, dtype=np.uint16).reshape(64, 64)), "PNG", {}),
        (picture.convert("F"), "TIFF", {}),
        (picture, "TIFF", {"compression": "jpeg"}),
        (picture.convert("1"), "TIFF", {"compression": "group4"}),
        (picture.convert("RGBA"), "WEBP", {"lossless": True}),
        (picture, "PNG", {"exif": exif}),
    ]
    made = []
    for image, kind, options in wanted:
        file = io.BytesIO()
        image.save(file, kind, **options)
        made.append(file.getvalue())
    return made


def mend_png(data: bytes) -> bytes:
    """Make every checksum of a PNG right, so that mutations reach further than the checksum."""
    out, at = bytearray(data[:8]), 8
    while at + 12 <= len(data):
        (length,) = struct.unpack(">I", data[at : at + 4])
        chunk = data[at + 4 : at + 8 + length]
        out += data[at : at + 4] + chunk + struct.pack(">I", zlib.crc32(chunk))
        at += 12 + length
    return bytes(out)


def flip(data: bytearray, dice: random.Random) -> bytearray:
    for _ in range(dice.choice((1, 1, 2, 8, 64))):
        data[dice.randrange(len(data))] ^= 1 << dice.randrange(8)
    return data


def extremes(data: bytearray, dice: random.Random) -> bytearray:
    for _ in range(dice.choice((1, 2, 4))):
        at = dice.randrange(min(len(data), 512) if dice.random() < 0.7 else len(data))
        word = dice.choice(
            (b"\0", b"\xff", b"\xff\xff", b"\x7f\xff", b"\0\0\0\0", b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff")
        )
        data[at : at + len(word)] = word
    return data


def cut(data: bytearray, dice: random.Random) -> bytearray:
    return data[: dice.randrange(len(data))]


def drop(data: bytearray, dice: random.Random) -> bytearray:
    at = dice.randrange(len(data))
    return data[:at] + data[at + dice.randrange(1, 64) :]


def repeat(data: bytearray, dice: random.Random) -> bytearray:
    at, length = dice.randrange(len(data)), dice.randrange(1, 256)
    return data[: at + length] + data[at : at + length] * dice.choice((1, 3, 50)) + data[at + length :]


def noise(data: bytearray, dice: random.Random) -> bytearray:
    if dice.random() < 0.3:
        return bytearray(dice.randbytes(dice.randrange(2000)))
    at = dice.randrange(len(data))
    return data[:at] + dice.randbytes(dice.randrange(1, 200)) + data[at:]


MUTATIONS: tuple[Callable[[bytearray, random.Random], bytearray], ...] = (
    flip,
    flip,
    extremes,
    extremes,
    cut,
    drop,
    repeat,
    noise,
)


def mutate(data: bytes, dice: random.Random) -> bytes:
    mutated = bytearray(data)
    for _ in range(dice.choice((1, 1, 2, 3))):
        if mutated:
            mutated = dice.choice(MUTATIONS)(mutated, dice)
    is_mended = data[:4] == b"\x89PNG" and dice.random() < 0.7
    return mend_png(bytes(mutated)) if is_mended else bytes(mutated)


def main(count: int, seed: int, folder: str | None) -> dict[str, object]:
    seeds = [sample(kind, number) for kind in KINDS for number in range(2)] + variants()
    if folder:
        seeds += [path.read_bytes() for path in sorted(Path(folder).rglob("*")) if path.is_file()]
        seeds = [data for data in seeds if 0 < len(data) < 100_000]
    dice = random.Random(seed)
    features, reasons, slowest, worst = 0, 0, 0.0, ""
    for number in range(count):
        data = mutate(dice.choice(seeds), dice)
        started = time.process_time()
        try:
            picture = decode(data)
            features += picture.mode == "RGB"
        except BrokenImage as error:
            reasons += bool(str(error))
        seconds = time.process_time() - started
        if seconds > slowest:
            slowest, worst = seconds, f"{number}: {data[:16]!r} {len(data)}"
    peak = peak_megabytes()
    return {"features": features, "reasons": reasons, "slowest": slowest, "worst": worst, "peak_megabytes": peak}


if __name__ == "__main__":
    given = sys.argv[1:]
    sys.stdout.write(json.dumps(main(int(given[0]), int(given[1]), given[2] if len(given) > 2 else None)))
