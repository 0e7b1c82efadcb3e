"""Pictures made to take memory or time, or to crash what reads them: one file each, made by code."""

from __future__ import annotations

import io
import os
import socket
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

Make = Callable[[], bytes]
PIECES = 1_500_000
"""Pieces of which a file of millions of pieces is made."""


def encoded(picture: Image.Image, kind: str, **options: object) -> bytes:
    file = io.BytesIO()
    picture.save(file, kind, **options)
    return file.getvalue()


def noise(width: int, height: int) -> Image.Image:
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8))


SMALL = Image.new("RGB", (16, 16), (9, 99, 199))


# PNG


def chunk(kind: bytes, data: bytes = b"") -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def zeros(count: int) -> bytes:
    """Compress so many zeros, without ever holding them."""
    packer = zlib.compressobj(1)
    block = bytes(min(count, 2**20))
    packed = [packer.compress(block) for _ in range(count // len(block))]
    packed.append(packer.compress(bytes(count % len(block))))
    return b"".join([*packed, packer.flush()])


def png(
    size: tuple[int, int],
    *before: bytes,
    bits: int = 8,
    colour: int = 0,
    pixels: bytes | None = None,
    after: bytes = b"",
) -> bytes:
    width, height = size
    samples = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[colour]
    line = 1 + (width * bits * samples + 7) // 8
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0))
    packed = zeros(line * height) if pixels is None else pixels
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(before) + chunk(b"IDAT", packed) + after + chunk(b"IEND")


def png_of_pieces(piece: bytes, count: int = PIECES) -> bytes:
    return png((16, 16), piece * count)


def png_of_empty_pixels() -> bytes:
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 16, 16, 8, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT") * PIECES + chunk(b"IDAT", zeros(16 * 17)) + chunk(b"IEND")


def animated_png(side: int) -> bytes:
    frame = struct.pack(">IIIIIHHBB", 0, side, side, 0, 0, 1, 1, 1, 0)
    return png((side, side), chunk(b"acTL", struct.pack(">II", 2, 0)), chunk(b"fcTL", frame), pixels=zeros(1000))


def png_of_two_headers() -> bytes:
    second = chunk(b"IHDR", struct.pack(">IIBBBBB", 40_000, 40_000, 8, 6, 0, 0, 0))
    return png((16, 16), second, chunk(b"acTL", struct.pack(">II", 2, 0)), pixels=zeros(1000))


BOMB = zeros(2**20 - 100)

PNGS: dict[str, Make] = {
    "1 x 60000": lambda: png((1, 60_000)),
    "60000 x 1": lambda: png((60_000, 1), colour=2),
    "2 x 1000000": lambda: png((2, 1_000_000)),
    "1 x 50000000": lambda: png((1, 50_000_000)),
    "50000000 x 1": lambda: png((50_000_000, 1), bits=1),
    "50000000 x 1 of 64 bits": lambda: png((50_000_000, 1), bits=16, colour=6),
    "60000 x 60000": lambda: png((60_000, 60_000), pixels=zeros(1000)),
    "10100 x 10100 of 32 bits": lambda: png((10_100, 10_100), colour=6),
    "texts that unpack": lambda: png((16, 16), chunk(b"zTXt", b"a\0\0" + BOMB) * 200),
    "profiles that unpack": lambda: png((16, 16), chunk(b"iCCP", b"a\0\0" + BOMB) * 20_000),
    "texts without a letter": lambda: png_of_pieces(chunk(b"tEXt", b"a\0")),
    "chunks of nothing": lambda: png_of_pieces(chunk(b"abCd")),
    "pixels without a byte": png_of_empty_pixels,
    "chunks behind the pixels": lambda: png((16, 16), after=chunk(b"iCCP", b"a\0\0" + BOMB) * 20_000),
    "animation of 60000 x 60000": lambda: animated_png(60_000),
    "animation of 10000 x 10000": lambda: animated_png(10_000),
    "two headers": png_of_two_headers,
    "no colours": lambda: png((16, 16), chunk(b"PLTE"), colour=3),
    "EXIF that points at itself": lambda: png((16, 16), chunk(b"eXIf", exif_of_loops())),
}


# JPEG


def segment(marker: int, data: bytes) -> bytes:
    return bytes([0xFF, marker]) + struct.pack(">H", len(data) + 2) + data


def exif_of_loops() -> bytes:
    """65000 tags, all of them pages of tags that begin where this one does."""
    entry = struct.pack("<HHII", 0x8769, 4, 1, 8)
    return b"II*\0" + struct.pack("<IH", 8, 5000) + entry * 5000 + struct.pack("<I", 8)


def jpeg(picture: Image.Image = SMALL, *segments: bytes, **options: object) -> bytes:
    data = encoded(picture, "JPEG", **options)
    return data[:2] + b"".join(segments) + data[2:]


def jpeg_of_scans(count: int, side: int) -> bytes:
    data = encoded(Image.new("L", (side, side)), "JPEG", progressive=True)
    last = data[data.rfind(b"\xff\xda") : -2]
    return data[:-2] + last * count + data[-2:]


def jpeg_of_sequential_scans(count: int, side: int) -> bytes:
    data = encoded(Image.new("YCbCr", (side, side)), "JPEG", subsampling=0)
    place = data.rfind(b"\xff\xda")
    # One colour in each scan, so that libjpeg waits for more of them.
    scan = segment(0xDA, b"\x01\x01\x00\x00\x3f\x00") + b"\0" * 300
    return data[:place] + scan * count + data[-2:]


def sized_jpeg(width: int, height: int) -> bytes:
    data = encoded(SMALL, "JPEG")
    place = data.find(b"\xff\xc0") + 5
    return data[:place] + struct.pack(">HH", height, width) + data[place + 4 :]


def mpo_of_pages(count: int) -> bytes:
    index = struct.pack("<HHI4s", 0xB000, 7, 4, b"0100") + struct.pack("<HHII", 0xB001, 4, 1, count)
    index += struct.pack("<HHII", 0xB002, 7, 16 * count, 50)
    page = b"II*\0" + struct.pack("<IH", 8, 3) + index + bytes(4)
    return jpeg(SMALL, segment(0xE2, b"MPF\0" + page + bytes(1000)))


JPEGS: dict[str, Make] = {
    "30000 scans": lambda: jpeg_of_scans(30_000, 6000),
    "2000 scans of little": lambda: jpeg_of_scans(2000, 8000),
    "scans of one colour": lambda: jpeg_of_sequential_scans(5000, 6000),
    "comments without a letter": lambda: jpeg(SMALL, segment(0xFE, b"") * (10 * PIECES)),
    "junk between segments": lambda: jpeg(SMALL, bytes(60_000_000)),
    "fill bytes": lambda: jpeg(SMALL, b"\xff" * 60_000_000),
    "EXIF in 2000 segments": lambda: jpeg(SMALL, segment(0xE1, b"Exif\0\0" + bytes(65_000)) * 2000),
    "EXIF that points at itself": lambda: jpeg(SMALL, segment(0xE1, b"Exif\0\0" + exif_of_loops())),
    "65500 x 65500": lambda: sized_jpeg(65_500, 65_500),
    "65500 x 1600": lambda: sized_jpeg(65_500, 1600),
    "pages without end": lambda: mpo_of_pages(2**28 - 1),
    "pages": lambda: mpo_of_pages(60),
    "segments cut off": lambda: jpeg(SMALL)[:30],
}


# GIF


def gif(screen: tuple[int, int], frame: tuple[int, int], before: bytes = b"", pixels: bytes | None = None) -> bytes:
    data = encoded(Image.new("L", (16, 16)), "GIF")
    start = data.find(b",")
    body = data[start + 10 :] if pixels is None else pixels
    head = b"GIF89a" + struct.pack("<HH", *screen) + b"\xf0\0\0" + bytes(6) + before
    return head + b"," + struct.pack("<HHHHB", 0, 0, *frame, 0) + body


DISPOSED = b"!\xf9\x04\x08\0\0\0\0"
"""An extension by which Pillow makes what stands behind the frame while it opens the file."""

GIFS: dict[str, Make] = {
    "screen of 65535 x 65535": lambda: gif((65_535, 65_535), (16, 16)),
    "frame of 65535 x 65535": lambda: gif((16, 16), (65_535, 65_535)),
    "frame of 10000 x 10000 to be disposed of": lambda: gif((16, 16), (10_000, 10_000), DISPOSED),
    "comments without a letter": lambda: gif((16, 16), (16, 16), b"!\xfe\0" * (10 * PIECES)),
    "comments of a letter": lambda: gif((16, 16), (16, 16), b"!\xfe" + b"\x01a" * (10 * PIECES) + b"\0"),
    "junk before the frame": lambda: gif((16, 16), (16, 16), bytes(60_000_000)),
    "blocks of a byte": lambda: gif((16, 16), (16, 16), pixels=b"\x08" + b"\x01a" * (10 * PIECES) + b"\0;"),
}


# TIFF

Tags = dict[int, tuple[int, tuple[int, ...] | bytes]]
FORMATS = {1: "B", 3: "H", 4: "I", 11: "f", 16: "Q"}


def tiff(tags: Tags, pixels: bytes = bytes(10_000), is_big: bool = False, copies: int = 1) -> bytes:
    """A TIFF or BigTIFF of one page whose pixels begin at 16; `copies` repeats its tags."""
    word, count_format = ("Q", "<Q") if is_big else ("I", "<H")
    size = struct.calcsize("<" + word)
    values_place = 16 + len(pixels)
    directory = b""
    values = b""
    for tag, (kind, numbers) in sorted(tags.items()):
        raw = numbers if isinstance(numbers, bytes) else struct.pack(f"<{len(numbers)}{FORMATS[kind]}", *numbers)
        count = len(raw) // struct.calcsize(FORMATS[kind])
        directory += struct.pack(f"<HH{word}", tag, kind, count)
        if len(raw) <= size:
            directory += raw.ljust(size, b"\0")
        else:
            directory += struct.pack("<" + word, values_place + len(values))
            values += raw
    start = values_place + len(values)
    header = b"II+\0\x08\0\0\0" if is_big else b"II*\0"
    head = (header + struct.pack("<" + word, start)).ljust(16, b"\0")
    return head + pixels + values + struct.pack(count_format, len(tags) * copies) + directory * copies + bytes(size)


def tags_of(width: int, height: int, compression: int = 1, rows: int | None = None, **more: object) -> Tags:
    """Tags of a grey page in strips of some rows, all of which lie at byte 16."""
    strips = -(-height // (rows or height))
    count = int(str(more.get("count", 10_000)))
    return {
        256: (4, (width,)),
        257: (4, (height,)),
        258: (3, (8,)),
        259: (3, (compression,)),
        262: (3, (1,)),
        273: (4, (16,) * strips),
        277: (3, (1,)),
        278: (4, (rows or height,)),
        279: (4, (count,) * strips),
    }


def tiled(width: int, height: int, tile: tuple[int, int], compression: int = 1, pixels: bytes = bytes(10_000)) -> bytes:
    tags = tags_of(width, height, compression)
    for strip_tag in (273, 278, 279):
        del tags[strip_tag]
    tiles = -(-width // tile[0]) * -(-height // tile[1])
    tags |= {322: (4, tile[:1]), 323: (4, tile[1:]), 324: (4, (16,) * tiles), 325: (4, (len(pixels),) * tiles)}
    return tiff(tags, pixels)


def tiff_of_shared_work() -> bytes:
    """Strips of a line each that share 20 MB of deflated nothing."""
    empty_block = b"\x00\x00\x00\xff\xff"
    pixels = b"\x78\x9c" + empty_block * 4_000_000 + zlib.compress(bytes(64))[2:]
    return tiff(tags_of(64, 20_000, 8, 1, count=len(pixels)), pixels)


def tiff_of_jpeg_scans() -> bytes:
    pixels = jpeg_of_scans(3000, 4096)
    return tiff(tags_of(4096, 4096, 7, count=len(pixels)), pixels)


def tiff_of_lzma() -> bytes:
    import lzma

    filters = [{"id": lzma.FILTER_LZMA2, "dict_size": 1_500_000_000 & ~0xFFF, "preset": 0}]
    try:
        pixels = lzma.compress(bytes(256), lzma.FORMAT_XZ, filters=filters)
    except MemoryError:
        pixels = lzma.compress(bytes(256))
    return tiff(tags_of(16, 16, 34925, count=len(pixels)), pixels)


def tiff_of_deep_pages() -> bytes:
    tags = tags_of(16, 16) | {330: (4, (16,) * 50_000), 34665: (4, (16,)), 34853: (4, (16,))}
    return tiff(tags)


def tiff_of_looping_pages() -> bytes:
    data = tiff(tags_of(16, 16))
    start = data[4:8]
    return data[:-4] + start


TIFFS: dict[str, Make] = {
    "a tile of 30000 x 32000": lambda: tiled(100, 100, (30_000, 32_000)),
    "a deflated tile of 28512 x 28512": lambda: tiled(100, 100, (28_512, 28_512), 8, zeros(28_512 * 28_512)),
    "12 million tags": lambda: tiff(tags_of(16, 16), is_big=True, copies=1_300_000),
    "65000 tags": lambda: tiff(tags_of(16, 16), copies=7000),
    "a tag of 10 million offsets": lambda: tiff(tags_of(16, 16) | {273: (4, bytes(40_000_000))}),
    "a tag of 100 MB": lambda: tiff(tags_of(16, 16) | {34675: (1, bytes(100_000_000))}),
    "strips that share their work": tiff_of_shared_work,
    "JPEG of 3000 scans": tiff_of_jpeg_scans,
    "LZMA with a dictionary of 1.5 GB": tiff_of_lzma,
    "65535 samples a pixel": lambda: tiff(tags_of(16, 16) | {277: (3, (65_535,)), 258: (3, (8,) * 65_535)}),
    "bits that are not a number": lambda: tiff(tags_of(16, 16) | {258: (11, struct.pack("<f", float("nan")))}),
    "a maker that is no text": lambda: tiff(tags_of(16, 16) | {271: (3, (999,) * 9), 330: (4, (8,))}),
    "a value behind the end of numbers": lambda: tiff(tags_of(16, 16) | {339: (16, (2**63,) * 3)}, is_big=True),
    "pages in pages": tiff_of_deep_pages,
    "a page that follows itself": tiff_of_looping_pages,
    "1 x 20000000": lambda: tiff(tags_of(1, 20_000_000, 8, count=len(zeros(10))), zeros(20_000_000)),
    "100000 x 100000": lambda: tiff(tags_of(100_000, 100_000)),
    "150 MB between two strips": lambda: tiff(
        tags_of(16, 16, rows=8) | {273: (4, (16, 150_000_000))}, bytes(150_000_300)
    ),
}


# ICO, BMP, PPM


def icon(*pictures: bytes, count: int | None = None) -> bytes:
    place = 6 + 16 * len(pictures)
    entries = b""
    for picture in pictures:
        entries += struct.pack("<BBBBHHII", 16, 16, 0, 0, 1, 32, len(picture), place)
        place += len(picture)
    return struct.pack("<HHH", 0, 1, count or len(pictures)) + entries + b"".join(pictures)


def bmp(width: int, height: int, compression: int, pixels: bytes, has_header: bool = True) -> bytes:
    bits = 4 if compression == 2 else 8
    info = struct.pack("<IiiHHIIiiII", 40, width, height, 1, bits, compression, len(pixels), 0, 0, 2**bits, 0)
    colours = bytes(4 * 2**bits)
    start = 14 + len(info) + len(colours)
    header = b"BM" + struct.pack("<IHHI", start + len(pixels), 0, 0, start)
    return (header if has_header else b"") + info + colours + pixels


OTHERS: dict[str, dict[str, Make]] = {
    "ico": {
        "PNG of 10000 x 10000": lambda: icon(png((10_000, 10_000), colour=6)),
        "PNG of 30000 x 30000": lambda: icon(png((30_000, 30_000), pixels=zeros(1000))),
        "animated PNG": lambda: icon(animated_png(10_000)),
        "BMP of 9000 x 18000": lambda: icon(bmp(9000, 18_000, 0, b"", False) + bytes(1000)),
        "runs of 9000 x 18000": lambda: icon(bmp(9000, 18_000, 1, b"\x01a" * 3_000_000, False)),
        "65535 icons": lambda: icon(png((16, 16)), count=65_535) + bytes(16 * 65_535),
    },
    "bmp": {
        "runs of a pixel": lambda: bmp(9000, 9000, 1, b"\x01a" * 40_000_000),
        "runs of half a byte": lambda: bmp(9000, 9000, 2, b"\xffa" * 400_000),
        "runs without a header": lambda: bmp(9000, 9000, 1, b"\x01a" * 40_000_000, False),
        "50000 x 50000": lambda: bmp(50_000, 50_000, 0, bytes(1000)),
        "10000 x -10000 cut off": lambda: bmp(10_000, -10_000, 0, bytes(1000)),
    },
    "ppm": {
        "numbers in letters": lambda: b"P3 6000 4000 255\n" + b"7 " * 72_000_000,
        "bits in letters": lambda: b"P1 9000 9000\n" + b"1" * 81_000_000,
        "comments in numbers": lambda: b"P2 3000 3000 255\n" + b"#\n" * 20_000_000 + b"7 " * 9_000_000,
        "a comment of 100 MB": lambda: b"P6 #" + b"a" * 100_000_000 + b"\n16 16 255\n" + bytes(768),
        "a maximum of 100": lambda: b"P6 6000 6000 100\n" + bytes(108_000_000),
        "16 bits": lambda: b"P6 5000 5000 65535\n" + bytes(150_000_000),
        "floats of 10000 x 10000": lambda: b"Pf 10000 10000 -1.0\n" + bytes(1000),
        "digits": lambda: b"P5 99999999999999999999 9 255\n",
        "numbers that never end": lambda: b"P2 3000 3000 255\n" + b"1" * 50_000_000,
    },
}


# WebP, JPEG 2000, AVIF, HEIC


def riff(*chunks: bytes) -> bytes:
    body = b"WEBP" + b"".join(chunks)
    return b"RIFF" + struct.pack("<I", len(body)) + body


def riff_chunk(kind: bytes, data: bytes) -> bytes:
    return kind + struct.pack("<I", len(data)) + data + b"\0" * (len(data) % 2)


def webp_of(canvas: int, *chunks: bytes, flags: int = 2) -> bytes:
    side = struct.pack("<I", canvas - 1)[:3]
    head = riff_chunk(b"VP8X", bytes([flags, 0, 0, 0]) + side + side)
    return riff(head, riff_chunk(b"ANIM", bytes(6)), *chunks)


def webp_frames(count: int, canvas: int = 16) -> bytes:
    still = encoded(SMALL, "WEBP")[12:]
    size = struct.pack("<I", 15)[:3]
    frame = riff_chunk(b"ANMF", bytes(6) + size + size + b"\x64\0\0\0" + still)
    return webp_of(canvas, frame * count)


def j2k(size: tuple[int, int], tile: tuple[int, int], components: int, *segments: bytes) -> bytes:
    """A codestream of a header, and little behind it."""
    siz = struct.pack(">HIIIIIIIIH", 0, *size, 0, 0, *tile, 0, 0, components) + b"\x07\x01\x01" * components
    qcd = segment(0x5C, b"\x40" + b"\x40" * 97)
    sot = segment(0x90, struct.pack(">HIBB", 0, 0, 0, 1)) + b"\xff\x93" + bytes(1000)
    return b"\xff\x4f" + segment(0x51, siz) + b"".join(segments) + qcd + sot + b"\xff\xd9"


def cod(layers: int = 1, levels: int = 5, precincts: bytes = b"") -> bytes:
    style = bytes([1 if precincts else 0])
    return segment(0x52, style + b"\x02" + struct.pack(">H", layers) + b"\0" + bytes([levels, 4, 4, 0, 1]) + precincts)


def jp2(codestream: bytes, size: tuple[int, int] = (16, 16), before: bytes = b"") -> bytes:
    header = struct.pack(">I4sIIHBBBB", 22, b"ihdr", size[1], size[0], 1, 7, 7, 0, 0)
    colour = struct.pack(">I4sBBBI", 15, b"colr", 1, 0, 0, 17)
    start = b"\0\0\0\x0cjP  \r\n\x87\n" + struct.pack(">I4s4sI4s", 20, b"ftyp", b"jp2 ", 0, b"jp2 ")
    boxes = struct.pack(">I4s", 8 + len(header) + len(colour), b"jp2h") + header + colour
    return start + before + boxes + struct.pack(">I4s", 8 + len(codestream), b"jp2c") + codestream


def patched_size(data: bytes, width: int, height: int) -> bytes:
    """A picture in an ISO container that states another size than it has."""
    place = data.find(b"ispe") + 8
    return data[:place] + struct.pack(">II", width, height) + data[place + 8 :]


def avif(picture: Image.Image = SMALL) -> bytes:
    return encoded(picture, "AVIF", speed=10)


def heif(picture: Image.Image = SMALL) -> bytes:
    import pillow_heif

    file = io.BytesIO()
    pillow_heif.from_pillow(picture).save(file)
    return file.getvalue()


OTHERS |= {
    "webp": {
        "200000 frames": lambda: webp_frames(200_000),
        "a canvas of 16384 x 16384": lambda: webp_frames(2, 16_384),
        "a canvas of 10000 x 10000": lambda: webp_frames(2, 10_000),
        "chunks of nothing": lambda: webp_of(16, riff_chunk(b"abcd", b"") * (10 * PIECES)),
        "cut off": lambda: encoded(noise(300, 300), "WEBP")[:5000],
    },
    "jp2": {
        "65025 tiles": lambda: j2k((2550, 2550), (10, 10), 4, cod()),
        "16384 colours": lambda: jp2(j2k((16, 16), (1, 1), 16_384, cod())),
        "65535 layers": lambda: j2k((4000, 4000), (4000, 4000), 3, cod(65_535)),
        "precincts of two pixels": lambda: j2k((4000, 4000), (4000, 4000), 3, cod(1, 0, b"\x11")),
        "another size inside": lambda: jp2(j2k((30_000, 30_000), (30_000, 30_000), 1, cod())),
        "boxes of nothing": lambda: jp2(j2k((16, 16), (16, 16), 1, cod()), before=b"\0\0\0\x08free" * (5 * PIECES)),
        "100000 x 100000": lambda: j2k((100_000, 100_000), (100_000, 100_000), 1, cod()),
        "5000 x 4000": lambda: encoded(Image.new("RGB", (5000, 4000)), "JPEG2000"),
    },
    "avif": {
        "30000 x 30000 by its container": lambda: patched_size(avif(), 30_000, 30_000),
        "16 x 16 by its container": lambda: patched_size(avif(noise(3000, 2000)), 16, 16),
        "6000 x 6000": lambda: avif(Image.new("RGB", (6000, 6000))),
        "cut off": lambda: avif(noise(300, 300))[:3000],
        "of another brand": lambda: b"\0\0\0\x1cftypmif1\0\0\0\0mif1avifmiaf" + os.urandom(5000),
    },
    "heic": {
        "30000 x 30000 by its container": lambda: patched_size(heif(), 30_000, 30_000),
        "16 x 16 by its container": lambda: patched_size(heif(noise(3000, 2000)), 16, 16),
        "cut off": lambda: heif(noise(300, 300))[:3000],
    },
}


# TGA, PCX, SGI, QOI, DICOM, and what is none of all that


def tga(width: int, height: int, pixels: bytes) -> bytes:
    return struct.pack("<BBBHHBHHHHBB", 0, 0, 10, 0, 0, 0, 0, 0, width, height, 24, 0) + pixels


def sgi(width: int, height: int, bytes_a_value: int, body: bytes, is_packed: int = 1) -> bytes:
    return struct.pack(">HBBHHHH", 0x01DA, is_packed, bytes_a_value, 3, width, height, 3).ljust(512, b"\0") + body


def pcx(width: int, height: int, pixels: bytes) -> bytes:
    head = struct.pack("<BBBBHHHHHH", 10, 5, 1, 8, 0, 0, width - 1, height - 1, 72, 72) + bytes(48)
    return (head + struct.pack("<BBHH", 0, 3, width, 1)).ljust(128, b"\0") + pixels


def dicom(elements: bytes, syntax: bytes = b"1.2.840.10008.1.2.1\0") -> bytes:
    meta = element(2, 0x10, b"UI", syntax)
    return bytes(128) + b"DICM" + element(2, 0, b"UL", struct.pack("<I", len(meta))) + meta + elements


def element(group: int, number: int, kind: bytes, value: bytes, length: int | None = None) -> bytes:
    size = len(value) if length is None else length
    if kind in (b"OB", b"OW", b"SQ", b"UN"):
        return struct.pack("<HH2sHI", group, number, kind, 0, size) + value
    return struct.pack("<HH2sH", group, number, kind, size) + value


def dicom_picture(width: int, height: int, pixels: bytes, before: bytes = b"", **options: bytes) -> bytes:
    words = {0x02: 1, 0x10: height, 0x11: width, 0x100: 16, 0x101: 12, 0x102: 11, 0x103: 0}
    elements = before
    for number, value in words.items():
        elements += element(0x28, number, b"US", struct.pack("<H", value))
        if number == 2:
            elements += element(0x28, 4, b"CS", b"MONOCHROME2 ")
    return dicom(elements + pixels, **options)


def encapsulated(jpeg_data: bytes) -> bytes:
    items = struct.pack("<HHI", 0xFFFE, 0xE000, 0) + struct.pack("<HHI", 0xFFFE, 0xE000, len(jpeg_data)) + jpeg_data
    return element(0x7FE0, 0x10, b"OB", items + struct.pack("<HHI", 0xFFFE, 0xE0DD, 0), 0xFFFFFFFF)


def sequences_in_sequences(depth: int) -> bytes:
    item = struct.pack("<HHI", 0xFFFE, 0xE000, 0xFFFFFFFF)
    return (element(0x10, 0x9999, b"SQ", b"", 0xFFFFFFFF) + item) * depth


PIXELS = element(0x7FE0, 0x10, b"OW", bytes(512))

OTHERS |= {
    "tga": {
        "runs of 10000 x 10000": lambda: tga(10_000, 10_000, b"\xff\1\2\3" * 800_000),
        "65535 x 65535": lambda: tga(65_535, 65_535, b"\xff\1\2\3" * 1000),
        "1 x 65535": lambda: tga(1, 65_535, b"\xff\1\2\3" * 1000),
    },
    "pcx": {
        "runs of 10000 x 10000": lambda: pcx(10_000, 10_000, b"\xff\1" * 5_000_000),
        "65535 x 65535": lambda: pcx(65_535, 65_535, b"\xff\1" * 1000),
    },
    "sgi": {
        "runs at one place": lambda: sgi(9000, 9000, 1, struct.pack(">I", 512) * 54_000),
        "16 bits": lambda: sgi(10_000, 2500, 2, bytes(150_000_000), 0),
        "65535 x 65535": lambda: sgi(65_535, 65_535, 1, bytes(1000)),
    },
    "qoi": {
        "runs of 1024 x 1024": lambda: b"qoif" + struct.pack(">IIBB", 1024, 1024, 3, 0) + b"\xfd" * 20_000 + bytes(8),
        "30000 x 30000": lambda: b"qoif" + struct.pack(">IIBB", 30_000, 30_000, 3, 0) + b"\xfd" * 20_000,
    },
    "dcm": {
        "elements of nothing": lambda: dicom_picture(16, 16, PIXELS, element(9, 0x10, b"LO", b"") * (10 * PIECES)),
        "65535 x 65535": lambda: dicom_picture(65_535, 65_535, PIXELS),
        "a large JPEG in a small picture": lambda: dicom_picture(
            16, 16, encapsulated(sized_jpeg(10_000, 10_000)), syntax=b"1.2.840.10008.1.2.4.50"
        ),
        "sequences in sequences": lambda: dicom_picture(16, 16, PIXELS, sequences_in_sequences(20_000)),
        "deflated": lambda: dicom(zeros(10**9)[2:], syntax=b"1.2.840.10008.1.2.1.99"),
        "a length behind the end": lambda: dicom_picture(16, 16, element(0x7FE0, 0x10, b"OW", b"", 0xFFFFFFF0)),
    },
    "jpg": {
        "a zip file": lambda: b"PK\x03\x04" + bytes(1000),
        "EPS": lambda: b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n/x {x} def x\n",
        "SVG": lambda: b'<svg><!ENTITY a "aaaa"><text>&a;&a;</text></svg>' * 100,
        "ICNS": lambda: b"icns" + struct.pack(">I4sI", 10**9, b"ic10", 10**9) + png((10_000, 10_000), pixels=b""),
        "nothing": lambda: b"",
        "zeros": lambda: bytes(200_000_000),
    },
}

PICTURES: dict[str, tuple[str, Make]] = {}
for suffix, made in {"png": PNGS, "jpeg": JPEGS, "gif": GIFS, "tiff": TIFFS, **OTHERS}.items():
    for what, make in made.items():
        PICTURES[f"{suffix}: {what}"] = (suffix, make)
"""What a picture is: its suffix, and what makes its bytes."""


# What is no regular file


def make_socket(path: Path) -> None:
    here = Path.cwd()
    os.chdir(path.parent)  # names of sockets are short
    try:
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(path.name)
    finally:
        os.chdir(here)


def make_sparse(path: Path, size: int) -> None:
    with path.open("wb") as file:
        file.write(b"\x89PNG\r\n\x1a\n")
        file.truncate(size)


SPECIAL_FILES: dict[str, Callable[[Path], None]] = {
    "a pipe": lambda path: os.mkfifo(path),
    "a link to a pipe": lambda path: (os.mkfifo(path.with_suffix("")), path.symlink_to(path.with_suffix("").name))[1],
    "zeros without end": lambda path: path.symlink_to("/dev/zero"),
    "a terminal": lambda path: path.symlink_to("/dev/tty"),
    "a socket": make_socket,
    "a folder": lambda path: path.mkdir(),
    "a link to nothing": lambda path: path.symlink_to("nowhere"),
    "a link to itself": lambda path: path.symlink_to(path.name),
    "a hole of 150 GB": lambda path: make_sparse(path, 150 * 10**9),
    "a hole of 256 MiB": lambda path: make_sparse(path, 2**28),
}
