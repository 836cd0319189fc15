"""`charrnn export`: where the page goes, and what it says of that."""

import re
from pathlib import Path

import pytest

from charrnn.resources import BUNDLED_MODELS
from tests.commands import Run, assert_one_line, contents, on_a_terminal, posix

DOCTYPE = "<!doctype html>\n<!-- written by charrnn -->\n"


def test_the_page_has_the_name_of_the_model(run: Run, folder: Path, trained: Path) -> None:
    result = run("export", "-c", trained)
    assert (result.code, result.out) == (0, "")
    assert re.fullmatch(r"written to model\.html \(\d\.\d MB\); open it in a browser\n", result.err)
    text = (folder / "model.html").read_text(encoding="utf-8")
    assert text.startswith(DOCTYPE)
    assert "<title>model</title>" in text
    assert run("export", "-c", trained).code == 0  # a page of ours is replaced
    assert (folder / "model.html").read_text(encoding="utf-8") == text


def test_json_says_where_and_how_large(run: Run, folder: Path, trained: Path) -> None:
    (fields,) = run("export", "-c", trained, "-o", "a.html", "--json").objects()
    size = (folder / "a.html").stat().st_size
    assert fields == {"checkpoint": str(trained), "page": "a.html", "bytes": size}


def test_a_page_goes_to_a_pipe(run: Run, folder: Path, trained: Path) -> None:
    result = run("export", "-c", trained, "-o", "-")
    assert (result.code, result.err) == (0, "")
    assert result.out.startswith(DOCTYPE)
    assert result.out.endswith("</html>\n")
    assert not contents(folder)
    assert_one_line(run("export", "-c", trained, "-o", "-", "--json"), 2, "cannot be combined")


@posix
def test_a_terminal_gets_no_page(folder: Path, trained: Path) -> None:
    shown = on_a_terminal("export", "-c", trained, "-o", "-", cwd=folder)
    assert shown.startswith("error: a terminal shows no page; name a file with --output")


@pytest.mark.parametrize(
    ("command", "code", "words"),
    [
        ("export -c nothing", 1, "no model named nothing"),
        ("export -c everydya", 1, "did you mean 'everyday'?"),
        ("export -o page.txt", 2, "must end in .html or .htm, not 'page.txt'"),
        ("export -c text.txt", 1, "text.txt"),
        ("export everyday", 2, "did you mean -c everyday?"),
    ],
)
def test_errors(run: Run, folder: Path, command: str, code: int, words: str) -> None:
    assert "everyday" in BUNDLED_MODELS
    (folder / "text.txt").write_text("no model")
    before = contents(folder)
    assert_one_line(run(*command.split()), code, words)
    assert contents(folder) == before
