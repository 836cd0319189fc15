import gzip
import os
from pathlib import Path

import pytest

from charrnn.config import LINES, WHOLE
from charrnn.errors import ConfigError, CorpusError
from charrnn.resources import bundled_corpus
from charrnn.text.corpus import read_corpus
from charrnn.text.finding import corpus_name, find, hidden_corpora


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def written(*names: str, data: bytes = b"text") -> None:
    for name in names:
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_bytes(gzip.compress(data) if name.endswith(".gz") else data)


def found(source: str, glob: str | None = None, field: str | None = None) -> list[str]:
    files, _ = find([source], glob, field)
    return [str(file) for file in files]


def failed(source: str, glob: str | None = None, field: str | None = None) -> str:
    with pytest.raises(CorpusError) as error:
        find([source], glob, field)
    return str(error.value)


@pytest.mark.parametrize(
    ("glob", "expected"),
    [
        ("*.md", ["n/a.md", "n/deep/er/c.md", "n/한글/메모.md"]),
        ("**/*.md", ["n/a.md", "n/deep/er/c.md", "n/한글/메모.md"]),
        ("n/*.md", ["n/a.md"]),
        ("er/*", ["n/deep/er/c.md", "n/deep/er/d.py"]),
        ("deep/**/*.py", ["n/deep/er/d.py"]),
        ("[ab].*", ["n/a.md", "n/b.txt"]),
        ("메*", ["n/한글/메모.md"]),
        ("*.rst", ["n/e.rst.gz"]),
        ("*.rst.gz", ["n/e.rst.gz"]),
    ],
)
def test_a_glob_says_which_files_of_a_folder(glob: str, expected: list[str]) -> None:
    written("n/a.md", "n/b.txt", "n/deep/er/c.md", "n/deep/er/d.py", "n/한글/메모.md")
    written("n/e.rst.gz", "n/.hidden.md", "n/.git/x.md")
    for source in ("n", "n/"):
        assert found(source, glob) == [*map(str, map(Path, expected))]


def test_hidden_files_are_left_out_and_hidden_folders_named_are_read() -> None:
    written("n/a.txt", "n/.b.txt", "n/.venv/c.txt", ".d/e.txt")
    assert found("n") == [str(Path("n/a.txt"))]
    assert found(".d") == [str(Path(".d/e.txt"))]


def test_with_a_field_a_folder_is_its_files_of_data() -> None:
    written("n/a.jsonl", "n/b.CSV", "n/c.tsv.gz", "n/d.txt", "n/e.json", "n/f.ndjson")
    expected = [str(Path("n", name)) for name in ("a.jsonl", "b.CSV", "c.tsv.gz", "e.json")]
    assert found("n", field="text") == [*expected, str(Path("n/f.ndjson"))]
    assert found("n", "*.txt", "text") == [str(Path("n/d.txt"))]
    written("d/a.md")
    assert failed("d", field="x").startswith(
        "no .jsonl, .ndjson, .json, .csv or .tsv in d/: 1 .md;"
    )


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ([], "no .txt in notes/: it is empty"),
        (["a.md", "b.md", "c.py"], "no .txt in notes/: 2 .md, 1 .py; try --glob '*.md'"),
        (["x/a.md.gz"], "no .txt in notes/: 1 .md; try --glob '*.md'"),
        (["51060", "51061"], "no .txt in notes/: 2 without a suffix; try --glob '*'"),
        ([".hidden.md", ".git/a.md"], "no .txt in notes/: it is empty"),
        (["a.jsonl"], "no .txt in notes/: 1 .jsonl; try --field NAME, the field with the text"),
        ([f"a.{letter}" for letter in "abcdefg"],
         "no .txt in notes/: 1 .a, 1 .b, 1 .c, 1 .d, …; try --glob '*.a'"),
    ],
)  # fmt: skip
def test_a_folder_without_texts_says_what_to_type(names: list[str], message: str) -> None:
    Path("notes").mkdir()
    written(*(f"notes/{name}" for name in names))
    for source in ("notes", "notes/"):
        with pytest.raises(CorpusError) as error:
            find([source])
        assert error.value.with_options("--{}".format) == message


def test_what_is_no_text_is_not_suggested() -> None:
    written("n/a.pdf", "n/b.pdf", data=b"%PDF-1")
    assert failed("n").endswith(": 2 .pdf; a.pdf looks like a PDF: save it as plain text first")
    written("m/a.bin", data=bytes(range(256)))
    assert failed("m") == "no .txt in m/: 1 .bin"
    written("n/c.md")
    assert failed("n") == "no .txt in n/: 2 .pdf, 1 .md; try glob '*.md'"
    assert failed("n", "*.rst").startswith("no *.rst in n/: 2 .pdf, 1 .md;")


@pytest.mark.parametrize("glob", ["", ".", "**/"])
def test_a_glob_must_be_a_pattern(glob: str) -> None:
    written("n/a.md")
    with pytest.raises(ConfigError, match="glob must be a pattern such as"):
        find(["n"], glob)


def test_a_glob_needs_a_folder() -> None:
    written("a.md")
    for sources in ([], ["a.md"], ["stories"], ["-"], ["nofile"]):
        with pytest.raises(ConfigError, match="glob chooses files of a folder"):
            find(sources, "*.md")


@pytest.mark.skipif(os.name != "posix", reason="needs links and named pipes")
def test_pipes_and_links_are_left_out() -> None:
    written("n/a.md")
    os.mkfifo("n/pipe.txt")
    Path("n/broken.txt").symlink_to("nowhere")
    Path("n/loop").symlink_to(".")
    assert failed("n") == "no .txt in n/: 1 .md; try glob '*.md'"


def test_what_is_here_comes_before_a_bundled_corpus_and_that_is_said() -> None:
    assert hidden_corpora(["stories", "hello", "text.txt", "-"]) == []
    written("stories/a.txt", "hello")
    path = str(bundled_corpus("stories"))
    assert found("stories") == [str(Path("stories/a.txt"))]
    assert read_corpus(["hello"]).separator == WHOLE
    ours, other = hidden_corpora(["stories", "hello", "korean"])
    assert ours == f"reading the folder stories here; the bundled corpus of that name is {path}"
    assert other.startswith("reading the file hello here; ")
    assert read_corpus([path]).separator == LINES
    assert read_corpus([]).sha256 == read_corpus([path]).sha256
    assert corpus_name([]) == corpus_name([path]) == "stories"
    Path("stories/a.txt").rename("stories/a.md")
    assert failed("stories").endswith(f"'*.md'; the bundled corpus of that name is {path}")
