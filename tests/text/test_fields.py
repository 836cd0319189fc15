import io
import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from charrnn.errors import CorpusError
from charrnn.text import reading
from charrnn.text.fields import read_field, records

quick = settings(deadline=None, max_examples=60, derandomize=True)
TEXTS = ["plain", 'a "quoted", one', "two\nlines\n\nand more", "", "tab\tand; semicolon", "한글 é"]


def read(data: bytes | str, field: str = "text", name: str = "-", **options: Any) -> list[str]:
    """The texts of a field in a file, or in standard input."""
    binary = data.encode() if isinstance(data, str) else data
    if name != "-":
        Path(name).write_bytes(binary)
        return [*read_field(name, field, **options)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(binary)))
        return [*read_field("-", field, **options)]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def quoted(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'


def test_json_lines_json_and_csv_hold_the_same_texts() -> None:
    records = [{"id": number, "text": text} for number, text in enumerate(TEXTS)]
    lines = "\n\n".join(json.dumps(record, ensure_ascii=False) for record in records)
    rows = "".join(f"{number},{quoted(text)}\n" for number, text in enumerate(TEXTS))
    for data in (lines, json.dumps(records, indent=1), "id,text\n" + rows):
        assert read(data) == TEXTS
        for encoding in ("utf-8-sig", "utf-16", "cp949"):
            shown = data.replace("é", "e").encode(encoding)
            assert read(shown, encoding=encoding)[:-1] == TEXTS[:-1]
        assert read(data.replace("\n", "\r\n")) == TEXTS


@quick
@given(st.lists(st.text('a"\n,; \t가', max_size=8), max_size=5), st.integers(1, 9))
def test_texts_come_back_however_the_file_is_read(texts: list[str], size: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reading, "_PART", size)
        rows = "".join(f"{quoted(text)},1\n" for text in texts)
        assert read("text,n\n" + rows) == texts
        assert read("".join(json.dumps({"text": text}) + "\n" for text in texts)) == texts


def test_a_line_of_tsv_is_a_record_whose_quotes_are_text() -> None:
    rows = ['1\t"Stop!" he said', '2\tan " open one', '3\t"all, ""quoted"""', "4\t"]
    for name in ("-", "a.tsv"):
        assert read("\n".join(["id\ttext", *rows]), name=name) == [
            '"Stop!" he said', 'an " open one', 'all, "quoted"', "",
        ]  # fmt: skip
    assert read("text\na, b\n", name="a.tsv") == ["a, b"]


def test_the_delimiter_is_the_one_that_makes_the_column() -> None:
    assert read("id; text\n1;a,b\n") == ["a,b"]
    assert read("id\ttext\n1\ta;b\n", name="a.csv") == ["a;b"]
    assert read("id|text\n1|a;b\n") == ["a;b"]
    assert read("text\nb\n\nc\n") == ["b", "c"]


def test_the_name_tells_a_table_from_json() -> None:
    assert read("{x},text\n1,a\n", name="a.csv") == ["a"]
    assert read('{"text": "a"}\n', name="a.txt") == ["a"]
    with pytest.raises(CorpusError, match=r"line 1 of a\.jsonl is not an object with fields"):
        read('"text"\n"a"\n', name="a.jsonl")


def test_a_field_of_an_object_in_an_object() -> None:
    record = {"a": {"b": {"c": "deep"}}, "a.b": "dotted", "text": "x"}
    assert read(json.dumps(record), "a.b.c") == ["deep"]
    assert read(json.dumps(record), "a.b") == ["dotted"]


def test_texts_are_composed_and_have_newlines_only() -> None:
    assert read('{"text": "e\\u0301\\r\\nb\\rc\\ufeff"}') == ["é\nb\nc"]
    assert read('text\n"e\u0301\r\nb"\n') == ["é\nb"]


def test_a_cell_may_be_long() -> None:
    long = "word " * 100_000
    assert read(f"id,text\n1,{long}\n") == [long]
    assert read(f"{long},text\n1,2\n") == ["2"]  # and the name of a column


@pytest.mark.parametrize("data", ["", "\n", " \n\n", "text\n", "[]"])
def test_of_nothing_comes_nothing(data: str) -> None:
    assert read(data) == []


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ('{"text": "a"}\n\n{"txt": "b", "n": 1}', "line 3 of standard input has no field 'text'; "
         "the fields are txt, n"),
        ('{"Text": "a"}', "the fields are Text; did you mean 'Text'?"),
        ('{"a": {"b": {}, "c": 1}, "text": null}', "line 1 of standard input has null in 'text'; "
         "fields with text: none"),
        ('{"text": 1.5, "a": {"b": "c"}}', "has a number in 'text'; fields with text: a.b"),
        ('{"text": ["a"]}', "has a list in 'text'"),
        ('{"text": {"a": "b"}}', "has an object in 'text'; fields with text: text.a"),
        ('{"text": true}', "has true or false in 'text'"),
        ('{"text": "a"}\n{"text": "b', "line 2 of standard input is not JSON: Unterminated string"),
        ('{"text": "a"}\n[1]', "line 2 of standard input is not an object"),
        ('{\n"text": "a"}', "line 1 of standard input is not JSON: Expecting property name"),
        ('[{"text": "a"},\n{"text": 1}]', "item 2 of standard input has a number in 'text'"),
        ('\n[{"text": "a"},\n{"text"]', "line 3 of standard input is not JSON: Expecting ':'"),
        ('{"text": "a"}\n{"text": "\\udc00"}', "line 2 of standard input has half a surrogate"),
        ('{"text": ' + "[" * 100_000, "line 1 of standard input is nested too deeply"),
        ('{"x": ' + '{"a":' * 50 + "1" + "}" * 51, "line 1 of standard input has no field 'text'"),
        ('{"x": ' + "1" * 5000 + "}", "line 1 of standard input is not JSON that can be read: Ex"),
        ("id,txt\n1,a\n", "line 1 of standard input has no column 'text'; the fields are id, txt"),
        ("id,text\n1,a\n2\n", "line 3 of standard input has 1 of 2 columns; the fields are"),
        ('id,text\n1,"a\nb"\n2,a,b\n', "line 4 of standard input has 3 columns instead of 2"),
        ('id,text\n1,"a" b\n', "line 2 of standard input is not CSV: ',' expected after '\"'"),
        ('id,text\n1,a\n2,"b\nc\nd\n', "line 3 of standard input opens a quote and never closes"),
        ("id\ttext\n1\ta\n2\n", "line 3 of standard input has 1 of 2 columns"),
        ("text,id,text\na,1,b\n", "line 1 of standard input has 2 columns 'text': rename one"),
        ("The cat sat.\n", "line 1 of standard input is neither JSON nor a header with a column"),
    ],
)  # fmt: skip
def test_what_is_broken_is_named_by_its_line(data: str, message: str) -> None:
    with pytest.raises(CorpusError, match=re.escape(message)):
        read(data)


@pytest.mark.parametrize("line", ['{"x": NaN, "text": "a"}', '{"text": "a", "x": %s}'])
def test_what_cannot_be_printed_again_is_refused_only_where_it_must_be(line: str) -> None:
    lines = [line.replace("%s", "[" * 100 + "]" * 100)]
    assert [record.text for record in records(lines, "text", "x")] == ["a"]
    with pytest.raises(
        CorpusError, match=r"line 1 of x is (nested too deeply|not JSON .*: NaN is)"
    ):
        [*records(lines, "text", "x", strict=True)]


def test_a_name_of_two_columns_would_lose_one() -> None:
    lines = ["text,id,id,,", "a,1,2,,"]
    assert [record.text for record in records(lines, "text", "x")] == ["a"]
    with pytest.raises(CorpusError, match="line 1 of x has 2 columns 'id': rename one"):
        [*records(lines, "text", "x", strict=True)]


def test_an_error_names_some_of_many_fields() -> None:
    names = [f"column {number}" for number in range(20)]
    with pytest.raises(CorpusError, match=r"column 11 and 8 more$"):
        read(",".join(names) + "\n")
    with pytest.raises(CorpusError) as error:
        read("x" * 5000 + "\n")
    assert len(str(error.value)) < 200


def test_more_cells_than_columns_are_fine_where_they_are_empty() -> None:
    assert read("id,text\n1,a,,\n") == ["a"]


def test_a_file_that_cannot_be_read_is_an_error() -> None:
    with pytest.raises(CorpusError, match="cannot read nofile"):
        [*read_field("nofile", "text")]
    with pytest.raises(CorpusError, match="not valid UTF-8 at byte"):
        read(b'{"text": "caf\xe9 au lait"}')
