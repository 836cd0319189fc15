"""Which bytes of a corpus each process reads: its files end to end, cut after newlines."""

import codecs
import os
import re
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path

from charrnn.errors import CorpusError
from charrnn.text.compression import compression
from charrnn.text.reading import read_pieces

_LEAST = 1 << 18  # bytes; `reading` looks at so many to see whether a file is text
_MB = 1 << 20
# By the names that Python has for them: in these the byte 0x0a is a newline and nothing else, and
# what stands after one is read as if nothing stood before.
_ENCODINGS = re.compile(
    r"ascii|utf-8|iso8859-\d+|cp125\d|cp8\d\d|cp437|koi8-.|mac-roman|tis-620"
    r"|gbk|gb2312|gb18030|big5|big5hkscs|cp950|cp949|euc_kr|johab|cp932|shift_jis|euc_jp"
)


@dataclass(frozen=True)
class Part:
    """A file, or those of its bytes from `start` to `stop`."""

    file: Path | str  # "-" is standard input
    start: int = 0
    stop: int | None = None  # None: its end


def share_out(
    files: Sequence[Path | str],
    number: int,
    separator: str,
    encoding: str = "utf-8",
    max_size: int | None = None,
) -> list[list[Part]]:
    """What each of so many processes reads; in their order it is all of the files.

    Large files are cut, if that cuts no separator; compressed ones, pipes and those in encodings
    in which a newline cannot be told are not. With standard input the first process reads all.
    """
    shares: list[list[Part]] = [[] for _ in range(number)]
    if number == 1 or "-" in files:
        shares[0] = [Part(file) for file in files]
        return shares
    sizes = [_size(file) for file in files]
    total, begin = max(1, sum(sizes)), 0
    end = _end(separator, encoding)
    for file, size in zip(files, sizes, strict=True):
        places = [-(-total * n // number) - begin for n in range(1, number)]
        if compression(str(file)) or (max_size is not None and size > max_size * _MB):
            places = []
        for part in _cut(file, [place for place in places if _LEAST <= place < size], end):
            rank = (begin + part.start) * number // total
            shares[min(rank, number - 1)].append(part)
        begin += size
    return shares


def read_part(part: Part, encoding: str = "utf-8", max_size: int | None = None) -> Iterator[str]:
    """The text of some bytes of a file, as `charrnn.text.reading.read_pieces` reads all of them.

    Raises:
        CorpusError: the file cannot be read or decoded, or is no text; as whoever reads all of it
            says.
        ConfigError: there is no such encoding.
    """
    try:
        yield from read_pieces(part.file, encoding, max_size, start=part.start, stop=part.stop)
    except CorpusError:
        if part != Part(part.file):
            deque(read_pieces(part.file, encoding, max_size), maxlen=0)
        raise


def _size(file: Path | str) -> int:
    """Bytes of a file, 0 for what is none or is not there."""
    try:
        return Path(file).stat().st_size if Path(file).is_file() else 0
    except (OSError, ValueError):
        return 0  # whoever reads it says so


def _end(separator: str, encoding: str) -> re.Pattern[bytes] | None:
    """After what a file can be cut, so that a separator lies before or after; None: nothing."""
    try:
        if not _ENCODINGS.fullmatch(codecs.lookup(encoding).name):
            return None
    except (LookupError, ValueError):
        return None
    newlines = separator.count("\n")
    if newlines and separator.strip("\n"):
        return None
    return re.compile(rb"(?:\r?\n){%d}" % max(1, newlines))


def _cut(file: Path | str, places: Iterable[int], end: re.Pattern[bytes] | None) -> Iterator[Part]:
    """A file in parts that begin at these places, or as soon after them as something ends."""
    starts = [0]
    for place in places:
        if end is not None and place > starts[-1]:  # else in a part that has no end before it
            starts += _next_start(file, place, end)
    for start, stop in zip_longest(starts, starts[1:]):
        yield Part(file, start, stop)


def _next_start(file: Path | str, place: int, end: re.Pattern[bytes]) -> list[int]:
    """Where the next part begins, at `place` or after; nothing where none does."""
    try:
        with Path(file).open("rb") as opened:
            opened.seek(place)
            while data := opened.read(_LEAST):
                if found := end.search(data):
                    start = opened.tell() - len(data) + found.end()
                    return [start] if start < opened.seek(0, os.SEEK_END) else []
    except OSError:
        pass  # whoever reads it says so
    return []
