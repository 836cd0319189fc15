import bz2
import gzip
import lzma
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from charrnn.errors import CorpusError
from charrnn.text import reading
from charrnn.text.compression import SUFFIXES, compression, compression_of, plain_name, unpack
from charrnn.text.reading import read_pieces, read_text

PACK: dict[str, Callable[[bytes], bytes]] = {
    ".gz": gzip.compress, ".bz2": bz2.compress, ".xz": lzma.compress,
}  # fmt: skip
TEXT = "".join(random.Random(0).choices("ab가나 \n", k=2000))
DATA = TEXT.encode()

every_kind = pytest.mark.parametrize("suffix", SUFFIXES)


def unpacked(data: bytes, suffix: str, size: int = 1000) -> bytes:
    parts = (data[start : start + size] for start in range(0, len(data), size))
    return b"".join(unpack(parts, suffix, "the file"))


@every_kind
@pytest.mark.parametrize("size", [1, 7, 10_000])
def test_what_was_packed_is_unpacked(suffix: str, size: int) -> None:
    assert unpacked(PACK[suffix](DATA), suffix, size) == DATA
    assert unpacked(PACK[suffix](b""), suffix, size) == b""


@every_kind
@pytest.mark.parametrize("size", [1, 7, 10_000])
def test_streams_follow_each_other_with_zeros_between(suffix: str, size: int) -> None:
    packed = [PACK[suffix](data) for data in (b"one", b"", b"two", DATA)]
    assert unpacked((b"\0" * 20).join(packed) + b"\0" * 3, suffix, size) == b"onetwo" + DATA


@every_kind
def test_much_comes_in_small_parts(suffix: str) -> None:
    parts = [*unpack([PACK[suffix](bytes(10_000_000))], suffix, "the file")]
    assert sum(map(len, parts)) == 10_000_000
    assert max(map(len, parts)) <= 1 << 18


@every_kind
def test_a_file_that_is_cut_off_is_an_error(suffix: str) -> None:
    packed = PACK[suffix](DATA)
    for size in range(len(packed)):
        with pytest.raises(CorpusError, match=r"^the file is cut off: its"):
            unpacked(packed[:size], suffix)


@every_kind
def test_a_damaged_file_is_an_error_or_was_not_hurt(suffix: str) -> None:
    packed, rng, errors = PACK[suffix](DATA), random.Random(0), list[str]()
    for _ in range(300):
        damaged = bytearray(packed)
        damaged[rng.randrange(len(packed))] ^= 1 << rng.randrange(8)
        try:
            assert unpacked(bytes(damaged), suffix) == DATA
        except CorpusError as error:
            errors.append(str(error))
    assert len(errors) > 250
    assert all(error.startswith("the file is ") for error in errors)


@every_kind
def test_other_bytes_are_an_error(suffix: str) -> None:
    for data in (DATA, b"\0" * 50 + PACK[suffix](DATA), PACK[suffix](DATA) + DATA):
        with pytest.raises(CorpusError, match=f"is not a {suffix} file, or is damaged"):
            unpacked(data, suffix)


def test_an_xz_file_cannot_ask_for_any_memory() -> None:
    assert unpacked(lzma.compress(DATA, preset=9), ".xz") == DATA
    greedy = bytes.fromhex(  # an "a", with a dictionary of 1 GB
        "fd377a585a000000ff12d94102002101240000005e1fc7f90100006100000000"
        "00011101ada6580406729e7a010000000000595a"
    )
    assert lzma.decompress(greedy) == b"a"
    with pytest.raises(CorpusError, match=r"[Mm]emory"):
        unpacked(greedy, ".xz")


def test_kinds_are_known_by_name_and_by_content() -> None:
    for suffix in SUFFIXES:
        assert compression_of(PACK[suffix](b"x")) == suffix
        assert compression(f"a.txt{suffix.upper()}") == suffix
        assert plain_name(f"a.txt{suffix.upper()}") == "a.txt"
    for name in ("a.txt", "gz", "a.gzip", ""):
        assert compression(name) == ""
        assert plain_name(name) == name
    assert compression_of(DATA) == ""


@every_kind
def test_a_packed_file_reads_like_the_plain_one(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a.txt{suffix}"
    path.write_bytes(PACK[suffix](DATA))
    assert read_text(path) == TEXT


# The limit


@every_kind
def test_a_bomb_meets_a_limit_that_an_option_lifts(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"bomb{suffix}"
    path.write_bytes(PACK[suffix](b"a" * (33 << 20)))
    with pytest.raises(CorpusError, match=rf"bomb{suffix} holds more than 32 MB, .*max_size sets"):
        read_text(path)
    assert sum(map(len, read_pieces(path, max_size=33))) == 33 << 20


def test_a_large_file_may_hold_many_times_its_size(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "_UNPACKED", 0)
    noise = random.Random(0).randbytes(1 << 19).hex().encode()  # packed to half its size
    path = tmp_path / "a.gz"
    path.write_bytes(gzip.compress(noise * 3, 1))
    assert len(read_text(path)) == 3 << 20
    path.write_bytes(gzip.compress(noise + b"a" * (30 << 20), 1))
    with pytest.raises(CorpusError, match=r"more than 1\d MB"):
        read_text(path)


def test_a_plain_file_meets_a_limit_only_where_it_is_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(b"a" * ((1 << 20) + 1))
    assert len(read_text(path)) == (1 << 20) + 1
    with pytest.raises(CorpusError, match="more than 1 MB"):
        read_text(path, max_size=1)
