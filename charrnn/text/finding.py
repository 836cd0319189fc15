"""From sources as they are typed to files: names, folders, bundled corpora."""

import os
import shlex
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path

from charrnn.errors import ConfigError, CorpusError, did_you_mean, setting
from charrnn.resources import bundled_corpora, bundled_corpus
from charrnn.text.compression import is_text_file, plain_name
from charrnn.text.fields import SUFFIXES
from charrnn.text.kinds import kind_of
from charrnn.text.reading import refuse_url

DEFAULT_CORPUS = "stories"
_MOST_NEIGHBOURS = 1000  # files that an error looks at to name a similar one
_MOST_SUFFIXES = 4  # in an error
_HEAD = 512  # bytes that tell what a file is
_NO_TEXT = {*range(8), *range(14, 27)}  # bytes that a text in no common encoding has


def find(
    sources: Sequence[str], glob: str | None = None, field: str | None = None
) -> tuple[list[Path | str], bool]:
    """The files that sources stand for, and whether all of them are bundled.

    A file or a folder that is there comes before a bundled corpus of its name.

    Args:
        sources: none means the bundled default.
        glob: which files below a folder are read, such as `*.md`; None means every *.txt.
        field: the field that is read of every file; without a glob, files of data are read then.

    Raises:
        CorpusError: something is not there, or cannot be looked at.
        ConfigError: there is a glob and no folder.
    """
    if glob is not None and not any(map(os.path.isdir, sources)):
        raise ConfigError(f"{setting('glob')} chooses files of a folder; no folder is given")
    if not sources:
        file = bundled_corpus(DEFAULT_CORPUS)
        assert file is not None
        return [file], True
    found = [_find(source, glob, field) for source in sources]
    return [file for files, _ in found for file in files], all(bundled for _, bundled in found)


def hidden_corpora(sources: Iterable[str]) -> list[str]:
    """A line for each file or folder that is read instead of the bundled corpus of its name."""
    return [
        f"reading the {'folder' if os.path.isdir(name) else 'file'} {name} here{_or_bundled(name)}"
        for name in sources
        if bundled_corpus(name) and os.path.exists(name)
    ]


def _or_bundled(name: str) -> str:
    """The end of a message: where the bundled corpus of a name lies, if there is one."""
    file = bundled_corpus(name)
    return f"; the bundled corpus of that name is {shlex.quote(str(file))}" if file else ""


def corpus_name(sources: Sequence[str]) -> str:
    """What a corpus of these sources is called."""
    others = f"+{len(sources) - 1}" if len(sources) > 1 else ""
    return _name(sources[0]) + others if sources else DEFAULT_CORPUS


def _name(source: str) -> str:
    if source == "-":
        return "stdin"
    path = Path(source)
    if path.is_fifo():  # such as <(command), whose own name says nothing
        return "pipe"
    return Path(plain_name(path.resolve().name)).stem or "corpus"


def _find(source: str, glob: str | None, field: str | None) -> tuple[Sequence[Path | str], bool]:
    """The files that a source stands for, and whether they are bundled."""
    path = Path(source)
    if source == "-":
        return ["-"], False
    if not source:
        raise CorpusError("no such file: the name is empty")
    refuse_url(source)
    try:
        if path.is_dir():
            return _below(source, glob, field), False
        exists = path.exists()
    except OSError as error:
        raise CorpusError(f"cannot read {error.filename or source}: {error.strerror}") from None
    if exists:
        return [path], path in map(bundled_corpus, bundled_corpora())
    file = bundled_corpus(source)
    if file is None:
        names = bundled_corpora()
        near = {_stem(name): name for name in [*_neighbours(path), *names]}
        hint = did_you_mean(_stem(source), near)
        raise CorpusError(f"no such file: {source} (bundled corpora are {', '.join(names)}){hint}")
    return [file], True


def _stem(source: str) -> str:
    """A file's name without what all names of texts have, which makes no two names alike."""
    return Path(plain_name(source)).stem


def _neighbours(path: Path) -> list[str]:
    """Texts and folders beside a file that is not there, of the first so many entries."""
    try:
        with os.scandir(path.parent) as entries:
            beside = list(islice(entries, _MOST_NEIGHBOURS))
        found = [each.name for each in beside if is_text_file(each.name) or each.is_dir()]
    except (OSError, ValueError):
        return []
    return [str(path.parent / name) for name in found]


def _below(folder: str, glob: str | None, field: str | None) -> list[Path]:
    """The files below a folder that are to be read, packed or not; once where one is both.

    Raises:
        OSError: a folder cannot be read.
        CorpusError: there is none.
    """
    wanted, called = _wanted(glob, field)
    found: dict[Path, Path] = {}  # by their names unpacked
    others: list[Path] = []
    for file in _walk(Path(folder)):
        if wanted(file):
            found.setdefault(file.with_name(plain_name(file.name)), file)
        else:
            others.append(file)
    if not found:
        instead = _instead(others, field) + _or_bundled(folder)
        raise CorpusError(f"no {called} in {folder.rstrip('/')}/{instead}")
    return sorted(found.values())


def _wanted(glob: str | None, field: str | None) -> tuple[Callable[[Path], bool], str]:
    """Which files of a folder are read, and what they are called."""
    if glob is not None:
        pattern = glob.removeprefix("**/")  # as a pattern matches at any depth
        if not Path(pattern).parts:
            raise ConfigError(f"{setting('glob')} must be a pattern such as '*.md', not {glob!r}")
        return lambda file: file.match(pattern) or _unpacked(file).match(pattern), glob
    if field is not None:
        *suffixes, last = SUFFIXES
        called = f"{', '.join(suffixes)} or {last}"
        return lambda file: _unpacked(file).suffix.lower() in SUFFIXES, called
    return lambda file: is_text_file(file.name), ".txt"


def _unpacked(file: Path) -> Path:
    return file.with_name(plain_name(file.name))


def _walk(folder: Path) -> Iterator[Path]:
    """Every file below, without hidden ones and those in hidden folders, in order.

    Linked folders are not entered, so that one that holds itself is no endless one.

    Raises:
        OSError: a folder cannot be read.
    """

    def fail(error: OSError) -> None:
        raise error

    for place, folders, names in os.walk(folder, onerror=fail):
        folders[:] = [name for name in folders if name[0] != "."]
        files = (Path(place, name) for name in sorted(names) if name[0] != ".")
        yield from (file for file in files if file.is_file())


def _head(file: Path) -> bytes:
    """The first bytes of a file, none where it cannot be read."""
    try:
        with file.open("rb") as opened:
            return opened.read(_HEAD)
    except OSError:
        return b""


def _instead(files: Sequence[Path], field: str | None) -> str:
    """The end of an error: what a folder holds without what was wanted, and what to type for it."""
    if not files:
        return ": it is empty"
    suffixes = Counter(_unpacked(file).suffix for file in files)
    counts = [
        f"{number:,} {suffix or 'without a suffix'}"
        for suffix, number in suffixes.most_common(_MOST_SUFFIXES)
    ]
    more = ", …" * (len(suffixes) > _MOST_SUFFIXES)
    advice = ""
    for suffix, _ in suffixes.most_common():
        file = next(file for file in files if _unpacked(file).suffix == suffix)
        head = _head(file)
        kind = kind_of(head, file.name)
        if file != _unpacked(file) or not (kind or {*head} & _NO_TEXT):
            if suffix in SUFFIXES and field is None:
                advice = f"try {setting('field')} NAME, the field with the text"
            else:
                advice = f"try {setting('glob')} {shlex.quote('*' + suffix)}"
            break
        if kind and not advice:
            advice = f"{file.name} looks like {kind[0]}: {kind[1]}"
    return f": {', '.join(counts)}{more}" + f"; {advice}" * bool(advice)
