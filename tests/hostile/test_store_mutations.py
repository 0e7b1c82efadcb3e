"""Random mutations of what a cache holds, in one process: only featx's own errors, and never a wrong number."""

from __future__ import annotations

import json
import random
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xxhash

from featx.data.digest_cache import HEAD_LINE_BYTES, digest_all, load_digests, locate_file, make_head
from featx.data.listing import Listing
from featx.data.sources.image_files import ON_DISK
from featx.errors import FeatxError
from featx.features.catalog import exact_name
from featx.store.base_json import BASE_FILE, checksum_fields, read_base, write_base
from featx.store.clean import clean
from featx.store.compact import compact
from featx.store.hdf5_export import Columns, write_export
from featx.store.part import Part
from featx.store.store import FeatureStore
from featx.store.verify import verify
from tests.hostile.forging import seal, take_apart
from tests.hostile.harness import STRESS
from tests.store.samples import KEY, features_of, fill, make_digests, part_files

pytestmark = [pytest.mark.stress, pytest.mark.slow]

MUTATIONS = 10_000 if STRESS else 300

STRANGE: list[Any] = [
    *(None, True, False, 0, 1, -1, 2, 31, 2**31, 2**63, 2**64, 10**30, 10**400, 0.5, -0.0, 1e308),
    *(float("nan"), float("inf"), "", "0", "layer4", "\0", "\ud800", "\udc80", "../..", "x" * 5000, "{", "[[", "\n"),
    *([], {}, [[]], [1], ["a"], {"a": 1}, [None], [0] * 50),
]
"""Values that no field expects."""


def mutate_value(dice: random.Random, value: Any) -> Any:
    """Change something somewhere in what JSON holds."""
    if isinstance(value, dict) and value and dice.random() < 0.85:
        name = dice.choice(list(value))
        chance = dice.random()
        if chance < 0.1:
            return {other: value[other] for other in value if other != name}
        if chance < 0.2:
            return {**value, dice.choice(["surplus", "", name + "s"]): dice.choice(STRANGE)}
        return {**value, name: mutate_value(dice, value[name])}
    if isinstance(value, list) and value and dice.random() < 0.7:
        place = dice.randrange(len(value))
        chance = dice.random()
        if chance < 0.15:
            return value[:place] + value[place + 1 :]
        if chance < 0.3:
            return [*value, value[place]]
        return [*value[:place], mutate_value(dice, value[place]), *value[place + 1 :]]
    if isinstance(value, int | float) and not isinstance(value, bool) and dice.random() < 0.5:
        return dice.choice([value + 1, value - 1, -value, value * 2, value * 1000, float(value), str(value)])
    if isinstance(value, str) and value and dice.random() < 0.5:
        place = dice.randrange(len(value))
        return value[:place] + dice.choice(["", "x", "\0", "\ud800", '"', value[place] * 2]) + value[place + 1 :]
    return dice.choice(STRANGE)


def mutate_bytes(dice: random.Random, data: bytes) -> bytes:
    """Flip, cut, repeat or overwrite some bytes."""
    changed = bytearray(data)
    region = dice.choice((len(data), min(len(data), 2048), min(len(data), 128)))
    for _ in range(dice.choice((1, 1, 1, 2, 8))):
        place = dice.randrange(region)
        chance = dice.random()
        if chance < 0.6:
            changed[place] ^= 1 << dice.randrange(8)
        elif chance < 0.7:
            changed[place] = dice.choice((0, 255, 10, 34, 91, 123))
        elif chance < 0.8:
            changed[place : place + 8] = dice.randbytes(8)
        elif chance < 0.9:
            del changed[place : place + dice.randrange(1, 64)]
        else:
            changed[place:place] = changed[place : place + dice.randrange(1, 64)]
        region = min(region, len(changed))
        if not region:
            break
    return bytes(changed)


def mutate_text_field(dice: random.Random, fields: dict[str, Any], name: str) -> dict[str, Any]:
    """Change something in a field that is JSON within JSON."""
    return fields | {name: json.dumps(mutate_value(dice, json.loads(fields[name])), sort_keys=True)}


def mutate_part(dice: random.Random, path: Path) -> None:
    """Change a part: any bytes, or its description, key, provenance or HDF5 file with the right checksum."""
    data = path.read_bytes()
    kind = dice.choice(("bytes", "description", "key", "provenance", "hdf5", "hdf5", "text"))
    if kind == "bytes":
        path.write_bytes(mutate_bytes(dice, data))
        return
    anatomy = take_apart(path)
    fields = {name: value for name, value in anatomy.fields.items() if name != "user_block"}
    if kind == "hdf5":
        # As short as its metadata, where all that may mislead the library lies.
        hdf5 = bytearray(anatomy.hdf5)
        for _ in range(dice.choice((1, 1, 2, 4, 16))):
            place = dice.randrange(len(hdf5))
            hdf5[place] = dice.choice((hdf5[place] ^ (1 << dice.randrange(8)), 0, 255, dice.randrange(256)))
        path.write_bytes(seal(data[128 : anatomy.user_block()] + bytes(hdf5)) + anatomy.features)
        return
    if kind == "text":
        line = mutate_bytes(dice, json.dumps(fields).encode())
        path.write_bytes(anatomy.assemble(line + b"\n"))
        return
    fields = mutate_value(dice, fields) if kind == "description" else mutate_text_field(dice, fields, kind)
    path.write_bytes(anatomy.assemble(json.dumps(fields).encode() + b"\n"))


def check_numbers(store: FeatureStore, digests: np.ndarray) -> None:
    """Every row that a store gives is the true one."""
    for some in (digests, digests[:20], digests[25:26]):
        try:
            got = store.get(KEY, some)
        except FeatxError:
            continue
        assert np.array_equal(got.reshape(len(got), -1), features_of(some))


def test_no_mutation_of_a_part_crashes_a_reader_or_gives_a_wrong_number(tmp_path: Path) -> None:
    dice = random.Random(19)
    cache = tmp_path / "cache"
    _, digests = fill(cache, parts=3, rows=20)
    sound = {path: path.read_bytes() for path in part_files(cache)}
    columns = Columns(digests, ["a"] * 60, ["b"] * 60, ["train"] * 60)
    reported = 0
    for _ in range(MUTATIONS):
        path = dice.choice(list(sound))
        mutate_part(dice, path)
        check_numbers(FeatureStore(cache), digests)
        FeatureStore(cache).keys()
        reported += len(verify(cache).problems) > 0
        if dice.random() < 0.2:
            with suppress(FeatxError):
                write_export(tmp_path / "out.h5", FeatureStore(cache), KEY, columns, {"base": "tiny"})
        if dice.random() < 0.2:
            dice.choice((clean, compact))(cache)
            check_numbers(FeatureStore(cache), digests)
            shutil.rmtree(cache / "quarantine", ignore_errors=True)
        for other in part_files(cache):
            if other not in sound:
                other.unlink()
        for other, data in sound.items():
            if not other.exists() or other == path or other.stat().st_size != len(data):
                other.write_bytes(data)
    assert reported > MUTATIONS * 0.6
    assert verify(cache).problems == []


def test_no_mutation_of_a_base_json_crashes_a_reader_or_leads_to_another_layer(tmp_path: Path) -> None:
    dice = random.Random(20)
    cache = tmp_path / "cache"
    store, _ = fill(cache, parts=1)
    file = cache / KEY.base.folder / BASE_FILE
    fields = json.loads(file.read_text())
    fields["layers"] = [
        {"name": f"features.{number}", "alias": f"layer{number}", "shape": [8, 4, 4], "stride": 2**number}
        for number in range(1, 5)
    ]
    fields["checksum"] = checksum_fields(fields)
    text = json.dumps(fields).encode()
    file.write_bytes(text)
    sound = read_base(file)
    for _ in range(MUTATIONS):
        is_forged = dice.random() < 0.6
        if is_forged:
            forged = mutate_value(dice, fields)
            if isinstance(forged, dict) and "checksum" in forged and dice.random() < 0.9:
                forged["checksum"] = checksum_fields(forged)
            file.write_text(json.dumps(forged))
        else:
            file.write_bytes(mutate_bytes(dice, text))
        verify(cache)
        for base in FeatureStore(cache).bases():
            assert is_forged or base == sound
            for name in ("layer3", "features.3", "nowhere"):
                with suppress(FeatxError):
                    exact_name(base, name)
        if dice.random() < 0.1:
            write_base(cache, sound)
            assert read_base(file).id == sound.id
    assert np.array_equal(store.get(KEY, make_digests(20)), features_of(make_digests(20)))


def make_listing(root: Path) -> Listing:
    root.mkdir()
    paths = []
    for number in range(12):
        path = root / f"{number}.bin"
        path.write_bytes(bytes([number]) * 50)
        paths.append(str(path))
    return Listing(str(root), paths, ["a"] * 12, [""] * 12, ON_DISK)


def test_no_mutation_of_remembered_digests_crashes_a_reader_or_gives_another_digest(tmp_path: Path) -> None:
    dice = random.Random(21)
    cache = tmp_path / "cache"
    listing = make_listing(tmp_path / "files")

    def later() -> int:
        return 2**62

    true = digest_all(cache, listing, now=later).digests
    file = locate_file(cache, listing)
    data = file.read_bytes()
    for _ in range(MUTATIONS):
        is_forged = dice.random() < 0.3
        if is_forged:
            # Whoever forges the checksum, too, may state any digest; but no reader crashes.
            body = mutate_bytes(dice, data[HEAD_LINE_BYTES:])
            rows = dice.choice((12, 0, 13, len(body) // 80, 10**11))
            file.write_bytes(make_head(rows, xxhash.xxh3_128_hexdigest(body)) + body)
        else:
            file.write_bytes(mutate_bytes(dice, data))
        known = load_digests(cache, listing)
        assert is_forged or np.array_equal(known.digests[known.known], true[known.known])


def test_mutations_do_reach_the_reader(tmp_path: Path) -> None:
    """Some mutated headers are read, and some are refused by each check: else these tests would show nothing."""
    dice = random.Random(22)
    fill(tmp_path / "cache", parts=1)
    (path,) = part_files(tmp_path / "cache")
    data = path.read_bytes()
    reasons = set()
    for _ in range(MUTATIONS):
        path.write_bytes(data)
        mutate_part(dice, path)
        try:
            Part.open(path).__exit__()
            reasons.add("none")
        except FeatxError as error:
            reasons.add(str(error).removeprefix(f"'{path}' ")[:90])
    assert "none" in reasons
    assert len(reasons) > 10
