"""What can be wrong with any file of `charrnn.storage.archive`: bytes, zip, arrays, JSON.

A mutation takes the content of a genuine file, which is its to change, and a generator, and returns
the bytes of a hostile one.
"""

import json
import math
import os
import socket
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from tests.fuzz.files import Content, Hostile, npy, npy_of, npy_with, text_npy
from tests.fuzz.zips import Entry, end64, zip_of

Array = np.ndarray
Rng = np.random.Generator
Mutation = Callable[[Content, Rng], Hostile]

NUMBERS = [0, -1, 1, 2, 3, 255, 256, 65535, 65536, 2**20, 2**31 - 1, 2**31, 2**32 - 1, 2**32]
NUMBERS += [2**63 - 1, 2**63, 2**64, 10**12, 10**30, 10**400]
CONTROLS = ["\x1b[2J\x1b]0;x\x07", "\x9b31m", "\r", "\u202e", "[red]x[/red]", "[/]", "\0", "\ud800"]
VALUES: list[Any] = [
    *NUMBERS,
    *CONTROLS,
    *(None, True, False, 0.5, -0.0, 1e308, 5e-324, math.nan, math.inf),
    *("", "a", "charrnn", "x" * 10_000, [], {}, [[]], {"": {}}, [None] * 100, [1, "a", {"b": 2}]),
]
NAMES = ["../../x.npy", "/tmp/x.npy", "C:\\x.npy", "x\0.npy", "", ".npy", "a" * 65000, "\x1b[2J"]
HEADERS = ["(1000000000000,)", "(1000000, 1000000)", f"({'9' * 40},)", "(-1,)", "(0,)", "(1e9,)"]
TYPES = ["'|O'", "'<U1000000000000'", "'<f8'", "'>f4'", "'<f2'", "'<i4'", "'|u1'", "'|V8'", "'<c8'"]


def choice(rng: Rng, values: Any) -> Any:
    """One of them."""
    return values[rng.integers(len(values))]


def size(rng: Rng, low: float, high: float) -> int:
    """A number from low to high, large ones as rare as small ones are frequent."""
    return int(math.exp(rng.uniform(math.log(low), math.log(high))))


# Bytes


def flipped_bits(content: Content, rng: Rng) -> bytes:
    data = bytearray(content.pack())
    for place in rng.integers(len(data), size=rng.integers(1, 9)):
        data[place] ^= 1 << rng.integers(8)
    return bytes(data)


def flipped_bits_in_the_directory(content: Content, rng: Rng) -> bytes:
    data = bytearray(content.pack())
    start = data.rindex(b"PK\1\2metadata"[:4])
    for place in rng.integers(start, len(data), size=rng.integers(1, 5)):
        data[place] ^= 1 << rng.integers(8)
    return bytes(data)


def truncation(content: Content, rng: Rng) -> bytes:
    data = content.pack()
    return data[: rng.integers(len(data))]


def moved_bytes(content: Content, rng: Rng) -> bytes:
    data = content.pack()
    start, stop = sorted(rng.integers(len(data), size=2).tolist())
    part = data[start:stop]
    other: bytes = choice(rng, [b"", part + part, bytes(len(part))])
    return data[:start] + other + data[stop:]


def other_things(content: Content, rng: Rng) -> Hostile:
    """No file of arrays, or no file at all."""
    things: list[Hostile] = [b"", b"PK", b"PK\5\6" + bytes(18), rng.bytes(1000), npy(np.zeros(3))]
    things += [os.mkfifo, Path.mkdir, _listen, lambda path: path.symlink_to("/dev/zero")]
    things += [lambda path: path.symlink_to(path), lambda path: path.symlink_to(path.parent)]
    found: Hostile = choice(rng, things)
    return found


def _listen(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))


# The zip


def lying_entry(content: Content, rng: Rng) -> bytes:
    entries = content.entries()
    entry = choice(rng, entries)
    name = choice(rng, ["method", "flags", "crc", "packed_size", "size", "offset", "version"])
    value = choice(rng, [*NUMBERS[:14], int(rng.integers(2**16)), len(entry.data) + 1])
    bits = {"method": 0xFFFF, "flags": 0xFFFF, "version": 0xFFFF}.get(name, 0xFFFFFFFF)
    setattr(entry, name, value & bits)
    return zip_of(entries)


def lying_end(content: Content, rng: Rng) -> bytes:
    name = choice(rng, ["num_entries", "directory_size", "directory_start"])
    return zip_of(content.entries(), **{name: choice(rng, NUMBERS[:14])})


def large_file_records(content: Content, rng: Rng) -> bytes:
    entries, numbers = content.entries(), [*NUMBERS[:18], -100]
    start = len(zip_of(entries)) - 22
    count, length, first = (choice(rng, numbers) for _ in range(3))
    record = end64(count, length, first, choice(rng, [start, 0, start - 60]))
    if rng.random() < 0.5:
        field = rng.bytes(int(rng.integers(0, 40)))
        choice(rng, entries).extra = b"\1\0" + len(field).to_bytes(2, "little") + field
    return zip_of(entries, between=record)


def bomb(content: Content, rng: Rng) -> bytes:
    entries = content.entries()
    entry, packer = choice(rng, entries), zlib.compressobj(9, zlib.DEFLATED, -15)
    entry.size = size(rng, 1e3, 1e8)
    entry.data = packer.compress(bytes(entry.size)) + packer.flush()
    entry.method = 8
    return zip_of(entries)


def overlapping_members(content: Content, rng: Rng) -> bytes:
    entries = content.entries()
    choice(rng, entries).offset = int(rng.integers(sum(len(entry.data) for entry in entries)))
    if rng.random() < 0.5:
        entries += [Entry(b"%d.npy" % n, b"", offset=0) for n in range(rng.integers(1, 100))]
    return zip_of(entries)


def duplicate_members(content: Content, rng: Rng) -> bytes:
    entries = content.entries()
    return zip_of([*entries, choice(rng, entries)])


def many_members(content: Content, rng: Rng) -> bytes:
    """Up to a million of them."""
    number = size(rng, 10, 1e6)
    if rng.random() < 0.5:
        return zip_of(content.entries(), repeat=number)
    few = min(number, 15_000)
    return zip_of([*content.entries(), *(Entry(b"%d" % n, b"") for n in range(few))])


def member_names(content: Content, rng: Rng) -> bytes:
    """Other names, also those of arrays without .npy, in place of a member or beside it."""
    entries = content.entries()
    if rng.random() < 0.5:
        entry = choice(rng, entries)
        name = entry.name.removesuffix(b".npy")
        if rng.random() < 0.5:
            entry.name = name
        else:
            entries.append(Entry(name, npy(choice(rng, [np.zeros(3, np.int32), np.array("x")]))))
    elif rng.random() < 0.5:
        entries.append(Entry(b"", choice(rng, entries).data))
        entries[-1].name = choice(rng, NAMES).encode()
    else:
        choice(rng, entries).name = choice(rng, NAMES).encode()
    return zip_of(entries)


def comments_and_surroundings(content: Content, rng: Rng) -> bytes:
    data, junk = content.pack(), bytes(int(rng.integers(1, 70_000)))
    tail = data[-22:]
    choices = [junk + data, data + junk, data + tail, data[:-22] + tail[:20] + b"\xff\xff" + junk]
    found: bytes = choice(rng, [*choices, zip_of(content.entries(), comment=junk[:65535])])
    return found


def missing_member(content: Content, rng: Rng) -> bytes:
    entries = content.entries()
    del entries[rng.integers(len(entries))]
    return zip_of(entries)


# The arrays


def array_headers(content: Content, rng: Rng) -> bytes:
    name = choice(rng, [*content.arrays, "metadata"])
    dtype, shape = choice(rng, TYPES + ["'<f4'"] * 5), choice(rng, HEADERS)
    if rng.random() < 0.5 and name in content.arrays:
        dtype, shape = repr(content.arrays[name].dtype.str), choice(rng, HEADERS)
    content.members[f"{name}.npy"] = npy_of(rng.bytes(60), dtype, shape, choice(rng, [1, 1, 2, 9]))
    return content.pack()


def damaged_headers(content: Content, rng: Rng) -> bytes:
    entries = content.entries()
    entry = choice(rng, entries)
    data = bytearray(entry.data)
    for place in rng.integers(min(len(data), 128), size=rng.integers(1, 4)):
        data[place] = choice(rng, b"()[]{},:'\" 0129LUOf<>|#\\\0\n\xff")
    entry.data = bytes(data)
    return zip_of(entries)


def endless_headers(content: Content, rng: Rng) -> bytes:
    header = choice(rng, [b"(", b"-", b" ", b"9", b"{'descr': "]) * rng.integers(1, 5000)
    name = choice(rng, [*content.arrays, "metadata"])
    content.members[f"{name}.npy"] = npy_with(header[:60_000], b"")
    return content.pack()


class Touch:
    """An object that makes a file when it is unpickled."""

    def __reduce__(self) -> tuple[Callable[..., None], tuple[Path]]:
        return Path.touch, (Path("executed"),)


def objects(content: Content, rng: Rng) -> bytes:
    name = choice(rng, [*content.arrays, "metadata"])
    shape = content.arrays[name].shape if name in content.arrays else ()
    pickled = npy(np.full(shape if math.prod(shape) < 1000 else (3,), Touch(), object))
    data = pickled[pickled.index(b"\n") + 1 :]
    content.members[f"{name}.npy"] = choice(rng, [pickled, data])
    return content.pack()


def types_and_shapes(content: Content, rng: Rng) -> bytes:
    name = choice(rng, [*content.arrays])
    array = content.arrays[name]
    other = choice(rng, [np.uint8, np.uint16, np.uint32, np.int64, np.float16, np.float64, ">f4"])
    with np.errstate(all="ignore"):
        changed = [array.astype(other), array.T, array[:-1], array[..., None], array.reshape(-1)]
    changed += [np.concatenate([array, array]), array[:0], np.zeros((), array.dtype), array[::-1]]
    content.arrays[name] = choice(rng, changed)
    return content.pack()


def swapped_arrays(content: Content, rng: Rng) -> bytes:
    one, other = choice(rng, [*content.arrays]), choice(rng, [*content.arrays])
    arrays = content.arrays
    arrays[one], arrays[other] = arrays[other], arrays[one]
    return content.pack()


def numbers(content: Content, rng: Rng) -> bytes:
    """NaN, infinities, and finite numbers too large to compute with."""
    name = choice(rng, [*content.arrays])
    array = content.arrays[name] = content.arrays[name].copy()
    if array.size:
        places = rng.integers(array.size, size=size(rng, 1, 1000))
        values = [math.nan, math.inf, -math.inf, 3e38, -3e38, 1e30, 1e10, 6e4, -6e4, 1e-45, -1, 0]
        with np.errstate(all="ignore"):
            array.reshape(-1)[places] = np.array(choice(rng, values)).astype(array.dtype)
    return content.pack()


def random_bits(content: Content, rng: Rng) -> bytes:
    name = choice(rng, [*content.arrays])
    array = content.arrays[name] = content.arrays[name].copy()
    numbers = array.reshape(-1).view(np.uint8)
    if numbers.size:
        places = rng.integers(numbers.size, size=rng.integers(1, 20))
        numbers[places] ^= rng.integers(1, 256, places.size, np.uint8)
    return content.pack()


# The metadata


def json_values(content: Content, rng: Rng) -> bytes:
    """Any value replaced by another, or gone."""
    for _ in range(rng.integers(1, 3)):
        parent, key = _place(content.metadata, rng)
        if rng.random() < 0.15:
            del parent[key]
        else:
            parent[key] = choice(rng, VALUES)
    return content.pack()


def _place(value: Any, rng: Rng) -> tuple[Any, Any]:
    """A place in nested lists and objects."""
    while True:
        keys = [*value] if isinstance(value, dict) else range(len(value))
        key = choice(rng, keys)
        found = value[key]
        if not isinstance(found, dict | list) or not found or rng.random() < 0.2:
            return value, key
        value = found


def json_text(content: Content, rng: Rng) -> bytes:
    text = json.dumps(content.metadata)
    start, stop = sorted(rng.integers(len(text), size=2).tolist())
    found = choice(
        rng,
        [
            text[:start] + choice(rng, list('{}[]",:0e\\\0\ud800')) + text[start + 1 :],
            text[:start] + text[stop:],
            text[:-1] + "," + text[1:],  # each field twice
            f"[{text}]",
            text + text,
        ],
    )
    content.members["metadata.npy"] = text_npy(found)
    if rng.random() < 0.1:  # not what the header says
        data = choice(rng, [text.encode(), text.encode("utf-16"), rng.bytes(len(text) // 4 * 4)])
        content.members["metadata.npy"] = npy_of(data, f"'<U{len(data) // 4}'", "()")
    return content.pack()


def nested_json(content: Content, rng: Rng) -> bytes:
    depth = size(rng, 10, 2e5)
    opened, closed = choice(rng, [("[", "]"), ('{"a":', "}"), ('[{"":', "}]")])
    return _with_text(content, opened * depth + "0" + closed * depth)


def endless_json(content: Content, rng: Rng) -> bytes:
    """Values without end, of which Python makes far more than the file holds."""
    number = size(rng, 1e3, 4e6)
    part = choice(rng, ["[],", "{},", '{"":1},', "1,", "0.5,", '"ab",', '"\uac00",', "9" * 4300])
    if part[0] == "9":
        return _with_text(content, "[" + ",".join([part] * (number // 4000 + 1)) + "]")
    if rng.random() < 0.2:
        fields = ",".join(f'"{n}":0' for n in range(number))
        return _with_text(content, f"{{{fields}}}")
    return _with_text(content, "[" + part * number + "0]")


def _with_text(content: Content, text: str) -> bytes:
    """The file with a JSON text in the place of one of the values."""
    parent, key = _place(content.metadata, np.random.default_rng(len(text)))
    parent[key] = "<here>"
    whole = json.dumps(content.metadata).replace('"<here>"', text)
    content.members["metadata.npy"] = text_npy(whole)
    return content.pack()


MUTATIONS: list[Mutation] = [
    flipped_bits,
    flipped_bits_in_the_directory,
    truncation,
    moved_bytes,
    other_things,
    lying_entry,
    lying_end,
    large_file_records,
    bomb,
    overlapping_members,
    duplicate_members,
    many_members,
    member_names,
    comments_and_surroundings,
    missing_member,
    array_headers,
    damaged_headers,
    endless_headers,
    objects,
    types_and_shapes,
    swapped_arrays,
    numbers,
    random_bits,
    json_values,
    json_text,
    nested_json,
    endless_json,
]
