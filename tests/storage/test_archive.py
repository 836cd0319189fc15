"""Files that are not what charrnn writes: damage, tricks of the zip, of the arrays and of JSON."""

import json
import os
import pickle
import socket
import struct
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from charrnn.errors import CheckpointError
from charrnn.storage import archive
from charrnn.storage.checkpoint import load, save
from tests.archives import (
    header,
    is_refused,
    members,
    metadata,
    npy,
    npy_with_header,
    refusal,
    rewrite,
)

Array = np.ndarray


# Files that are no checkpoints


def test_a_file_that_is_not_there_or_cannot_be_opened_is_named(tmp_path: Path) -> None:
    assert "No such file" in refusal(tmp_path / "gone.npz")
    assert "not a charrnn model" in refusal("x\0y.npz")
    with pytest.raises(CheckpointError, match="is a URL, not a file; download it first"):
        load(Path("https://a.b/c.npz"))


@pytest.mark.skipif(os.name != "posix", reason="needs pipes and devices")
def test_a_folder_a_pipe_and_a_device_are_no_files(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")  # to open it would be to wait for a writer
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(os.path.relpath(tmp_path / "socket"))
    (tmp_path / "zero").symlink_to("/dev/zero")
    assert "it is a folder, not a model" in refusal(tmp_path)
    for path in (tmp_path / "pipe", tmp_path / "socket", tmp_path / "zero"):
        assert "it is not a regular file" in refusal(path)


@pytest.mark.parametrize(
    "data",
    [b"", b"PK", b"just text\n" * 99, npy([1.0]), pickle.dumps({"a": 1}), b"PK\5\6" + bytes(17)],
)
def test_what_is_no_zip_is_no_checkpoint(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "a.npz").write_bytes(data)
    assert "not a charrnn model" in refusal(tmp_path / "a.npz")


def test_an_archive_without_metadata_is_no_checkpoint(tmp_path: Path) -> None:
    for arrays in ({}, {"weights": np.zeros(3)}):
        np.savez(tmp_path / "a.npz", **arrays)  # type: ignore[arg-type]
        assert "no metadata" in refusal(tmp_path / "a.npz")


def test_a_file_cut_off_anywhere_is_refused(path: Path) -> None:
    data = path.read_bytes()
    for size in {*range(0, len(data), 11), *range(len(data) - 25, len(data))}:
        path.write_bytes(data[:size])
        refusal(path)


def test_random_damage_is_refused_or_harmless(path: Path) -> None:
    data, rng = path.read_bytes(), np.random.default_rng(0)
    refused = 0
    for _ in range(300):
        damaged = np.frombuffer(data, np.uint8).copy()
        places = rng.integers(damaged.size, size=rng.integers(1, 4))
        damaged[places] ^= rng.integers(1, 256, places.size, np.uint8)
        size = rng.integers(damaged.size) if rng.random() < 0.2 else damaged.size
        path.write_bytes(damaged[:size].tobytes())
        refused += is_refused(path)
    assert refused > 200


def test_random_damage_behind_a_right_checksum_is_refused_or_harmless(path: Path) -> None:
    whole, rng = members(path), np.random.default_rng(1)
    refused = 0
    for _ in range(300):
        name = list(whole)[rng.integers(len(whole))]
        damaged = bytearray(whole[name])
        for place in rng.integers(min(len(damaged), 400), size=3):
            damaged[place] = rng.choice([*b"()[]{},:'\" 0129LUOf<>#\\\0\n\xff"])
        rewrite(path, **{name.removesuffix(".npy").replace(".", "__"): bytes(damaged)})
        refused += is_refused(path)
    assert refused > 100


# Archives that are not what charrnn writes


def test_a_directory_that_starts_before_the_file_is_damage(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-10:-6] = (1 << 30).to_bytes(4, "little")  # its size
    path.write_bytes(data)
    assert "damaged" in refusal(path)


def test_a_comment_is_damage(path: Path) -> None:
    with zipfile.ZipFile(path, "a") as archive:
        archive.comment = b"x"
    assert "damaged" in refusal(path)


def test_a_directory_of_very_many_members_is_not_read(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = path.read_bytes()
    start, end = data.index(b"PK\1\2"), len(data) - 22
    size = (end - start) * 10_000
    long = (
        data[:start] + data[start:end] * 10_000 + data[end : end + 12] + size.to_bytes(4, "little")
    )
    path.write_bytes(long + data[end + 16 :])
    monkeypatch.delattr(zipfile, "ZipFile")
    assert "too many arrays" in refusal(path)


def for_large_files(data: bytes, size: int | None = None, place: int | None = None) -> bytes:
    """A zip whose end is said a second time, in the form of files of more than 2 GB."""
    start, end = data.index(b"PK\1\2"), len(data) - 22
    size, place = end - start if size is None else size, end if place is None else place
    count = int.from_bytes(data[end + 10 : end + 12], "little")
    record = struct.pack("<4sQ2H2L4Q", b"PK\6\6", 44, 45, 45, 0, 0, count, count, size, start)
    return data[:end] + record + struct.pack("<4sLQL", b"PK\6\7", 0, place, 1) + data[end:]


def test_the_form_for_large_files_is_read_and_checked(path: Path) -> None:
    data = path.read_bytes()
    path.write_bytes(for_large_files(data))
    assert load(path)
    path.write_bytes(for_large_files(data, size=1 << 30))
    assert "too many arrays" in refusal(path)
    for place in (0, len(data)):
        path.write_bytes(for_large_files(data, place=place))
        assert "damaged" in refusal(path)


def test_members_of_one_name_are_refused(path: Path) -> None:
    for name, data in members(path).items():
        with (
            pytest.warns(UserWarning, match="Duplicate name"),
            zipfile.ZipFile(path, "a") as archive,
        ):
            archive.writestr(name, data)
        assert "two members" in refusal(path)


@pytest.mark.parametrize("name", ["head.weight", "metadata", "head.weight.npy.npy", "x/"])
def test_a_member_without_the_ending_of_an_array_is_refused(path: Path, name: str) -> None:
    old, new = ("head.weight.npy", name) if name != "metadata" else ("metadata.npy", name)
    renamed = {new if each == old else each: data for each, data in members(path).items()}
    with zipfile.ZipFile(path, "w") as archive:
        for each, data in renamed.items():
            archive.writestr(each, data)
    message = refusal(path)
    assert "not a charrnn model, or damaged" in message or "head.weight" in message


@pytest.mark.parametrize("array", [np.zeros((5, 3), np.int32), np.array("text")])
@pytest.mark.parametrize("first", [False, True])
def test_no_second_member_stands_for_the_same_array(path: Path, array: Array, first: bool) -> None:
    whole = members(path)
    found = {**whole, "head.weight": whole["head.weight.npy"], "head.weight.npy": npy(array)}
    with zipfile.ZipFile(path, "w") as archive:
        for name in sorted(found, reverse=first, key=lambda name: name == "head.weight"):
            archive.writestr(name, found[name])
    assert "not a charrnn model, or damaged" in refusal(path)


def test_compressed_members_are_refused(path: Path) -> None:
    whole = members(path)
    for surroundings in (b"", bytes(60_000)):  # the sizes fit the file only with them
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, data in whole.items():
                archive.writestr(name, data)
        path.write_bytes(surroundings + path.read_bytes())
        assert "compressed" in refusal(path)


def test_a_member_that_starts_behind_the_end_is_refused(path: Path) -> None:
    data = bytearray(path.read_bytes())
    start = data.rindex(b"PK\3\4")
    data[start + 28 : start + 30] = b"\xff\xff"  # the length of its last field before the data
    path.write_bytes(data)
    assert "damaged" in refusal(path)


def test_an_array_too_many_or_too_few_is_named(path: Path) -> None:
    rewrite(path, extra=npy([1.0]))
    assert "extra" in refusal(path)
    rewrite(path, extra=None, head__weight=None)
    assert "head.weight" in refusal(path)


def test_a_member_is_named_in_one_line(path: Path) -> None:
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("line\n\x1b[31mline.npy", b"")
    assert "\x1b" not in refusal(path)


# Arrays that are not what charrnn writes


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((5, 3)),  # float64
        np.zeros((5, 3), ">f4"),
        np.zeros((5, 3), np.int32),
        np.zeros((5, 3), "S4"),
        np.zeros((5, 3), [("a", "<f4")]),
        np.zeros((3, 5), np.float32),
        np.zeros((15,), np.float32),
        np.zeros((5, 3, 1), np.float32),
        np.zeros((5, 4), np.float32),
        np.zeros((5, 3), np.float32, order="F"),
        np.float32(0),
    ],
    ids=str,
)
def test_an_array_of_another_type_or_shape_is_refused(path: Path, array: Array) -> None:
    rewrite(path, head__weight=npy(array))
    assert "head.weight is" in (message := refusal(path)) or "unknown format" in message


@pytest.mark.parametrize("number", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("name", ["layers.0.weight", "head.weight"])
def test_a_weight_that_is_not_finite_is_refused(path: Path, name: str, number: float) -> None:
    loaded = load(path)
    loaded.model.arrays[name][-1, -1] = number
    save(loaded, path)
    assert f"{name} has values that are not finite" in refusal(path)


def test_an_array_cut_off_or_too_long_inside_its_member_is_refused(path: Path) -> None:
    whole = members(path)["head.weight.npy"]
    for data in (whole[:-4], whole[:-1], whole + bytes(4), whole[:128], whole[:50], b""):
        rewrite(path, head__weight=data)
        assert "cut off" in (message := refusal(path)) or "unknown format" in message


class Bomb:
    """An object that makes a file when it is unpickled."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[Callable[..., None], tuple[Path]]:
        return Path.touch, (self.target,)


def test_nothing_in_a_file_is_executed(path: Path) -> None:
    target = path.with_name("boom")
    bomb = pickle.dumps(Bomb(target))
    objects = npy(np.array([[Bomb(target)] * 3] * 5, object))
    whole = path.read_bytes()
    attempts: list[dict[str, bytes]] = [
        {"head__weight": objects},
        {"metadata": objects},
        {"metadata": npy(np.array(Bomb(target), object))},
        {"head__weight": bomb},
        {"metadata": bomb},
        {"extra": objects},
    ]
    for attempt in attempts:
        path.write_bytes(whole)
        rewrite(path, **attempt)
        refusal(path)
    path.write_bytes(bomb)
    refusal(path)
    assert not target.exists()
    pickle.loads(bomb)
    assert target.exists()  # so it would have gone off


@pytest.mark.parametrize(
    "text",
    [
        header("'<f4'", "(1000000000000,)"),
        header("'<f4'", "(1000000, 1000000)"),
        header("'<f4'", f"({'9' * 40},)"),
        header("'<U1000000000000'", "()"),
        header("('<f4', (1000000, 1000000))", "()"),
        header("'|O'", "()"),
        header("()", "()"),
        header("'f4,('", "()"),
        header("'a5'", "()"),
        header("'<f4'", "(5L, 3L)"),
        header("'<f4'", "(-5, -3)"),
        "{[]: 1}",
        "'''",
        "",
        "(" * 4000,
        "-" * 4000 + "1",
        " " * 60_000,
        "__import__('os').abort()",
    ],
    ids=lambda text: text[:50],
)
@pytest.mark.parametrize("name", ["metadata", "head__weight"])
@pytest.mark.parametrize("version", [1, 2, 3, 9])
def test_a_hostile_header_is_refused(path: Path, text: str, name: str, version: int) -> None:
    rewrite(path, **{name: npy_with_header(text, version, bytes(60))})
    refusal(path)


@pytest.mark.parametrize(
    "config",
    [
        {"hidden_size": 2**20},
        {"hidden_size": 2**20, "num_layers": 1000},
        {"embedding_size": 2**20},
    ],
)
def test_a_claim_of_huge_arrays_allocates_nothing(path: Path, config: dict[str, int]) -> None:
    found = metadata(path)
    found["model"] |= config
    names = ["head.weight", *(f"layers.{n}.weight" for n in range(found["model"]["num_layers"]))]
    names += ["embedding"] if "embedding_size" in config else []
    claim = npy_with_header(header("'<f4'", "(1048576, 1048577)"))
    rewrite(path, metadata=npy(json.dumps(found)), **{n.replace(".", "__"): claim for n in names})
    tracemalloc.start()
    try:
        assert "layers.0.weight is" in refusal(path) or "embedding is" in refusal(path)
        assert tracemalloc.get_traced_memory()[1] < 20_000_000
    finally:
        tracemalloc.stop()


# Metadata that is no JSON


def test_another_version_is_said_to_be_one(path: Path) -> None:
    rewrite(path, metadata=npy(json.dumps({**metadata(path), "version": 2})))
    assert "it has format version 2" in refusal(path)


@pytest.mark.parametrize(
    "text",
    ["", "null", "[]", "3", '"charrnn"', "{", "{'format': 'charrnn'}", "[" * 10**5, "1" * 5000],
    ids=lambda text: text[:30],
)
def test_metadata_that_is_no_json_object_is_refused(path: Path, text: str) -> None:
    rewrite(path, metadata=npy(text))
    assert "metadata" in refusal(path)


@pytest.mark.parametrize("member", [b"x", np.array([["{}"]]), np.array(["{}"]), np.array(3.0)])
def test_metadata_that_is_no_single_text_is_refused(path: Path, member: object) -> None:
    rewrite(path, metadata=npy(member))
    assert "metadata is not text" in refusal(path)


def test_metadata_that_is_not_unicode_is_refused(path: Path) -> None:
    rewrite(path, metadata=npy_with_header(header("'<U2'", "()"), data=b"\xff" * 8))
    assert "metadata" in refusal(path)


def test_metadata_nested_too_deep_is_refused(path: Path) -> None:
    depth = 10**5
    text = json.dumps({**metadata(path), "training": {"a": 0}})
    nested = text.replace('{"a": 0}', '{"a": ' + "[" * depth + "]" * depth + "}")
    assert nested != text
    rewrite(path, metadata=npy(nested))
    assert "too deeply" in refusal(path)


def test_metadata_that_is_too_large_is_refused(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    size = 4 * len(json.dumps(metadata(path)))
    monkeypatch.setattr(archive, "_MAX_METADATA", size)
    load(path)
    monkeypatch.setattr(archive, "_MAX_METADATA", size - 1)
    assert "too long" in refusal(path)


@pytest.mark.parametrize("limit", ["_MAX_VALUES", "_MAX_FIELDS"])
def test_metadata_of_too_many_values_is_refused(
    path: Path, limit: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = json.dumps(metadata(path))
    signs = "," if limit == "_MAX_VALUES" else "[{:"
    monkeypatch.setattr(archive, limit, sum(map(text.count, signs)))
    load(path)
    monkeypatch.setattr(archive, limit, sum(map(text.count, signs)) - 1)
    assert "too long" in refusal(path)


def nested(depth: int) -> dict[str, Any]:
    """So many lists and objects in each other, of which two are the metadata's."""
    value: Any = 0
    for level in range(depth - 2):
        value = [value] if level % 2 else {"a": value}
    return {"training": {"a": value}}


def test_metadata_is_as_deep_as_can_be_walked_through(path: Path) -> None:
    found = metadata(path)
    rewrite(path, metadata=npy(json.dumps({**found, **nested(50)})))
    assert load(path).training
    rewrite(path, metadata=npy(json.dumps({**found, **nested(51)})))
    assert "too deeply" in refusal(path)


@pytest.mark.parametrize("number", ["1e999", "-1e999", "NaN", "Infinity", "-Infinity"])
def test_numbers_that_are_not_finite_are_no_json(path: Path, number: str) -> None:
    text = json.dumps({**metadata(path), "training": {"loss": 0.5}})
    rewrite(path, metadata=npy(text.replace("0.5", number)))
    assert "not JSON" in refusal(path)


def test_what_a_file_says_makes_no_long_error(path: Path) -> None:
    found = metadata(path)
    found["model"]["cell"] = "x" * 100_000
    rewrite(path, metadata=npy(json.dumps(found)))
    assert len(refusal(path)) < 500


def test_metadata_of_halves_of_characters_comes_back(path: Path) -> None:
    found = metadata(path)
    found["training"] = {"command": "charrnn train caf\udce9.txt"}  # a name of a file not in UTF-8
    rewrite(path, metadata=npy(json.dumps(found, ensure_ascii=False)))
    assert load(path).training == found["training"]
