from __future__ import annotations

import base64
import zlib
from pathlib import Path

import numpy as np
import pytest
import xxhash

from featx.errors import BrokenPart
from featx.keys import FeatureKey
from featx.storage.interface import LOCAL
from featx.store.header import FIRST_LINE_BYTES, SMALLEST_USER_BLOCK, encode_header, make_first_line, read_part_header
from featx.store.part import Part
from featx.store.verify import check_part
from tests.store.samples import BASE, KEY, features_of, make_digests

OLD_PART = (
    "c-rk*&1)M+6yKF>vbb(hh~p^jA%jjmh_G5oD>=O+G-`YZ`RE4(B9n|(BWba`D|Xi(sxb|vlqRLL$3p3$goHp2?V$yeYc4&N+}cwA1EGf=dI=Qb%$"
    "s?$$||;F$f1Gk&xkkk=FNM%Z{F^YeeN(Ct&sr@q9W<|!4i!~=^fHzw9NwIcZi9oRjM{=4I>s7$=X`4e5GX7Nhk1^gp$C__fC*by=0p;)|sPrxn46"
    "XWy&@6YRj%w=PXt!lQB%K7i84J2~sMO!Xg{;QDMDVXwi^0`IrxB;Pl*xIni<;RLw%<dc$U+$VY>KId16so?PhkeHxW5xduxEv7-djD4<>l(a^0E_"
    "yZW0Em(EEhy??`Povmb%k8@!qk;6c#Hi3;Hjh{8)gs}dY71f73o=~je#}N5!>En+mNf^4mQ|6Wy08HTtIX~8qEH5-trz=i7KG1sG#s!Ua?z(l7D&"
    "AqmN9+4&+oB|m$1^6+7*|rg38?BQ=Vdfg?ZF-7#>Z}4<osw$KXW7%`(UL+TvcU<JArF9Dv_e-**<T1paEsH&rV(oPXG(0|;}OXRyq(D(?s4;@!Z;"
    "w%cVPRE%A(n0)T^n6nrzFM*$0sb+6XX({%J>+`4IdwuFnnK8rACbV2)eH&3fnw+ckt0;ApU!c5`QThX7Esy#f`X^aA{}%NhzTaqo_4XK4oWWr!Nq"
    "S_jB<35ZE`Yp*a}(vSnWUY3H)vY?PC$K!^BkuSHI3`_?dQZ*^}2Zo>l*dbcm+`3)0&}47UT8?e~iS+$wVAI-ly~v+6=ekgeT@lbzMZt#kNLb-vS?"
    "OW=FoxynFtvuHl9;JHWaiP$0SleZrd*$Wy-8kvhj-uaY*AkYmymu7EO;-;#t0E)-pY4<O6kxe}>TdE!L52Tv-Rgb*)ElE9HWQi|Y2&`EL>>5<eZ!"
    "me~d1GFeuk>^*H-APU58(0yHffK<R8F8P4sOrspBYoCWq)3q>MT!(DQlv<cBE<*?@xy<--!`qyV?W?E(O(!fZ?%2(8Q^<X^%*k4Up@8*eU4Gn7W*"
    "T+^gBK}tojm@Qm3oA?6~L|J&plTAHd`DEWc8HhwGi>66TqVbYx(MF{^LRCcn%TuDulJ_QARHr*&~x5|3v0wl`2-o!Q$?<tvweHR}J*o1Zq$O&yvj"
    "KDhnx+INrc{qW`2|D1VnS8M<Em2v;xAH~_N$s03g*ZbWA`mxO2&u^Xj{(ftD`?vq-kN@8O{imOuXX{cXPS^EB9qT*P;nVfLdmS42<OwQ#^HS#X@m"
    "tx8lbfIYvft-5JNCS0W0@CQ50Ycr1Xkt|Lp$;buE+VpL>p+I)d~KGVZ4CX{@=vp{%&Y_{v-T1ztzw#@ZY7a#uGUR$)E"
)
"""A part of format 1 with two rows as featx 0.1.0 wrote it, when provenance was padded with spaces."""


def test_a_part_of_an_older_version_is_still_read_and_sound(tmp_path: Path) -> None:
    digests = make_digests(2)
    path = tmp_path / KEY.folder / "part-1ecc6eab9e2be3b9.h5"
    path.parent.mkdir(parents=True)
    path.write_bytes(zlib.decompress(base64.b85decode(OLD_PART)))
    out = np.empty((2, 3), np.float32)
    with Part.open(path) as part:
        part.read(np.arange(2), out)
        assert part.header.key == KEY.to_json()
        assert part.header.provenance == {"seconds": 2.5, "host": "here"}
        assert np.array_equal(part.header.digests, digests)
    assert np.array_equal(out, features_of(digests, (3,)))
    check = check_part(path, tmp_path)
    assert check is not None
    assert check.problem == ""


@pytest.mark.parametrize("letters", [1, 200, 5000])
def test_the_hdf5_file_begins_where_the_library_looks_for_it(letters: int) -> None:
    key = FeatureKey(BASE, "x" * letters)
    header = encode_header(key, make_digests(3), [features_of(make_digests(3))], {})
    place = header.index(b"\x89HDF\r\n\x1a\n")
    doublings = place / SMALLEST_USER_BLOCK
    assert doublings >= 1
    assert np.log2(doublings).is_integer()
    assert place > header.index(b"\n", FIRST_LINE_BYTES) > letters


@pytest.mark.parametrize("rows", [1, 300, 3000])
def test_a_header_of_any_length_comes_back(tmp_path: Path, rows: int) -> None:
    digests = make_digests(rows)
    features = features_of(digests)
    path = tmp_path / "part"
    path.write_bytes(encode_header(KEY, digests, [features], {"host": "here"}) + features.tobytes())
    with LOCAL.open_file(path) as file:
        header = read_part_header(file, path)
    assert (header.key, header.provenance, header.shape) == (KEY.to_json(), {"host": "here"}, features.shape)
    assert np.array_equal(header.digests, digests)
    assert header.file_bytes == path.stat().st_size


def test_a_header_that_is_whole_and_says_nothing_of_use_is_broken(tmp_path: Path) -> None:
    rest = b"[]\n".ljust(512, b"\0")
    path = tmp_path / "part"
    path.write_bytes(make_first_line(FIRST_LINE_BYTES + 512, xxhash.xxh3_128_hexdigest(rest)) + rest)
    with LOCAL.open_file(path) as file, pytest.raises(BrokenPart, match="a header that cannot be understood"):
        read_part_header(file, path)
