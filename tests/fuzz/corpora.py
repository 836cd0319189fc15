"""Hostile corpora: each ends in a working load or in one line of error, in bounded memory.

Random small ones are read and compared with what the Unicode Standard and the design say of them;
large ones are read in a process of their own, whose memory is measured; some of both go through
the real commands.
"""

import bz2
import codecs
import gzip
import lzma
import random
import re
import subprocess
import sys
import tempfile
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from charrnn.config import LINES, WHOLE, VocabularyConfig
from charrnn.errors import CharRNNError
from charrnn.text.corpus import read_corpus, split_corpus
from charrnn.text.tokens import learn_vocabulary, tokenize

SECONDS = 60  # in which a command must end, on a busy machine too
HEAD = 1 << 18  # bytes in which more NULs than one in a hundred make a file binary
FRAGMENTS = [
    "hello ", "a", "--", "[bold]", "\t", "\n", "\n\n", "\r\n", "\r", "\v", "\x85", "\u2028",
    "한국어 ", "\u1112\u1161\u11ab", "\u1112", "\u1161", "e\u0301\u0316", "\u0316\u0301", "\u0f73",
    "สวัสดี", "\u202eשלום\u202c", "👩\u200d👩\u200d👧", "🏴\U000e0067\U000e007f", "\uffff",
    "\0", "\x1b[2J", "\x9b", "\ufeff", "\udc00", "\udc01", "\ud800",
]  # fmt: skip
INVALID = [b"\xff", b"\xc0\x80", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xe3\x81", b"\0" * 50]
PACK: dict[str, Callable[[bytes], bytes]] = {
    ".gz": gzip.compress, ".bz2": bz2.compress, ".xz": lzma.compress,
}  # fmt: skip
UNITS = [VocabularyConfig(), VocabularyConfig("word"), VocabularyConfig(normalize="nfd")]


# Small ones, compared with what they should be


@dataclass(frozen=True)
class Case:
    """A file, and how it is read."""

    name: str
    data: bytes  # of the file
    text: bytes  # what it holds, or held before it was damaged
    damaged: bool
    encoding: str
    separator: str


def random_case(rng: random.Random) -> Case:
    encoding = rng.choice(["utf-8", "utf-8", "utf-8", "utf-16", "cp949", "latin-1"])
    text = _random_bytes(rng, encoding)
    suffix = rng.choice(["", "", *PACK])
    data = PACK[suffix](text) if suffix else text
    damaged = bool(suffix) and rng.random() < 0.4
    if damaged:
        data = _mutated(rng, data)
    separator = rng.choice([WHOLE, LINES, "\n\n", "--", " "])
    return Case(f"x.txt{suffix}", data, text, damaged, encoding, separator)


def _random_bytes(rng: random.Random, encoding: str) -> bytes:
    errors = "surrogatepass" if encoding.startswith("utf") else "replace"
    texts = rng.choices(FRAGMENTS, k=rng.randrange(12))
    if rng.random() < 0.7:  # else there is hardly ever a valid one
        texts = [text for text in texts if text.isprintable() or text.isspace()]
    text = "".join(text * rng.choice([1, 1, 2, 50, 700]) for text in texts)
    data = text.encode(encoding, errors)
    if rng.random() < 0.2:
        place = rng.choice([0, len(data) // 2, len(data)])
        data = data[:place] + rng.choice(INVALID) + data[place:]
    return data


def _mutated(rng: random.Random, data: bytes) -> bytes:
    place = rng.randrange(len(data))
    if rng.random() < 0.5:
        return data[:place]
    return data[:place] + rng.randbytes(rng.randrange(1, 9)) + data[place + 1 :]


def expected(case: Case) -> list[str] | None:
    """The documents of a file that is not damaged, None where it cannot be read."""
    decoder = codecs.getincrementaldecoder(case.encoding)
    try:
        head = decoder().decode(case.text[:HEAD]).replace("\r\n", "\n")
        text = decoder().decode(case.text, final=True)
    except UnicodeError:
        return None
    if head.count("\0") * 100 > len(head) and case.encoding != "latin-1":
        return None
    text = re.sub("\r\n?", "\n", text).replace("\ufeff", "")
    text = unicodedata.normalize("NFC", text)
    if case.separator == WHOLE:
        parts = [text.removesuffix("\n")]
    elif "\n" not in case.separator:
        mark = re.escape(case.separator)
        parts = re.split(rf"\n?(?:^|(?<=\n)){mark}(?:\n|\Z)|{mark}", text.removesuffix("\n"))
    elif case.separator.strip("\n"):
        parts = text.removesuffix("\n").split(case.separator)
    else:
        parts = [part.strip("\n") for part in text.split(case.separator)]
    return [part for part in parts if part] or None


def check(case: Case, folder: Path) -> None:
    """Read a case as `charrnn train` does.

    Raises:
        AssertionError: it is not read as it should be, or something was written.
    """
    path = folder / case.name
    path.write_bytes(case.data)
    wanted = expected(case)
    try:
        corpus = read_corpus([str(path)], separator=case.separator, encoding=case.encoding)
    except CharRNNError as error:
        if wanted is not None and not case.damaged:
            raise AssertionError(f"refused: {error}") from error
    else:
        assert [*corpus.documents] == wanted, "other documents"
        split = split_corpus(corpus)
        assert split.train, "nothing to train on"
        for unit in UNITS:
            vocabulary = learn_vocabulary(split.train, unit)
            tokens = tokenize(vocabulary, split.train).array()
            text = "".join(split.train)
            assert vocabulary.decode(tokens[tokens >= 0]) == unicodedata.normalize("NFC", text)
    assert [*folder.iterdir()] == [path], "something was written"
    path.unlink()


# Large ones, whose memory is measured

LARGE: dict[str, Callable[[int], bytes]] = {  # of about so many bytes
    "one line": lambda size: b"abc " * (size // 4),
    "one word": lambda size: b"a" * size,
    "empty lines": lambda size: b"\n" * size,
    "empty lines with CR": lambda size: b"\r\n" * (size // 2),
    "NULs": lambda size: b"\0" * size,
    "some NULs": lambda size: (b"a" * 255 + b"\0") * (size // 256),
    "invalid first byte": lambda size: b"\xff" + b"a" * size,
    "invalid middle byte": lambda size: b"a" * (size // 2) + b"\xff" + b"a" * (size // 2),
    "invalid last byte": lambda size: b"a" * size + b"\xff",
    "a cut last character": lambda size: b"a" * size + "가".encode()[:2],
    "lone surrogates": lambda size: "가\ud800".encode("utf-8", "surrogatepass") * (size // 6),
    "marks": lambda size: ("e" + "\u0301\u0316" * (size // 4)).encode(),
    "marks of marks": lambda size: ("e" + "\u0f73\u0316" * (size // 5)).encode(),
    "jamo": lambda size: ("\u1112\u1161\u11ab" * (size // 9)).encode(),
    "leading jamo": lambda size: ("\u1112" * (size // 3)).encode(),
    "emoji": lambda size: ("👩\u200d👩\u200d👧" * (size // 18)).encode(),
    "right to left": lambda size: ("\u202eשלום עולם\u202c" * (size // 24)).encode(),
    "Arabic without spaces": lambda size: ("مرحبا" * (size // 10)).encode(),
    "Thai without spaces": lambda size: ("สวัสดี" * (size // 18)).encode(),
    "other line ends": lambda size: ("a\u2028b\u2029c\x85d\v" * (size // 13)).encode(),
    "byte-order marks": lambda size: ("\ufeff" * (size // 3)).encode(),
    "white space": lambda size: b" \t" * (size // 2),
    "noise": lambda size: random.Random(0).randbytes(size),
    "all characters": lambda size: "".join(
        map(chr, random.Random(0).choices([*range(0xA0, 0xD800)], k=size // 3))
    ).encode(),
    "a bomb.gz": lambda size: gzip.compress(bytes([97]) * (50 * size)),
    "a bomb.bz2": lambda size: bz2.compress(bytes([97]) * (50 * size)),
    "a bomb.xz": lambda size: lzma.compress(bytes([97]) * (50 * size)),
    "empty streams.gz": lambda size: gzip.compress(b"") * (size // 20),
    "empty streams.xz": lambda size: lzma.compress(b"") * (size // 32),
    "one character": lambda size: b"a",
    "a byte-order mark": lambda size: b"\xef\xbb\xbf",
    "nothing": lambda size: b"",
}
_READ = """
import sys
from charrnn.text.corpus import read_corpus, split_corpus
from charrnn.errors import CharRNNError
from charrnn.text.tokens import learn_vocabulary, tokenize
from charrnn.config import VocabularyConfig
try:
    train = split_corpus(read_corpus(sys.argv[1:2], separator=sys.argv[2])).train
    tokenize(learn_vocabulary(train, VocabularyConfig()), train)
except CharRNNError as error:
    sys.exit(f"error: {error}")
"""
# Memory is measured from a small process, as the figure of a new one begins with its parent's.
_MEASURED = """
import resource, subprocess, sys
done = subprocess.run(sys.argv[2:], stdin=subprocess.DEVNULL)
with open(sys.argv[1], "w") as file:
    file.write(str(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss))
sys.exit(done.returncode)
"""


def measured(folder: Path, *command: str) -> tuple[subprocess.CompletedProcess[str], int]:
    """A Python process that has ended, and its peak memory in bytes."""
    with tempfile.TemporaryDirectory() as other:
        figure = Path(other, "peak")
        done = subprocess.run(
            [sys.executable, "-c", _MEASURED, str(figure), sys.executable, *command],
            cwd=folder,
            capture_output=True,
            encoding="utf-8",
            timeout=SECONDS,
            check=False,
        )
        unit = 1 if sys.platform == "darwin" else 1024
        return done, int(figure.read_text()) * unit


def check_large(name: str, size: int, folder: Path, separator: str = WHOLE) -> str:
    """Read a large file in a process of its own, and return what it said.

    Raises:
        AssertionError: it took more than 4 times the file and 200 MB, or it broke.
    """
    path = folder / name
    path.write_bytes(LARGE[name](size))
    done, memory = measured(folder, "-c", _READ, name, separator)
    assert_one_line(done, {0, 1})
    assert memory < 4 * path.stat().st_size + (200 << 20), f"{memory >> 20} MB"
    assert [*folder.iterdir()] == [path], "something was written"
    path.unlink()
    return done.stderr


def assert_one_line(done: subprocess.CompletedProcess[str], codes: set[int]) -> None:
    """It ended well, or with one line that is no fault of charrnn."""
    assert done.returncode in codes, (done.returncode, done.stderr[-500:])
    assert "Traceback" not in done.stderr, done.stderr[-500:]
    assert "fault in charrnn" not in done.stderr, done.stderr
    assert "Warning" not in done.stderr, done.stderr
    if done.returncode:
        assert done.stderr.startswith("error: "), done.stderr
        assert done.stderr.count("\n") == 1, done.stderr


# The commands


def commands(name: str, rng: random.Random) -> Iterator[list[str]]:
    """What a user may do with a file."""
    sizes = ["--steps", "2", "--hidden-size", "4", "--threads", "1", "-o", "out.npz"]
    cut = rng.choice([["--lines"], ["--whole"], ["--split-on", "\\n\\n"]])
    ngram = ["--ngram", rng.choice("03")]
    yield ["train", name, *cut, *ngram, "--tokens", rng.choice(["char", "word"]), *sizes]
    yield ["train", "model.txt", "--val", name, *cut, *sizes]
    yield ["score", "--file", name, *cut, "-c", "model.npz", rng.choice(["--json", "--total"])]
    yield ["sample", "--prompts", name, "-c", "model.npz", "-n", "2", "--seed", "1"]


def check_command(command: list[str], folder: Path) -> None:
    """Run a command on a file.

    Raises:
        AssertionError: it broke, wrote something else than its model or took too much memory.
    """
    before = {*folder.iterdir()}
    done, memory = measured(folder, "-m", "charrnn", *command)
    assert_one_line(done, {0, 1})
    written = {*folder.iterdir()} - before
    trained = command[0] == "train" and not done.returncode
    models = {folder / "out.npz", folder / "out.resume.npz"}
    assert written == (models if trained else set()), written
    assert memory < 4 * sum(file.stat().st_size for file in before) + (200 << 20), memory >> 20
    for file in written:
        file.unlink()


def make_model(folder: Path) -> None:
    """model.txt and model.npz, to use on what the fuzzer makes."""
    (folder / "model.txt").write_text("hello world\nthe old well\n" * 20, encoding="utf-8")
    options = ["--lines", "--steps", "2", "--hidden-size", "4", "--threads", "1", "-q"]
    done, _ = measured(folder, "-m", "charrnn", "train", "model.txt", *options, "-o", "model.npz")
    assert_one_line(done, {0})


def fuzz_small(cases: int, seed: int) -> Iterator[str]:
    """What is wrong with random cases, numbered so that `random_case` makes each again."""
    for number in range(cases):
        case = random_case(random.Random(f"{seed} {number}"))
        with tempfile.TemporaryDirectory() as folder:
            try:
                check(case, Path(folder))
            except Exception as error:
                yield f"case {number} of seed {seed}: {error!r:.300}\n  {case!r:.300}"


def fuzz_large(size: int) -> Iterator[str]:
    """What is wrong with reading large files."""
    for name in LARGE:
        for separator in (WHOLE, LINES):
            with tempfile.TemporaryDirectory() as folder:
                try:
                    check_large(name, size, Path(folder), separator)
                except Exception as error:
                    yield f"{name} of {size:,} bytes, separator {separator!r}: {error!r:.300}"


def fuzz_commands(cases: int, seed: int, size: int) -> Iterator[str]:
    """What is wrong with commands on hostile files."""
    rng = random.Random(seed)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        make_model(folder)
        for number in range(cases):
            name = rng.choice([*LARGE])
            (folder / name).write_bytes(LARGE[name](size))
            command = rng.choice([*commands(name, rng)])
            try:
                check_command(command, folder)
            except Exception as error:
                yield f"command {number} of seed {seed}, {command}: {error!r:.300}"
            (folder / name).unlink()


def main(cases: int, seed: int) -> int:
    """Fuzz with so many small files, each large one and a command for every 50 small ones.

    Returns:
        How many were not read as they should be; each is printed.
    """
    found = 0
    for problem in chain(
        fuzz_small(cases, seed),
        fuzz_large(10_000_000),
        fuzz_commands(cases // 50, seed, 20_000),
    ):
        print(problem, flush=True)
        found += 1
    print(
        f"corpora: {cases} small files, {2 * len(LARGE)} large ones, {cases // 50} commands, "
        f"{found} problems"
    )
    return found


if __name__ == "__main__":
    import argparse

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    sys.exit(main(**vars(parser.parse_args())) > 0)
