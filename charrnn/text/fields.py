"""Records of JSON Lines, of a JSON array, or of CSV or TSV with a header, and a text in each."""

import csv
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

from charrnn.errors import CorpusError, did_you_mean
from charrnn.text.compression import plain_name
from charrnn.text.reading import as_read, lines_of, name_of, read_pieces

_OBJECTS = (".jsonl", ".ndjson", ".json")
_TABLES = {".csv": ",;\t|", ".tsv": "\t"}  # the delimiters to try
SUFFIXES = (*_OBJECTS, *_TABLES)
_DELIMITERS = ",\t;|"  # of a table whose name does not say it
_QUOTED = re.compile(r'"((?:[^"]|"")*)"')
_LONGEST_CELL = (1 << 31) - 1  # characters, as many as Python's reader can be told
_MOST_NAMES, _LONGEST_NAME = 12, 40  # fields in an error, and characters of one
_SHOWN_DEPTH = 3  # objects in objects whose fields an error names
_DEEPEST = 100  # lists and objects in each other that can be printed again
_KINDS = {type(None): "null", bool: "true or false", list: "a list", dict: "an object"}

Numbered = Iterator[tuple[int, str]]  # the lines of a file


@dataclass(frozen=True)
class Record:
    """A line of JSON Lines, an object in a JSON array, or a row of a table."""

    where: str
    fields: dict[str, Any]
    text: str  # of the field that is read, as `charrnn.text.reading.decode` would return it


def read_field(
    file: Path | str, field: str, encoding: str = "utf-8", max_size: int | None = None
) -> Iterator[str]:
    """The texts in a field, one for each record of a file; see `records`.

    Args:
        file: "-" is standard input; see `charrnn.text.reading.read_pieces`.

    Raises:
        CorpusError: the file cannot be read, or a line is broken or has no text in this field.
    """
    pieces = read_pieces(file, encoding, max_size, compose=False)
    return (record.text for record in records(lines_of(pieces), field, name_of(file)))


def records(
    lines: Iterable[str], field: str, source: str, *, strict: bool = False
) -> Iterator[Record]:
    """The records of a file as its lines come, without blank lines.

    A name in .csv, .tsv, .json or the like, or else the first character, tells a table from JSON.
    Cells of CSV may be quoted, and then hold newlines; in TSV a line is a record, as many tools
    quote nothing there.

    Args:
        field: the name of a column or of a field; in JSON, `a.b` is field b of the object in a.
        source: the name of the file.
        strict: refuse what cannot be printed as JSON again.

    Raises:
        CorpusError: a line is broken or has no text in this field.
    """
    numbered: Numbered = enumerate(lines, start=1)
    number, first = next(((number, line) for number, line in numbered if line.strip()), (0, ""))
    if not first:
        return
    suffix = Path(plain_name(source)).suffix.lower()
    numbered = chain([(number, first)], numbered)
    begins = first.lstrip()[0]
    if suffix in _OBJECTS or (suffix not in _TABLES and begins in "[{"):
        found = _of_objects(numbered, begins == "[", source, strict)
    else:
        found = _of_table(numbered, first, field, source, suffix, strict)
    for where, fields in found:
        text = _text(fields, field, where)
        try:
            document = as_read(text)
        except CorpusError:
            raise CorpusError(f"{where} has half a surrogate pair in {field!r}") from None
        yield Record(where, fields, document)


def _of_objects(
    lines: Numbered, in_array: bool, source: str, strict: bool
) -> Iterator[tuple[str, dict[str, Any]]]:
    """The objects of JSON, one a line or all in one array, each after where it stands."""
    if in_array:
        number, first = next(lines)
        whole = "\n".join(chain([first], (line for _, line in lines)))
        found = _parsed(whole, number, source, strict)
        places = ((f"item {place} of {source}", item) for place, item in enumerate(found, start=1))
    else:
        places = (
            (f"line {number} of {source}", _parsed(line, number, source, strict))
            for number, line in lines
            if line.strip()
        )
    for where, record in places:
        if not isinstance(record, dict):
            raise CorpusError(f"{where} is not an object with fields")
        yield where, record


def _parsed(text: str, number: int, source: str, strict: bool) -> Any:
    """What JSON that begins in this line of a file holds."""
    try:
        found = json.loads(text, parse_constant=_refuse if strict else None)
        if strict and text.count("[") + text.count("{") > _DEEPEST and _is_deep(found):
            raise RecursionError
        return found
    except json.JSONDecodeError as error:
        where = f"line {number + error.lineno - 1} of {source}"
        raise CorpusError(
            f"{where} is not JSON: {error.msg} at column {error.colno}; JSON Lines have an object "
            "in every line"
        ) from None
    except RecursionError:
        raise CorpusError(f"line {number} of {source} is nested too deeply") from None
    except ValueError as error:  # such as a number of 5,000 digits
        reason = str(error).partition(":")[0]
        raise CorpusError(
            f"line {number} of {source} is not JSON that can be read: {reason}"
        ) from None


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not a JSON number")


def _is_deep(found: Any) -> bool:
    """Whether lists and objects are nested more than _DEEPEST times."""
    level = [found]
    for _ in range(_DEEPEST):
        inner = (each.values() if isinstance(each, dict) else each for each in level)
        level = [item for items in inner for item in items if isinstance(item, dict | list)]
    return bool(level)


def _text(record: dict[str, Any], field: str, where: str) -> str:
    """The text in a field of a record.

    Raises:
        CorpusError: there is none.
    """
    found: Any = record
    for name in [field] if field in record else field.split("."):
        if not isinstance(found, dict) or name not in found:
            fields = _listed([*_names(record)], field)
            raise CorpusError(f"{where} has no field {field!r}; {fields}")
        found = found[name]
    if not isinstance(found, str):
        kind = _KINDS.get(type(found), "a number")
        texts = ", ".join([*_names(record, texts=True)][:_MOST_NAMES]) or "none"
        raise CorpusError(f"{where} has {kind} in {field!r}; fields with text: {texts}")
    return found


def _names(record: dict[str, Any], before: str = "", *, texts: bool = False) -> Iterator[str]:
    """The fields of an object and of those in it, or only those with a text."""
    for name, value in record.items():
        if isinstance(value, dict) and before.count(".") < _SHOWN_DEPTH:
            yield from _names(value, f"{before}{name}.", texts=texts)
        elif isinstance(value, str) or not texts:
            yield before + name


def _listed(names: Sequence[str], meant: str = "") -> str:
    """The end of an error: which fields there are, and the one that was meant."""
    shown = [name if len(name) <= _LONGEST_NAME else f"{name[:_LONGEST_NAME]}…" for name in names]
    more = f" and {len(names) - _MOST_NAMES:,} more" if len(names) > _MOST_NAMES else ""
    return f"the fields are {', '.join(shown[:_MOST_NAMES])}{more}{did_you_mean(meant, names)}"


def _of_table(
    lines: Numbered, first: str, field: str, source: str, suffix: str, strict: bool
) -> Iterator[tuple[str, dict[str, Any]]]:
    """The rows of a table by the names of its columns, each after where it begins.

    Of the delimiters, the one that makes the column of this name is taken.
    """
    csv.field_size_limit(_LONGEST_CELL)
    delimiters = _TABLES.get(suffix, _DELIMITERS)
    rows = {each: next(csv.reader([first], delimiter=each)) for each in delimiters}
    widest = max(delimiters, key=lambda each: len(rows[each]))
    delimiter = next((each for each in delimiters if field in _stripped(rows[each])), widest)
    table = (_rows_of_tsv if delimiter == "\t" else _rows_of_csv)(lines, delimiter, source)
    where, header = next(table)
    names = _stripped(header)
    for name in names if strict else [field]:
        if name and names.count(name) > 1:
            raise CorpusError(f"{where} has {names.count(name)} columns {name!r}: rename one")
    if field not in names and len(names) == 1 and suffix not in _TABLES:
        raise CorpusError(f"{where} is neither JSON nor a header with a column {field!r}")
    if field not in names:
        raise CorpusError(f"{where} has no column {field!r}; {_listed(names, field)}")
    for where, row in table:
        if len(row) < len(names) or any(row[len(names) :]):
            count = f"{len(row)} columns instead of {len(names)}"
            if len(row) < len(names):
                count = f"{len(row)} of {len(names)} columns"
            raise CorpusError(f"{where} has {count}; {_listed(names)}")
        yield where, dict(zip(names, row, strict=False))


def _stripped(names: Sequence[str]) -> list[str]:
    return [name.strip() for name in names]


def _rows_of_tsv(lines: Numbered, delimiter: str, source: str) -> Iterator[tuple[str, list[str]]]:
    """The rows of a table in which a line is one, each after where it stands."""
    for number, line in lines:
        if line.strip():
            cells = line.split(delimiter)
            yield f"line {number} of {source}", [*map(_unquoted, cells)]


def _unquoted(cell: str) -> str:
    """A cell without the quotes around all of it, if they are of CSV and not of the text."""
    found = _QUOTED.fullmatch(cell)
    return found[1].replace('""', '"') if found else cell


def _rows_of_csv(lines: Numbered, delimiter: str, source: str) -> Iterator[tuple[str, list[str]]]:
    """The rows of a table whose quoted cells may hold newlines, each after where it begins."""
    begun = 0  # the line in which a row does

    def ended() -> Iterator[str]:
        nonlocal begun
        for number, line in lines:
            begun = begun or number
            yield f"{line}\n"

    reader = csv.reader(ended(), delimiter=delimiter, strict=True)
    while True:
        begun = 0
        try:
            row = next(reader, None)
        except csv.Error as error:
            open_quote = "end of data" in str(error)
            reason = "opens a quote and never closes it" if open_quote else f"is not CSV: {error}"
            raise CorpusError(f"line {begun} of {source} {reason}") from None
        if row is None:
            return
        if row:
            yield f"line {begun} of {source}", row
